"""One run's own world: a workspace, a database, a ledger of effects, and the Ratchet processes connected to them."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from benchmarks.faults import effect
from benchmarks.faults.points import Action
from benchmarks.faults.processes import Launcher, Process
from sandbox.client import SandboxClient
from sandbox.server import Sandbox, SandboxConfig, open_sandbox

CHANNEL = "ops"
PERSON = "oncall-a"
RECOVERY_SECONDS = 45.0
STOP_SECONDS = 30.0
STALLED_SECONDS = 4
QUIET_SECONDS = 1.5  # how long a second answer may take to show, once nothing is left to do
POLL_SECONDS = 0.05
CHUNK_SECONDS = 0.05
OURS = ("RATCHET_", "DATABASE_", "OPENAI_", "OLLAMA_", "SLACK_", "LANGSMITH_", "LANGCHAIN_")
SETTINGS = {
    "LANGSMITH_TRACING": "false",
    "RATCHET_HTTP_ADDR": "127.0.0.1:0",
    "RATCHET_DATABASE__POOL_SIZE": "10",
    "RATCHET_JOBS__HEARTBEAT_SECONDS": "1",
    "RATCHET_JOBS__STALLED_SECONDS": str(STALLED_SECONDS),
    "RATCHET_POLICIES__DEFAULT__TOOLS": f'["@read", "{effect.NAME}"]',
}
LEFT = "select count(*) from procrastinate_jobs where queue_name = 'turns' and status in ('todo', 'doing')"
UNPOSTED = "select count(*) from posts where state in ('pending', 'sending')"


def answer_to(question: str) -> str:
    """How an answer to a question can be known: the scripted model repeats it. Thread messages may precede it."""
    return f"{question}: the tool says"


def script(*, delay: float = 0.0, live: bool = False) -> list[dict[str, Any]]:
    """The model: leave a note, then (after ``delay`` seconds) answer with what the tool said; ``live``: at length."""
    call = {"name": effect.NAME, "args": {"subject": "{human}"}}
    text = answer_to("{human}") + " {tool[0]}" + (f"\n\n{'Nothing else is to be said. ' * 12}" if live else "")
    answer = {"text": text, "delay": delay, "chunk_delay": CHUNK_SECONDS if live else 0.0}
    return [{"match": ".*", "steps": [{"tool_calls": [call]}, answer]}]


@dataclass
class Arena:
    """What a scenario acts in."""

    sandbox: Sandbox
    client: SandboxClient
    launcher: Launcher
    url: str
    folder: Path
    processes: list[Process] = field(default_factory=list)

    @property
    def ledger(self) -> Path:
        """Where the tool's effects are written."""
        return self.folder / "effects"

    def start(self, point: str | None = None, action: Action = "die", **settings: object) -> Process:
        """Start a Ratchet process; ``settings`` are variables without their prefix."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        environment |= {
            **SETTINGS,
            **self.sandbox.environment(),
            "DATABASE_URL": self.url,
            effect.LEDGER: str(self.ledger),
            **{f"RATCHET_{name.upper()}": str(value) for name, value in settings.items()},
        }
        process = self.launcher.start(environment, folder=self.folder, point=point, action=action)
        self.processes.append(process)
        return process

    async def admit(self, person: str) -> None:
        """Let somebody new into the channel."""
        await self.client.create_user(person)
        await self.client.join(CHANNEL, person)

    async def ask(self, question: str, thread_ts: str | None = None, *, user: str = PERSON) -> str:
        """Mention Ratchet; returns the message's ts."""
        text = f"<@{self.sandbox.bot_user_id}> {question}"
        return await self.client.say(CHANNEL, text, user=user, thread_ts=thread_ts)

    async def answers(self, thread_ts: str) -> list[str]:
        """What Ratchet wrote into a thread, in order."""
        found = await self.client.messages(CHANNEL, thread_ts)
        bot = self.sandbox.bot_user_id
        return [
            _shown(message)
            for message in found
            if message.get("user") == bot and message["ts"] != thread_ts and not _grows(message)
        ]

    async def growing(self, thread_ts: str) -> int:
        """How many messages of a thread are a turn's progress; none may be, once all is quiet."""
        return sum(_grows(message) for message in await self.client.messages(CHANNEL, thread_ts))

    async def strays(self) -> list[str]:
        """What Ratchet wrote outside of threads, where nothing belongs."""
        found = await self.client.messages(CHANNEL)
        bot = self.sandbox.bot_user_id
        return [
            _shown(message)
            for message in found
            if message.get("user") == bot and message.get("thread_ts") in (None, message["ts"])
        ]

    async def connected(self, processes: int) -> bool:
        """Wait until this many processes receive events."""
        sockets = 2 * processes
        return await until(lambda: self.sandbox.slack.sockets.connected >= sockets, RECOVERY_SECONDS)

    async def answered(self, thread_ts: str, count: int = 1, seconds: float = RECOVERY_SECONDS) -> bool:
        """Wait until a thread has ``count`` answers."""

        async def enough() -> bool:
            return len(await self.answers(thread_ts)) >= count

        return await until(enough, seconds)

    async def quiet(self) -> bool:
        """Wait until nothing is left to do."""

        async def idle() -> bool:
            return not self.sandbox.slack.dispatcher.waiting and not await self.value(LEFT)

        return await until(idle, RECOVERY_SECONDS)

    async def settled(self) -> bool:
        """Wait until nothing is left to do, and then a moment more, in which a second answer would show."""
        quiet = await self.quiet()
        await asyncio.sleep(QUIET_SECONDS)
        return quiet and not await self.value(UNPOSTED)

    async def value(self, statement: LiteralString, params: Sequence[Any] = ()) -> Any:
        """The first value that a statement finds in Ratchet's database."""
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as conn:
            row = await (await conn.execute(statement, params)).fetchone()
        return row[0] if row else None

    async def stop(self, process: Process) -> list[str]:
        """End a process as an operator does; says what was wrong with that."""
        await process.terminate()
        code = await process.code(STOP_SECONDS)
        return [] if code == 0 else [f"SIGTERM ended a process with {code}"]

    def log_tail(self, lines: int = 12) -> str:
        """The last lines of every process's log."""
        tails = []
        for process in self.processes:
            text = process.log.read_text(errors="replace") if process.log.is_file() else ""
            tails += [f"--- {process.log.name}", *[line[:400] for line in text.splitlines()[-lines:]]]
        return "\n".join(tails)


def _grows(message: dict[str, Any]) -> bool:
    """Whether a message is a turn's progress, and not its answer."""
    kind = (message.get("metadata") or {}).get("event_type")
    return kind in ("ratchet_progress", "ratchet_steps") or (kind is None and bool(message.get("streaming_state")))


def _shown(message: dict[str, Any]) -> str:
    blocks = message.get("blocks") or []
    return "\n".join(str(block["text"]) for block in blocks if block["type"] == "markdown") or str(message["text"])


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float) -> bool:
    """Wait for a condition; False when it did not come about."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                holds = condition()
                if holds if isinstance(holds, bool) else await holds:
                    return True
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        return False


@asynccontextmanager
async def open_arena(launcher: Launcher, url: str, *, delay: float = 0.0, live: bool = False) -> AsyncIterator[Arena]:
    """A workspace with one channel and one person, on a database of its own; ends every process in it."""
    with tempfile.TemporaryDirectory(prefix="ratchet-faults-") as folder:
        async with (
            open_sandbox(SandboxConfig(rate_limits=False)) as sandbox,
            SandboxClient(sandbox.url) as client,
        ):
            await client.create_user(PERSON)
            await client.create_channel(CHANNEL, members=[PERSON, sandbox.bot_user_id])
            await client.script(script(delay=delay, live=live))
            arena = Arena(sandbox, client, launcher, url, Path(folder))
            try:
                yield arena
            finally:
                for process in arena.processes:
                    await process.kill()
