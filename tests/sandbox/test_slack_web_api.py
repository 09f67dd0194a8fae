from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from sandbox.client import SandboxClient, SandboxRefused
from sandbox.server import Sandbox, SandboxConfig, open_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with open_sandbox(SandboxConfig(rate_limits=False)) as opened:
        person = opened.workspace.add_user("oncall-a", email="oncall-a@example.com")
        opened.workspace.add_channel("ops", members=[person.id, opened.bot_user_id])
        opened.workspace.add_channel("elsewhere", members=[person.id])
        opened.workspace.add_channel("secret", is_private=True, members=[person.id])
        yield opened


@pytest.fixture
async def people(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with SandboxClient(sandbox.url) as client:
        yield client


@pytest.fixture
def slack(sandbox: Sandbox) -> AsyncWebClient:
    return AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url, retry_handlers=[])


@pytest.fixture
def ops(sandbox: Sandbox) -> str:
    return sandbox.workspace.channel_named("ops").id


async def refusal(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    response: AsyncSlackResponse = caught.value.response
    return str(response["error"])


async def test_tokens_are_checked(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    answer = await slack.auth_test()
    assert (answer["user_id"], answer["team_id"]) == (sandbox.bot_user_id, sandbox.team_id)
    assert "chat:write" in answer.headers["x-oauth-scopes"]
    assert await refusal(slack.auth_test(token="xoxb-wrong")) == "invalid_auth"
    assert await refusal(AsyncWebClient(base_url=sandbox.slack_api_url).auth_test()) == "not_authed"
    assert await refusal(slack.auth_test(token=sandbox.app_token)) == "not_allowed_token_type"
    assert await refusal(slack.api_call("no.such")) == "unknown_method"


async def test_a_post_keeps_its_metadata_for_those_who_ask(slack: AsyncWebClient, ops: str) -> None:
    metadata = {"event_type": "answer", "event_payload": {"turn": "7"}}
    parent = await slack.chat_postMessage(channel=ops, text="parent")
    await slack.chat_postMessage(channel=ops, text="child", thread_ts=parent["ts"], metadata=metadata)
    plain = await slack.conversations_replies(channel=ops, ts=parent["ts"])
    assert [m["text"] for m in plain["messages"]] == ["parent", "child"]
    assert "metadata" not in plain["messages"][1]
    full = await slack.conversations_replies(channel=ops, ts=parent["ts"], include_all_metadata=True)
    assert full["messages"][1]["metadata"] == metadata
    assert plain["messages"][0]["reply_count"] == 1
    assert plain["messages"][0]["latest_reply"] == plain["messages"][1]["ts"]


def section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def buttons(count: int) -> list[dict[str, Any]]:
    text = {"type": "plain_text", "text": "x"}
    return [{"type": "button", "text": text, "action_id": f"a{number}"} for number in range(count)]


def table(rows: int, columns: int, text: str = "x") -> dict[str, Any]:
    return {"type": "table", "rows": [[{"type": "raw_text", "text": text}] * columns] * rows}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"channel": "C404"}, "channel_not_found"),
        ({"channel": "elsewhere"}, "not_in_channel"),
        ({"channel": "secret"}, "channel_not_found"),
        ({"text": " "}, "no_text"),
        ({"thread_ts": "1700000000.000100"}, "thread_not_found"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": ""}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 3001}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}, "invalid_blocks"),
        ({"blocks": [{"type": "divider"}] * 51}, "invalid_blocks"),
        ({"blocks": [{"type": "nonsense"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "markdown", "text": "x" * 12001}]}, "msg_blocks_too_long"),
        (
            {"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "x" * 2700}}] * 5},
            "msg_blocks_too_long",
        ),
        ({"markdown_text": "x" * 12001, "text": None}, "msg_too_long"),
        ({"markdown_text": "x"}, "markdown_text_conflict"),
        ({"blocks": "{"}, "invalid_blocks_format"),
        ({"blocks": [{"type": "markdown", "text": ""}]}, "invalid_blocks"),
        ({"blocks": [{"type": "markdown", "text": " \n"}]}, "invalid_blocks"),
        ({"blocks": [{"type": "markdown", "text": "x" * 6001}] * 2}, "msg_blocks_too_long"),
        ({"blocks": [{"type": "markdown", "text": "x" * 12000}, section("y" * 1201)]}, "msg_blocks_too_long"),
        ({"blocks": [section("x"), {**section("y"), "block_id": "b" * 256}]}, "invalid_blocks"),
        ({"blocks": [{**section("x"), "block_id": "b"}] * 2}, "invalid_blocks"),
        ({"blocks": [{"type": "actions", "elements": buttons(26)}]}, "invalid_blocks"),
        ({"blocks": [{"type": "actions", "elements": []}]}, "invalid_blocks"),
        ({"blocks": [table(101, 1)]}, "invalid_blocks"),
        ({"blocks": [table(1, 21)]}, "invalid_blocks"),
        ({"blocks": [table(1, 0)]}, "invalid_blocks"),
        ({"blocks": [table(0, 1)]}, "invalid_blocks"),
        ({"blocks": [table(1, 1, "")]}, "invalid_blocks"),
        ({"blocks": [table(1, 1), table(1, 1)]}, "invalid_blocks"),
        ({"blocks": [{"type": "rich_text", "elements": [{"type": "text", "text": ""}]}]}, "invalid_blocks"),
        ({"metadata": {"event_type": "x"}}, "invalid_metadata_format"),
    ],
)
async def test_what_slack_refuses_is_refused(
    slack: AsyncWebClient, ops: str, fields: dict[str, Any], error: str
) -> None:
    given = {"channel": ops, "text": "hello", **fields}
    assert await refusal(slack.api_call("chat.postMessage", json=given)) == error


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "markdown", "text": "x" * 12000}, section("y" * 1200)],
        [{"type": "divider"}] * 50,
        [section("x" * 3000)],
        [{"type": "header", "text": {"type": "plain_text", "text": "x" * 150}}],
        [{"type": "actions", "elements": buttons(25)}],
        [table(100, 20)],
    ],
)
async def test_what_is_just_within_the_limits_is_taken(
    slack: AsyncWebClient, ops: str, blocks: list[dict[str, Any]]
) -> None:
    assert (await slack.chat_postMessage(channel=ops, text="hello", blocks=blocks))["ok"]


async def test_long_text_is_cut(slack: AsyncWebClient, ops: str) -> None:
    posted = await slack.chat_postMessage(channel=ops, text="x" * 40_001)
    assert len(posted["message"]["text"]) == 40_000


async def test_history_pages_backwards_without_replies(slack: AsyncWebClient, people: SandboxClient, ops: str) -> None:
    times = [f"17000000{number:02d}.000100" for number in range(10)]
    for ts in times:
        await people.say(ops, ts, user="oncall-a", ts=ts, silent=True)
    await people.say(ops, "reply", user="oncall-a", ts="1700000099.000100", thread_ts=times[3], silent=True)
    pages: list[list[str]] = []
    cursor = None
    while cursor != "":
        page = await slack.conversations_history(channel=ops, limit=4, cursor=cursor)
        pages.append([m["ts"] for m in page["messages"]])
        cursor = page["response_metadata"]["next_cursor"]
        assert page["has_more"] == bool(cursor)
    assert [len(page) for page in pages] == [4, 4, 2]
    assert [ts for page in pages for ts in page] == times[::-1]
    between = {"channel": ops, "oldest": times[2], "latest": times[5]}
    found = await slack.conversations_history(**between)
    assert [m["ts"] for m in found["messages"]] == [times[4], times[3]]
    found = await slack.conversations_history(**between, inclusive=True)
    assert [m["ts"] for m in found["messages"]] == times[5:1:-1]
    assert await refusal(slack.conversations_history(channel=ops, cursor="???")) == "invalid_cursor"


async def test_replies_page_forwards(slack: AsyncWebClient, ops: str) -> None:
    parent = await slack.chat_postMessage(channel=ops, text="0")
    for number in range(1, 8):
        await slack.chat_postMessage(channel=ops, text=str(number), thread_ts=parent["ts"])
    texts: list[str] = []
    cursor = None
    while cursor != "":
        page = await slack.conversations_replies(channel=ops, ts=parent["ts"], limit=3, cursor=cursor)
        texts += [m["text"] for m in page["messages"]]
        cursor = page["response_metadata"]["next_cursor"]
    assert texts == list("01234567")
    assert await refusal(slack.conversations_replies(channel=ops, ts="1.1")) == "thread_not_found"


async def test_an_update_keeps_what_it_does_not_mention(slack: AsyncWebClient, ops: str) -> None:
    metadata = {"event_type": "answer", "event_payload": {}}
    posted = await slack.chat_postMessage(channel=ops, text="draft", metadata=metadata)
    updated = await slack.chat_update(channel=ops, ts=posted["ts"], text="final")
    assert updated["message"]["text"] == "final"
    assert updated["message"]["metadata"] == metadata
    assert updated["message"]["edited"]["user"] == posted["message"]["user"]
    await slack.chat_delete(channel=ops, ts=posted["ts"])
    assert await refusal(slack.chat_update(channel=ops, ts=posted["ts"], text="x")) == "message_not_found"


async def test_only_its_own_messages_can_be_changed(slack: AsyncWebClient, people: SandboxClient, ops: str) -> None:
    ts = await people.say(ops, "mine", user="oncall-a")
    assert await refusal(slack.chat_update(channel=ops, ts=ts, text="x")) == "cant_update_message"
    assert await refusal(slack.chat_delete(channel=ops, ts=ts)) == "cant_delete_message"


async def test_permalinks_name_the_thread(slack: AsyncWebClient, sandbox: Sandbox, ops: str) -> None:
    parent = await slack.chat_postMessage(channel=ops, text="parent")
    child = await slack.chat_postMessage(channel=ops, text="child", thread_ts=parent["ts"])
    link = (await slack.chat_getPermalink(channel=ops, message_ts=child["ts"]))["permalink"]
    expected = f"{sandbox.url}/archives/{ops}/p{child['ts'].replace('.', '')}"
    assert link == f"{expected}?thread_ts={parent['ts']}&cid={ops}"


async def test_a_reaction_is_given_once(slack: AsyncWebClient, ops: str) -> None:
    posted = await slack.chat_postMessage(channel=ops, text="good?")
    item = {"channel": ops, "timestamp": posted["ts"]}
    await slack.reactions_add(name="eyes", **item)
    assert await refusal(slack.reactions_add(name="eyes", **item)) == "already_reacted"
    shown = await slack.reactions_get(**item)
    assert shown["message"]["reactions"][0]["name"] == "eyes"
    await slack.reactions_remove(name="eyes", **item)
    assert await refusal(slack.reactions_remove(name="eyes", **item)) == "no_reaction"


async def test_conversations_are_listed_as_far_as_the_bot_sees(
    slack: AsyncWebClient, sandbox: Sandbox, people: SandboxClient
) -> None:
    for number in range(5):
        await people.create_channel(f"team-{number}", members=["ratchet"])
    person = sandbox.workspace.user_named("oncall-a").id
    dm = (await slack.conversations_open(users=[person]))["channel"]["id"]
    assert dm.startswith("D")
    names = []
    pages = await slack.conversations_list(limit=3, types="public_channel,private_channel,im")
    async for page in pages:
        names += [c.get("name", c["id"]) for c in page["channels"]]
    assert names == ["ops", "elsewhere", *(f"team-{n}" for n in range(5)), dm]
    shared = await slack.users_conversations(user=person, types="public_channel,private_channel,im")
    assert [c["id"] for c in shared["channels"]] == [sandbox.workspace.channel_named("ops").id, dm]
    joined = await slack.conversations_join(channel=sandbox.workspace.channel_named("elsewhere").id)
    assert joined["channel"]["is_member"]
    found = await slack.users_lookupByEmail(email="Oncall-A@example.com")
    assert found["user"]["id"] == person
    assert await refusal(slack.users_info(user="U404")) == "user_not_found"


async def test_files_go_up_and_come_down(slack: AsyncWebClient, sandbox: Sandbox, ops: str) -> None:
    await slack.files_upload_v2(channel=ops, content="a,b\n1,2\n", filename="t.csv", initial_comment="data")
    message = (await slack.conversations_history(channel=ops))["messages"][0]
    assert (message["text"], message["files"][0]["name"]) == ("data", "t.csv")
    url = message["files"][0]["url_private"]
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers={"Authorization": f"Bearer {sandbox.bot_token}"}) as response:
            assert await response.text() == "a,b\n1,2\n"
        async with session.get(url) as response:
            assert response.content_type == "text/html"


async def test_a_post_may_be_accepted_and_its_answer_lost(
    slack: AsyncWebClient, people: SandboxClient, ops: str
) -> None:
    await people.fault("chat.postMessage", "drop_after_accept")
    with pytest.raises(aiohttp.ClientError):
        await slack.chat_postMessage(channel=ops, text="did it arrive?")
    await people.fault("chat.postMessage", "drop_before_accept")
    with pytest.raises(aiohttp.ClientError):
        await slack.chat_postMessage(channel=ops, text="this one did not")
    assert [m["text"] for m in await people.messages(ops)] == ["did it arrive?"]
    calls = (await people.ledger())["calls"]
    assert [(c["ok"], c["fault"]) for c in calls] == [
        (True, "drop_after_accept"),
        (False, "drop_before_accept"),
    ]


async def test_faults_hit_as_often_as_asked(slack: AsyncWebClient, people: SandboxClient, ops: str) -> None:
    await people.fault("chat.postMessage", "error", error="internal_error", times=2)
    await people.fault("chat.postMessage", "http", status=503)
    await people.fault("chat.postMessage", "ratelimited", retry_after=7)
    await people.fault("chat.postMessage", "delay", seconds=0.05)
    assert await refusal(slack.chat_postMessage(channel=ops, text="1")) == "internal_error"
    assert await refusal(slack.chat_postMessage(channel=ops, text="2")) == "internal_error"
    with pytest.raises(SlackApiError) as unavailable:
        await slack.chat_postMessage(channel=ops, text="3")
    assert unavailable.value.response.status_code == 503
    with pytest.raises(SlackApiError) as limited:
        await slack.chat_postMessage(channel=ops, text="4")
    assert limited.value.response.headers["Retry-After"] == "7"
    assert (await slack.chat_postMessage(channel=ops, text="5"))["ok"]
    with pytest.raises(SandboxRefused, match="invalid_arguments"):
        await people.fault("chat.postMessage", "meteor")


async def test_posts_are_limited_to_one_a_second_and_channel(
    slack: AsyncWebClient, sandbox: Sandbox, people: SandboxClient, ops: str
) -> None:
    await people.limits(rate_limits=True)
    with pytest.raises(SlackApiError) as caught:
        for number in range(10):
            await slack.chat_postMessage(channel=ops, text=str(number))
    assert caught.value.response["error"] == "ratelimited"
    assert caught.value.response.status_code == 429
    assert len(await people.messages(ops)) == 5
    slack.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=2))
    assert (await slack.chat_postMessage(channel=ops, text="patience"))["ok"]


async def test_statuses_and_prompts_are_kept(
    slack: AsyncWebClient, sandbox: Sandbox, people: SandboxClient, ops: str
) -> None:
    ts = await people.say(ops, "question", user="oncall-a")
    await slack.assistant_threads_setStatus(channel_id=ops, thread_ts=ts, status="is thinking")
    await slack.agents_sessions_setStatus(channel_id=ops, thread_ts=ts, status="processing")
    dm = await people.dm("oncall-a")
    prompts = [{"title": "Alerts", "message": "What fired today?"}]
    await slack.assistant_threads_setSuggestedPrompts(channel_id=dm, prompts=prompts)
    statuses = (await people.ledger())["statuses"]
    assert [(s["kind"], s["status"]) for s in statuses] == [
        ("assistant", "is thinking"),
        ("session", "processing"),
    ]
    five = slack.assistant_threads_setSuggestedPrompts(channel_id=dm, prompts=prompts * 5)
    assert await refusal(five) == "invalid_arguments"
    assert sandbox.slack.prompts[dm, ""]["prompts"] == prompts
