"""A turn as people see it while it runs: status, steps, text, and one message at the end, whatever happens."""

import asyncio
import contextlib
import io
import json
import time
from types import SimpleNamespace

import pytest
from langchain_core.tools import tool
from rich.console import Console

from ratchet.demo_terminal import Terminal
from ratchet.sections import Policy, PolicySettings
from slack_app.parts import LONGEST_PART
from tests.e2e.conftest import is_growing, text_of

STORY = "\n".join(
    f"{number}. The pod was killed because its memory grew past the limit that was set for it." for number in range(12)
)


@tool(extras={"effect": "read", "doing": "Counting {kind|all} pods[ of {service}]"})
async def count_pods(seconds: float, kind: str = "", service: str = "") -> list[str]:
    """Count pods.

    Args:
        seconds: how long it takes.
        kind: which ones.
        service: of which service.
    """
    await asyncio.sleep(seconds)
    return ["pod-1", "pod-2"]


def steps(*seconds, text=STORY, chunk_delay=0.02, **last):
    """A turn that counts pods once for each entry, which is how long that takes."""
    counts = [
        {"tool_calls": [{"name": "count_pods", "args": {"seconds": pause, "service": f"api-{number}"}}], "delay": 0.1}
        for number, pause in enumerate(seconds)
    ]
    return [{"match": "why", "steps": [*counts, {"text": text, "chunk_delay": chunk_delay, "delay": 0.3, **last}]}]


@pytest.fixture(autouse=True)
def pods(world, monkeypatch):
    """A tool that takes its time, and is allowed."""
    allowed = {"policies": PolicySettings(default=Policy(tools=["@read", "count_pods"]))}
    settings = world.settings().model_copy(update=allowed)
    monkeypatch.setattr(world, "settings", lambda: settings)
    offered = SimpleNamespace(name="test", value="tests", load=lambda: [count_pods])
    monkeypatch.setattr("tools.registry.entry_points", lambda group: [offered])


class Onlooker:
    """Keeps what a person would see in a thread, with the seconds since the question."""

    def __init__(self, world):
        self.world = world
        self.items = []

    async def __aenter__(self):
        self._watch = self.world.client.watch()
        feed = await self._watch.__aenter__()
        self.began = time.monotonic()
        self._task = asyncio.create_task(self._keep(feed))
        return self

    async def _keep(self, feed):
        async for item in feed:
            self.items.append((time.monotonic() - self.began, item))

    async def __aexit__(self, *error):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._watch.__aexit__(*error)

    def of(self, kind, **fields):
        return [
            (at, item)
            for at, item in self.items
            if item["type"] == kind and all(item.get(name) == value for name, value in fields.items())
        ]


async def ask(world, question="why did it die?", channel="ops"):
    return await world.client.say(channel, f"<@{world.sandbox.bot_user_id}> {question}", user="oncall-a")


async def calls(world, method):
    return [call for call in (await world.client.ledger())["calls"] if call["method"] == method]


async def stored(services, word):
    async with asyncio.timeout(20), services.database.connection() as conn:
        while not await (await conn.execute("select 1 from messages where strpos(text, %s) > 0", (word,))).fetchone():
            await asyncio.sleep(0.05)


async def nothing_grows(world, thread, channel="ops"):
    return not [message for message in await world.client.messages(channel, thread) if is_growing(message)]


@pytest.fixture
def quick(monkeypatch):
    """Live messages at ten times their pace."""

    def hasten(services, **times):
        stage = services.answering._stage
        for name, value in {"grace": 0.05, "stream_seconds": 0.1, "edit_seconds": 0.15, **times}.items():
            monkeypatch.setattr(stage, name, value)
        return services

    return hasten


async def test_a_long_turn_is_followed_from_its_status_to_its_one_answer(world, quick):
    await world.client.script(steps(1.2, 1.2))
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
        ledger = await world.client.ledger()
    assert answer == STORY and await nothing_grows(world, thread)
    assert next(at for at, _ in seen.of("status")) < 2.0
    assert [status["status"] for status in ledger["statuses"] if status["kind"] == "session"] == [
        "processing",
        "active",
    ]
    tasks = [tuple((task["title"], task["status"]) for task in item["tasks"]) for _, item in seen.of("stream")]
    first, second = "Counting all pods of api-0", "Counting all pods of api-1"
    assert list(dict.fromkeys(tasks)) == [
        ((first, "in_progress"),),
        *([((first, "complete"),)] if ((first, "complete"),) in tasks else []),
        ((first, "complete"), (second, "in_progress")),
        ((first, "complete"), (second, "complete")),
    ]
    outputs = {task.get("output") for _, item in seen.of("stream") for task in item["tasks"]} - {None}
    assert outputs == {"2 results"}
    texts = [item["text"] for _, item in seen.of("stream") if item["text"]]
    assert len(set(texts)) > 3 and all(STORY.startswith(text) for text in texts)
    kinds = [item["type"] for _, item in seen.items if item["type"] in ("status", "stream", "update")]
    assert kinds.index("status") < kinds.index("stream") < kinds.index("update")
    [message] = await world.posts("ops", thread)
    assert message["metadata"]["event_type"] == "ratchet_post" and not await calls(world, "chat.postMessage")


async def test_a_turn_that_was_over_when_its_worker_died_leaves_no_session_under_way(world):
    await world.client.script(steps(0.0, text="It ran out of memory.", chunk_delay=0))
    async with world.ratchet() as services:
        thread = await ask(world)
        await world.answers("ops", thread)
        async with services.database.connection() as conn:
            [(turn_id,)] = await (await conn.execute("select turn_id from turns")).fetchall()
        services.answering._stage.set_session(world.sandbox.workspace.channel_named("ops").id, thread, "processing")
        await services.answering.answer(turn_id)
        async with asyncio.timeout(5):
            while (await world.client.ledger())["statuses"][-1]["status"] != "active":
                await asyncio.sleep(0.02)


async def test_a_quick_turn_is_just_posted(world):
    await world.client.script(steps(0.0, text="It ran out of memory.", chunk_delay=0))
    async with world.ratchet() as services:
        services.answering._stage.grace = 30
        thread = await ask(world)
        assert await world.answers("ops", thread) == ["It ran out of memory."]
    assert len(await calls(world, "chat.postMessage")) == 1 and not await calls(world, "chat.startStream")


async def test_a_stream_that_slack_cuts_off_goes_on_and_ends_whole(world, quick):
    await world.client.limits(stream_seconds=0.5)
    await world.client.script(steps(1.0, 1.0))
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
    assert answer == STORY and await nothing_grows(world, thread)
    edits = [text_of(item) for _, item in seen.of("update", thread_ts=thread)]
    assert any("Counting all pods of api-1" in text and "0. The pod" in text for text in edits)


@pytest.mark.parametrize("error", ["unknown_method", "missing_scope", "channel_type_not_supported"])
async def test_where_slack_streams_nothing_one_message_is_edited(world, quick, error):
    await world.client.fault("chat.startStream", "error", error=error, times=100)
    await world.client.script(steps(0.8, 0.8))
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
        again = await ask(world, "and why again?")
        await world.answers("ops", again)
    assert answer == STORY and len(await calls(world, "chat.startStream")) == 1
    shown = [text_of(item) for _, item in [*seen.of("message"), *seen.of("update")] if item.get("thread_ts") == thread]
    assert any(text.startswith("⏳ Counting all pods of api-0") for text in shown)
    assert any("✓ Counting all pods of api-0 — 2 results" in text for text in shown)


async def test_a_long_answer_goes_on_below_the_message_that_grew(world, quick):
    long = "\n\n".join(f"Paragraph {number}. " + "word " * 60 for number in range(50))
    await world.client.script(steps(0.5, text=long, chunk_delay=0.002))
    async with world.ratchet() as services:
        quick(services)
        thread = await ask(world)
        parts = await world.answers("ops", thread, count=2)
    assert len(long) > LONGEST_PART and [part.split("\n")[-1] for part in parts] == ["_Part 1/2_", "_Part 2/2_"]
    assert all(f"Paragraph {number}." in "".join(parts) for number in range(50))
    assert len(await calls(world, "chat.startStream")) == 1 and len(await calls(world, "chat.postMessage")) == 1


async def test_a_secret_is_never_streamed_and_nobody_is_notified(world, quick):
    secret = "xoxb-" + "1234567890-abcdefghijkl"
    key = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIabc def\n" * 5 + "-----END RSA PRIVATE KEY-----"
    text = f"{STORY}\nThe token is {secret} and the key\n{key}\nso tell @channel about it.\n{STORY}"
    await world.client.script(steps(0.4, text=text))
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
    streamed = json.dumps([item for _, item in seen.items if item["type"] in ("stream", "update", "message")][1:])
    assert "[redacted]" in answer and "[redacted]" in streamed
    assert "xoxb-" not in streamed and "MIIabc" not in streamed and "@channel" not in answer
    assert all("@channel" not in (item.get("text") or "") for _, item in seen.of("stream"))


async def test_words_before_a_tool_call_and_of_a_broken_attempt_are_not_in_the_answer(world, quick):
    words = "Let me look into this. " * 8 + "\n"
    script = [
        {
            "match": "why",
            "steps": [
                {
                    "text": words,
                    "chunk_delay": 0.02,
                    "tool_calls": [{"name": "search_messages", "args": {"query": "OOMKilled"}}],
                },
                {"text": f"{STORY}\n", "chunk_delay": 0.02, "drop_stream_after": 60, "delay": 0.3},
            ],
        }
    ]
    await world.client.script(script)
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
    assert answer == STORY and await nothing_grows(world, thread)
    assert any(words.strip() in item["text"] for _, item in seen.of("stream"))


async def test_429s_in_the_middle_lose_nothing(world, quick):
    for method in ("chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"):
        await world.client.fault(method, "delay", seconds=0)
    await world.client.fault("chat.appendStream", "ratelimited", retry_after=1, times=2)
    await world.client.fault("chat.stopStream", "ratelimited", retry_after=1)
    await world.client.fault("chat.update", "ratelimited", retry_after=1)
    await world.client.script(steps(0.8, 0.8))
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
    assert answer == STORY and await nothing_grows(world, thread)
    assert {item["text"] for _, item in seen.of("stream")} - {""}


@pytest.mark.parametrize("fault", [{"kind": "ratelimited", "retry_after": 1}, {"kind": "http", "status": 500}])
async def test_a_stream_that_slack_does_not_begin_leaves_the_status_line_and_a_post(world, quick, fault):
    await world.client.fault("chat.startStream", **fault)
    await world.client.script(steps(0.5))
    async with world.ratchet() as services:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
        statuses = [status["status"] for status in (await world.client.ledger())["statuses"]]
    assert answer == STORY and await nothing_grows(world, thread)
    assert "is counting all pods of api-0…" in statuses and len(await calls(world, "chat.postMessage")) == 1


@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream", "chat.update"])
@pytest.mark.parametrize("kind", ["drop_after_accept", "drop_before_accept"])
async def test_whatever_happens_to_a_response_there_is_one_answer(world, quick, method, kind):
    await world.client.fault(method, kind)
    await world.client.script(steps(0.5))
    async with world.ratchet() as services:
        quick(services)
        services.slack.outbox._patience = 1.0
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
    assert answer == STORY and await nothing_grows(world, thread)


async def test_a_reader_who_stops_the_stream_reads_in_it_that_it_was_stopped(world, quick):
    await world.client.script(steps(1.0))
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        thread = await ask(world)
        while not seen.of("stream"):
            await asyncio.sleep(0.02)
        await world.client.stop("ops", thread, user="oncall-a")
        [answer] = await world.answers("ops", thread)
    assert answer.startswith("Stopped by") and await nothing_grows(world, thread)


async def test_a_message_that_cannot_become_the_answer_is_replaced_by_it(world, quick):
    await world.client.script(steps(0.5))
    await world.client.fault("chat.update", "error", error="cant_update_message", times=5)
    async with world.ratchet() as services:
        quick(services)
        thread = await ask(world)
        [answer] = await world.answers("ops", thread)
    [message] = await world.posts("ops", thread)
    assert answer == STORY and not message.get("streaming_state") and await nothing_grows(world, thread)


@pytest.mark.parametrize("seconds", [None, 1.0], ids=["quick turns", "live turns"])
async def test_thirty_threads_of_one_channel_are_answered_within_slacks_limits(world, seconds):
    answer = {"text": "because of {human}"}
    count = {"tool_calls": [{"name": "count_pods", "args": {"seconds": seconds}}]}
    await world.client.script([{"match": "why", "steps": [count, answer] if seconds else [answer]}])
    await world.client.limits(rate_limits=True)
    async with world.ratchet():
        threads = await asyncio.gather(*(ask(world, f"why {number}") for number in range(30)))
        for number, thread in enumerate(threads):
            [answer] = await world.answers("ops", thread, seconds=120)
            assert f"why {number} " in f"{answer} " and await nothing_grows(world, thread)
    made = [call for call in (await world.client.ledger())["calls"] if call["method"].startswith("chat.")]
    assert {call["error"] for call in made} == {None}
    streamed = [call for call in made if call["method"] == "chat.startStream"]
    assert bool(streamed) == bool(seconds) and len(streamed) < 30


async def test_what_may_not_be_read_here_is_not_streamed_either(world, quick):
    """Live text rests on what the tools gave, and these give a thread only what all who read it may read."""
    script = [
        {
            "match": "why",
            "steps": [
                {"tool_calls": [{"name": "search_messages", "args": {"query": "canary died", "channel": "#secrets"}}]},
                {"tool_calls": [{"name": "search_messages", "args": {"query": "canary died"}}]},
                {"text": "{tool[0]} {tool[1]}\n" + STORY, "chunk_delay": 0.02, "delay": 0.3},
            ],
        }
    ]
    await world.client.script(script)
    async with world.ratchet() as services, Onlooker(world) as seen:
        quick(services)
        await world.client.say("secrets", "The canary died of CANARYWORD.", user="oncall-a")
        await stored(services, "CANARYWORD")
        thread = await ask(world)
        await world.answers("ops", thread)
    shown = json.dumps([item for _, item in seen.items if item.get("thread_ts") == thread])
    assert "CANARYWORD" not in shown and "Searching" in shown


async def test_the_demos_terminal_shows_the_steps_and_then_the_answer(world, quick):
    await world.client.script(steps(0.5, 0.5, text="It ran out of memory."))
    shown = io.StringIO()
    console = Console(file=shown, width=120)
    terminal = Terminal(world.client, world.sandbox.workspace, console, user="oncall-a", channel="ops")
    async with world.ratchet() as services:
        quick(services)
        assert await terminal.ask_once("why did it die?")
    lines = [line.strip() for line in shown.getvalue().splitlines()]
    for number in (0, 1):
        begun = lines.index(f"… Counting all pods of api-{number}")
        assert lines.index(f"✓ Counting all pods of api-{number} — 2 results") > begun
    assert lines.count("ratchet:") == 1 and "_Hypothesis:_ It ran out of memory." in lines
