import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2
import pytest
from aiohttp import web
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from sandbox.models.chat import ChatMessage, ChatRequest, Reply, ToolCall, ToolSpec
from sandbox.models.planner import CLOSING, plan
from sandbox.models.server import ModelServer

SYSTEM = "You are in #ops. The person asking is oncall-a. It is now 2026-03-18T12:00:00Z (UTC)."  # a Wednesday
LINK = "https://acme.slack.com/archives/C0ALERTS001/p1773000000000100"


def tool(name: str, description: str = "", required: tuple[str, ...] = (), **properties: Any) -> ToolSpec:
    typed = {key: {"type": value} if isinstance(value, str) else value for key, value in properties.items()}
    return ToolSpec(name, description, {"type": "object", "properties": typed, "required": list(required)})


SEARCH = tool(
    "search_messages",
    query="string",
    channel="string",
    author="string",
    since="string",
    until="string",
    group_by="string",
    limit="integer",
)
THREAD = tool("read_thread", permalink="string", channel="string", thread_ts="string", limit="integer")
TOOLS = (
    SEARCH,
    THREAD,
    tool("list_channels", "List the Slack channels that are recorded."),
    tool("find_recent_activity", required=("query",), query="string", window="string", channel="string"),
    tool("report_usage", days="integer"),
)
DEPLOYS = tool("shop__get_deploys", "List the latest deployments of a service.", ("service",), service="string")
RESTART = tool("restart_service", "Restart a service in production.", ("service",), service="string")
ON_CALL = tool("who_is_on_call", "Say who is on call.", team={"type": "string", "enum": ["payments", "search"]})


def message(text: str, at: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "channel": "#ops-alerts",
        "author": "oncall-a",
        "time": f"2026-03-1{at}T10:00:00Z",
        "text": text,
        "permalink": f"https://acme.slack.com/archives/C0ALERTS001/p177300000{at}000100",
        "thread_ts": f"177300000{at}.000100",
        "reply_count": 0,
        **fields,
    }


ALERTS = {
    "channel": "#ops-alerts",
    "since": "2026-03-11T12:00:00Z",
    "until": "2026-03-18T12:00:00Z",
    "total": 40,
    "messages": [],
    "alerts": [
        {
            "alert": "HighErrorRate",
            "service": "checkout",
            "fired": 12,
            "resolved": 11,
            "first": "2026-03-12T00:00:00Z",
            "last": "2026-03-17T08:15:00Z",
            "permalinks": [LINK],
        },
        {"alert": "IngestLag", "fired": 1, "resolved": 1, "last": "2026-03-12T08:00:00Z"},
    ],
}
FIX_THREAD = {
    "channel": "#ops-alerts",
    "permalink": LINK,
    "messages": [
        message("FIRING: HighErrorRate checkout", author="Alertmanager"),
        message("looking"),
        message(
            "Root cause: memory. Fix: `kubectl -n shop rollout undo deploy/checkout-api`, 0.1% now", author="sre-1"
        ),
    ],
}


def answer(name: str, args: dict[str, Any]) -> Any:
    """What the tools of the demo return."""
    if name == "search_messages" and args.get("group_by") == "alert":
        return ALERTS
    if name == "search_messages":
        fired = message("FIRING: HighErrorRate checkout", 1, author="Alertmanager", reply_count=2)
        return {"total": 7, "messages": [fired, message("OOMKilled again", 2)], "alerts": []}
    if name == "read_thread":
        return FIX_THREAD
    if name == "list_channels":
        channel = {"id": "C1", "name": "#ops-alerts", "kind": "public", "last_message": None, "topic": "Alerts"}
        return {"channels": [channel]}
    if name == "find_recent_activity":
        return {"window": args["window"], "messages": [message("payments are slow")] if args["window"] != "1h" else []}
    if name == "report_usage":
        models = [{"model": "m1", "requests": 3, "prompt_tokens": 1000, "output_tokens": 50, "cost": 0.25}]
        return {"summary": {"total_messages": 77}, "channel_count": 2, "llm_usage": models}
    return {"service": args.get("service"), "deploys": [{"version": "4.50.0"}]}


class Conversation:
    """Asks the planner, runs the tools it asks for, keeps what was said."""

    def __init__(self, tools: tuple[ToolSpec, ...] = TOOLS, run: Callable[[str, dict[str, Any]], Any] = answer) -> None:
        self.tools, self.run = tools, run
        self.messages = [ChatMessage("system", SYSTEM)]
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def ask(self, question: str) -> str:
        self.messages.append(ChatMessage("human", question))
        self.calls = []
        for _ in range(6):
            reply = plan(ChatRequest("m", tuple(self.messages), self.tools))
            self.messages.append(ChatMessage("ai", reply.text, reply.tool_calls))
            if not reply.tool_calls:
                return reply.text
            for call in reply.tool_calls:
                self.calls.append((call.name, call.args()))
                value = self.run(call.name, call.args())
                text = value if isinstance(value, str) else json.dumps(value)
                self.messages.append(ChatMessage("tool", text, tool_call_id=call.id))
        raise AssertionError("the planner does not come to an end")


def first_call(question: str, *tools: ToolSpec) -> tuple[str, dict[str, Any]]:
    conversation = Conversation(tools or TOOLS)
    conversation.ask(question)
    return conversation.calls[0]


def counted(**args: Any) -> tuple[str, dict[str, Any]]:
    return "search_messages", {**args, "group_by": "alert", "limit": args.get("limit", 10)}


@pytest.mark.parametrize(
    ("question", "call"),
    [
        ("which alerts fired most in #ops-alerts this week?", counted(channel="#ops-alerts", since="7d")),
        ("Which alert fires most often?", counted(since="7d")),
        ("<@U0B0T> top 3 alerts in <#C0ALERTS001|ops-alerts>", counted(channel="#ops-alerts", since="7d", limit=3)),
        ("alerts in C0ALERTS001 over the last 24 hours", counted(channel="C0ALERTS001", since="24h")),
        ("noisiest alarms of the past two weeks?", counted(since="2w")),
        ("how many alerts fired today?", counted(since="2026-03-18T00:00:00Z")),
        ("what alerts fired yesterday?", counted(since="2026-03-17T00:00:00Z", until="2026-03-18T00:00:00Z")),
        ("which checkout alerts fired since Monday?", counted(query="checkout", since="2026-03-16T00:00:00Z")),
        ("alerts last month", counted(since="2026-02-01T00:00:00Z", until="2026-03-01T00:00:00Z")),
        ("alerts last week", counted(since="2026-03-09T00:00:00Z", until="2026-03-16T00:00:00Z")),
        ("alerts from 2026-03-01 to 2026-03-03", counted(since="2026-03-01T00:00:00Z", until="2026-03-04T00:00:00Z")),
        ("how often did IngestLag fire in January?", None),
        ("when did IngestLag last fire?", counted(query="IngestLag")),
        ("what is going on with payments right now?", ("find_recent_activity", {"query": "payments", "window": "1h"})),
        ("anything happening with payments?", ("find_recent_activity", {"query": "payments", "window": "1h"})),
        ("is anyone looking at billing-db?", ("find_recent_activity", {"query": "billing-db", "window": "1h"})),
        ("what channels do you watch?", ("list_channels", {})),
        ("list all channels", ("list_channels", {})),
        ("usage", ("report_usage", {"days": 7})),
        ("what did you cost in the last 30 days?", ("report_usage", {"days": 30})),
        ("search for OOMKilled", ("search_messages", {"query": "OOMKilled", "limit": 5})),
        (
            'who mentioned "vault policy"?',
            ("search_messages", {"query": "vault policy", "author": "human", "limit": 5}),
        ),
        ("flux capacitor", ("search_messages", {"query": "flux capacitor", "limit": 5})),
        (f"read this thread {LINK}", ("read_thread", {"permalink": LINK})),
        (f"<{LINK}|this>", ("read_thread", {"permalink": LINK})),
        ("what happened in this thread?", ("read_thread", {})),
        ("what happened in this channel today?", None),
        ("Earlier in this thread:\n[t] a: usage is up\n[t] b: x\n\nsearch for OOMKilled", ("search_messages", None)),
    ],
)
def test_a_question_becomes_a_call(question: str, call: tuple[str, dict[str, Any] | None] | None) -> None:
    name, args = first_call(question)
    if call is None:
        assert name == "search_messages"
        assert args.get("query") == "IngestLag" or args.get("channel") == "#ops"
    else:
        assert name == call[0]
        assert call[1] is None or args == call[1]


def test_alerts_are_ranked_with_the_numbers_of_the_result() -> None:
    text = Conversation().ask("which alerts fired most in #ops-alerts this week?")
    assert (
        f"1. **HighErrorRate** (checkout): fired 12 times, resolved 11 times, last 17 Mar 2026 08:15 UTC, "
        f"[latest message]({LINK})"
    ) in text
    assert "2. **IngestLag**: fired once, resolved once, last 12 Mar 2026 08:00 UTC" in text
    assert "in #ops-alerts between 11 Mar 2026 12:00 UTC and 18 Mar 2026 12:00 UTC" in text
    assert text.endswith(CLOSING)


@pytest.mark.parametrize(
    "question", ["how did we fix HighErrorRate in checkout last time?", "Who fixed HighErrorRate in checkout?"]
)
def test_a_fix_is_quoted_word_for_word_from_the_thread(question: str) -> None:
    conversation = Conversation()
    text = conversation.ask(question)
    assert conversation.calls[0] == (
        "search_messages",
        {"query": "HighErrorRate checkout", "author": "human", "limit": 10},
    )
    assert conversation.calls[2][0] == "read_thread"
    assert "```\nkubectl -n shop rollout undo deploy/checkout-api\n```" in text
    assert "**sre-1**" in text and FIX_THREAD["messages"][0]["permalink"] in text  # type: ignore[index]


def test_only_the_threads_closest_to_the_question_are_read() -> None:
    hits = [
        message("FIRING: CheckoutLatencyP99 checkout", 3, author="Alertmanager", reply_count=4),
        message("FIRING: CheckoutHighErrorRate checkout", 2, author="Alertmanager", reply_count=2),
        message("FIRING: CheckoutHighErrorRate checkout", 4, author="Alertmanager", reply_count=0),
        message("FIRING: CheckoutHighErrorRate checkout", 1, author="Alertmanager", reply_count=3),
    ]

    def run(name: str, args: dict[str, Any]) -> Any:
        found = {"messages": hits if args.get("author") == "bot" else []}
        return FIX_THREAD if name == "read_thread" else found

    conversation = Conversation(run=run)
    conversation.ask("how did we fix HighErrorRate in checkout?")
    assert [args["permalink"] for name, args in conversation.calls if name == "read_thread"] == [
        hits[1]["permalink"],
        hits[3]["permalink"],
    ]


def test_windows_and_places_follow_from_the_questions_before() -> None:
    conversation = Conversation()
    conversation.ask("which alerts fired most in #ops-alerts this week?")
    conversation.ask("and the week before?")
    before = {"since": "2026-03-04T12:00:00Z", "until": "2026-03-11T12:00:00Z"}
    assert conversation.calls == [counted(channel="#ops-alerts", **before)]
    conversation.ask("only for checkout")
    assert conversation.calls == [counted(query="checkout", channel="#ops-alerts", **before)]
    conversation.ask("and last month?")
    month = {"since": "2026-02-01T00:00:00Z", "until": "2026-03-01T00:00:00Z"}
    assert conversation.calls == [counted(query="checkout", channel="#ops-alerts", **month)]
    conversation.ask("what about #help-platform?")
    assert conversation.calls == [counted(query="checkout", channel="#help-platform", **month)]


def test_items_of_an_answer_can_be_pointed_at() -> None:
    conversation = Conversation()
    conversation.ask("which alerts fired this week?")
    conversation.ask("how was the first one fixed?")
    assert conversation.calls[0][1]["query"] == "HighErrorRate"
    conversation.ask("what about the second one?")
    assert conversation.calls[0][1]["query"] == "IngestLag"
    conversation.ask("when did the first one last fire?")
    assert conversation.calls == [counted(query="HighErrorRate")]
    conversation.ask("who fixed it?")
    assert conversation.calls[0][1] == {"query": "HighErrorRate", "author": "human", "limit": 10}


def test_a_found_message_can_be_read() -> None:
    conversation = Conversation()
    conversation.ask("search for OOMKilled")
    text = conversation.ask("read the second one")
    assert conversation.calls == [("read_thread", {"permalink": message("", 2)["permalink"]})]
    assert "has 3 messages by Alertmanager, oncall-a, sre-1" in text


def test_an_empty_hour_is_followed_by_a_look_at_the_day() -> None:
    conversation = Conversation()
    text = conversation.ask("what is going on with payments right now?")
    assert [args["window"] for _, args in conversation.calls] == ["1h", "24h"]
    assert "Nothing about “payments” in the last hour, but in the last 24 hours:" in text


def test_channels_and_usage_are_told_as_returned() -> None:
    assert "- **#ops-alerts** (public): nothing stored. Alerts" in Conversation().ask("what channels do you watch?")
    text = Conversation().ask("what do you cost?")
    assert "77 messages" in text and "**m1**: 3 requests, 1000 prompt tokens, 50 output tokens, $0.2500" in text


@pytest.mark.parametrize("greeting", ["hello", "help", "what can you do?", "Hi there!"])
def test_help_tells_what_the_offered_tools_allow(greeting: str) -> None:
    conversation = Conversation((SEARCH, DEPLOYS))
    text = conversation.ask(greeting)
    assert conversation.calls == []
    assert "which alerts fired most" in text and "shop__get_deploys" in text and "what channels" not in text


def test_what_is_not_offered_is_named_as_missing() -> None:
    text = Conversation((THREAD,)).ask("which alerts fired this week?")
    assert "`search_messages`, which is not offered" in text and text.endswith(CLOSING)


@pytest.mark.parametrize("question", ["get deploys of checkout", "what are the latest deployments of checkout?"])
def test_a_tool_of_a_team_is_called_when_the_words_fit(question: str) -> None:
    assert first_call(question, *TOOLS, DEPLOYS) == ("shop__get_deploys", {"service": "checkout"})


def test_arguments_come_from_enums_and_quotes() -> None:
    assert first_call("who is on call for payments right now?", *TOOLS, ON_CALL)[1] == {"team": "payments"}
    assert first_call('get deploys of "cart api"', DEPLOYS)[1] == {"service": "cart api"}


def test_a_tool_that_changes_something_is_called_only_when_told_to() -> None:
    assert first_call("how did we restart the checkout service?", *TOOLS, RESTART)[0] == "search_messages"
    assert first_call("please restart service checkout", *TOOLS, RESTART) == (
        "restart_service",
        {"service": "checkout"},
    )


def test_errors_and_odd_results_are_told_plainly() -> None:
    failing = Conversation(run=lambda _name, _args: "There is no channel #nowhere.")
    assert "> There is no channel #nowhere." in failing.ask("which alerts fired in #nowhere?")
    assert "There is no channel" in failing.ask("how did we fix HighErrorRate?")
    nothing = Conversation(run=lambda _name, _args: {"total": 0})
    assert "I found nothing. I looked for “flux capacitor”" in nothing.ask("search for flux capacitor")
    assert "I found no message about **HighErrorRate**" in nothing.ask("how did we fix HighErrorRate?")
    cut = json.dumps({"channel": None, "total": 2, "messages": [message("disk full"), message("two")]})[:-90]
    assert "disk full" in Conversation(run=lambda _name, _args: cut).ask("search for disks")
    alerts = json.dumps(ALERTS)[:-20]
    assert "**HighErrorRate** (checkout): fired 12 times" in Conversation(run=lambda *_: alerts).ask("top alerts")


def test_without_tools_it_answers_from_what_is_there() -> None:
    call = ToolCall("search_messages", '{"group_by": "alert"}', "call_1")
    messages = [
        ChatMessage("human", "which alerts fired this week?"),
        ChatMessage("ai", "", (call,)),
        ChatMessage("tool", json.dumps(ALERTS), tool_call_id="call_1"),
        ChatMessage("human", "You have reached the limit. Answer now."),
    ]
    text = plan(ChatRequest("m", tuple(messages))).text
    assert text.startswith("I stopped at a limit") and "HighErrorRate" in text
    assert "No tools are offered" in plan(ChatRequest("m", (messages[0],))).text


def test_one_call_at_a_time_when_parallel_calls_are_off() -> None:
    asked = ChatMessage("human", "how did we fix HighErrorRate?")
    reply: Reply = plan(ChatRequest("m", (asked,), TOOLS, parallel=False))
    assert len(reply.tool_calls) == 1


async def serve(models: ModelServer) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.add_routes(models.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/v1"


@pytest.fixture
async def chat() -> AsyncIterator[ChatOpenAI]:
    runner, url = await serve(ModelServer(brain="planner"))
    async with httpx2.AsyncClient(trust_env=False) as http:
        yield ChatOpenAI(model="demo", base_url=url, api_key=SecretStr("x"), max_retries=0, http_async_client=http)
    await runner.cleanup()


async def test_a_conversation_over_http_with_the_real_client(chat: ChatOpenAI) -> None:
    functions = [{"name": t.name, "description": t.description, "parameters": t.parameters} for t in TOOLS]
    bound = chat.bind_tools([{"type": "function", "function": function} for function in functions])
    messages: list[AnyMessage] = [SystemMessage(SYSTEM)]
    answers = []
    for question in ("which alerts fired most this week?", "how was the first one fixed?"):
        messages.append(HumanMessage(question))
        while True:
            reply = await bound.ainvoke(messages)
            assert isinstance(reply, AIMessage)
            messages.append(reply)
            if not reply.tool_calls:
                answers.append(reply.text)
                break
            results = [(call, answer(call["name"], call["args"])) for call in reply.tool_calls]
            messages += [ToolMessage(json.dumps(value), tool_call_id=call["id"]) for call, value in results]
    assert re.search(r"1\. \*\*HighErrorRate\*\*", answers[0])
    assert "kubectl -n shop rollout undo" in answers[1]
    assert all(text.endswith(CLOSING) for text in answers)
