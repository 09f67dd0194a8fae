"""The demo's terminal: a small Slack client that writes as a person and shows what a person would see."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from sandbox.client import SandboxClient, SandboxRefused
from sandbox.home_pages import home_lines
from sandbox.workspace import Workspace
from slack_app.approval_messages import APPROVE

ANSWER_SECONDS = 180.0
HOME_SECONDS = 20.0
SUGGESTION_SECONDS = 3.0
PART = re.compile(r"_Part (\d+)/(\d+)_\s*$")
TASK_MARKS = {"in_progress": "…", "complete": "✓", "error": "✗"}
HELP = """\
Type a question and press Enter. In a channel, write @ratchet where you want it to answer.
  /dm            talk with Ratchet directly
  /home          look at Ratchet's home tab
  /image FILE X  ask X with a picture
  /channel #x    go to a channel
  /thread        leave the thread and begin a new one
  /as USER       be somebody else
  /ratchet TEXT  the slash command
  /approve       approve the change that was asked for, as somebody who may
  /quit          leave
While an answer is on its way, Ctrl-C presses Slack's Stop."""
TRY = """Try:
  @ratchet which alerts fired most this week?
  @ratchet how did we fix IngestConsumerLag last time?
  @ratchet which alerts are firing right now?
  @ratchet report on #ops-alerts"""
TRY_MORE = (
    '  @ratchet update the docs: replace "Silence an alert for at most four hours" with "Silence an alert for at most '
    'two hours"\n'
    "  /channel #help-platform, then: How do I get access to the production cluster?  (it answers unasked)"
)
UNASKED_SECONDS = 20.0


class Terminal:
    """Where somebody stands in the workspace, and what they say and see."""

    def __init__(
        self,
        client: SandboxClient,
        workspace: Workspace,
        console: Console,
        *,
        user: str,
        channel: str,
        approver: str | None = None,
        help_channel: str | None = None,
    ) -> None:
        self._approver = approver
        self._help_channel = help_channel
        self._request: tuple[str, str] | None = None  # channel and ts of the last message with a button to approve
        self._client = client
        self._workspace = workspace
        self._console = console
        self._user = user
        self._channel = channel
        self._is_dm = False
        self._thread_ts: str | None = None
        self._status = ""
        self._growing: set[str] = set()
        self._tasks: dict[tuple[str, str], str] = {}  # states by message and step

    async def ask_once(self, question: str) -> bool:
        """Ask by mention in the channel, print the thread; True when an answer came."""
        self._print(f"\n#{self._channel}", style="bold")
        return await self._send(f"@ratchet {question}")

    async def talk(self) -> None:
        """Read lines until /quit or end of file."""
        self._print(HELP, style="dim")
        self._print("\n".join([TRY, *([TRY_MORE] if self._help_channel else [])]), style="dim")
        while True:
            try:
                line = (await asyncio.to_thread(input, self._prompt())).strip()
            except EOFError:
                return
            if line == "/quit":
                return
            try:
                await self._do(line)
            except (SandboxRefused, ValueError) as error:
                self._print(str(error), style="red")

    async def _do(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        rest = rest.strip()
        match command:
            case "":
                return
            case "/help":
                self._print(HELP, style="dim")
            case "/dm":
                await self._open_dm()
            case "/channel":
                names = {channel.name for channel in self._workspace.channels.values() if channel.name}
                if rest.lstrip("#") not in names:
                    there = ", ".join(f"#{name}" for name in sorted(names))
                    raise ValueError(f"there is no channel {rest!r}; there are {there}")
                self._channel, self._is_dm, self._thread_ts = rest.lstrip("#"), False, None
            case "/thread":
                self._thread_ts = None
            case "/as":
                people = sorted(user.name for user in self._workspace.users.values() if not user.is_bot)
                if rest not in people:
                    raise ValueError(f"there is no user {rest!r}; there are {', '.join(people)}")
                self._user, self._thread_ts = rest, None
                if self._is_dm:
                    self._channel = await self._client.dm(self._user)
            case "/home":
                await self._home()
            case "/image":
                path, _, text = rest.partition(" ")
                if not path:
                    raise ValueError("name a file and a question: /image FILE what does this show?")
                await self._send(text or "@ratchet", files=[await asyncio.to_thread(_read, path)])
            case "/ratchet":
                await self._command(rest)
            case "/approve":
                await self._approve()
            case _ if command.startswith("/"):
                raise ValueError(f"there is no command {command}: /help lists them")
            case _:
                await self._send(line)

    async def _open_dm(self) -> None:
        """Go to the direct messages with Ratchet, and print what it suggests there."""
        async with self._client.watch() as feed:
            self._channel, self._is_dm, self._thread_ts = await self._client.dm(self._user), True, None
            item = await _next(feed, "prompts", SUGGESTION_SECONDS)
        for prompt in item["prompts"] if item else ():
            self._print(f"  · {prompt['title']}: {prompt['message']}", style="dim")

    async def _home(self) -> None:
        """Open the home tab, and print it when it is published."""
        async with self._client.watch() as feed:
            await self._client.home(self._user)
            item = await _next(feed, "view", HOME_SECONDS)
        if item is None:
            self._print(f"No home tab within {HOME_SECONDS:.0f} s.", style="red")
        for line in home_lines(self._workspace, item["view"]) if item else ():
            self._print(line)

    async def _send(self, text: str, files: Sequence[tuple[str, bytes]] = ()) -> bool:
        mention = f"<@{self._workspace.bot_user_id}>"
        said = re.sub(r"@ratchet\b", mention, text, flags=re.IGNORECASE)
        async with self._client.watch() as feed:
            ts = await self._client.say(self._channel, said, user=self._user, thread_ts=self._thread_ts, files=files)
            self._print(f"{self._user}: {text}", style="cyan")
            if not self._is_dm and mention not in said:
                if self._thread_ts is None and self._channel == self._help_channel:
                    return await self._follow(feed, ts, UNASKED_SECONDS)
                self._print("  (a message to the channel; write @ratchet to ask)", style="dim")
                return False
            thread = self._thread_ts or ts
            self._thread_ts = thread
            return await self._follow(feed, thread)

    async def _command(self, text: str) -> None:
        async with self._client.watch() as feed:
            answer = await self._client.command("/ratchet", text, user=self._user, channel=self._channel)
            body = answer.get("body")
            if isinstance(body, dict) and body.get("text"):
                self._print(f"(only you see this) {body['text']}", style="yellow")
                return
            self._thread_ts = None
            await self._follow(feed, None)

    async def _approve(self) -> None:
        """Press the button as somebody who may, and show what comes of it."""
        if self._request is None or self._approver is None:
            raise ValueError("nothing waits for approval here")
        (channel, ts), self._request = self._request, None
        async with self._client.watch() as feed:
            self._print(f"{self._approver} presses Approve", style="cyan")
            await self._client.click(channel, ts, APPROVE, user=self._approver)
            await self._follow(feed, self._thread_ts)

    async def _follow(self, feed: Any, thread: str | None, seconds: float = ANSWER_SECONDS) -> bool:
        """Show what happens in a thread until its answer is whole; None: in the one that a command begins."""
        try:
            async with asyncio.timeout(seconds), self._stop_by_key():
                async for item in feed:
                    if self._whispered(item):
                        if thread is None:
                            return True
                        continue
                    if thread is None and item.get("type") == "message" and not item.get("thread_ts"):
                        if item.get("user") == self._workspace.bot_user_id:
                            thread = self._thread_ts = str(item["ts"])
                            self._print(self._named(_text(item)), style="cyan")
                        continue
                    if item.get("thread_ts") == thread and self._show(item):
                        return True
        except TimeoutError:
            self._print(f"No answer within {seconds:.0f} s.", style="red" if seconds == ANSWER_SECONDS else "dim")
        return False

    def _whispered(self, item: dict[str, Any]) -> bool:
        """Print what is shown to this person alone; whether it was that."""
        if item["type"] != "ephemeral" or item.get("user") != self._workspace.user_named(self._user).id:
            return False
        self._print(f"(only you see this) {self._named(_text(item))}", style="yellow")
        return True

    @contextlib.asynccontextmanager
    async def _stop_by_key(self) -> AsyncIterator[None]:
        """Inside the block Ctrl-C presses Stop in the thread that is shown, where the terminal has such keys."""
        loop, before = asyncio.get_running_loop(), signal.getsignal(signal.SIGINT)
        presses: set[asyncio.Task[None]] = set()
        try:
            loop.add_signal_handler(signal.SIGINT, lambda: presses.add(loop.create_task(self._press_stop())))
        except (NotImplementedError, RuntimeError, ValueError):  # no signals here, or not in this thread
            yield
            return
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)
            for press in presses:
                press.cancel()

    async def _press_stop(self) -> None:
        if self._thread_ts:
            self._print("  (Stop)", style="dim")
            await self._client.stop(self._channel, self._thread_ts, user=self._user)

    def _show(self, item: dict[str, Any]) -> bool:
        """Print one thing that happened; True when it was the end of the answer."""
        if item["type"] == "status" and item.get("status"):
            if item["status"] != self._status:
                self._print(f"  · ratchet {item['status']}", style="dim")
            self._status = item["status"]
        if item["type"] == "stream":
            self._show_tasks(item)
        if item.get("user") != self._workspace.bot_user_id or not self._is_answer(item):
            return False
        if files := [str(file.get("name")) for file in item.get("files") or []]:
            self._print(f"  · ratchet shared {', '.join(files)}", style="dim")
            return False
        text = self._named(_text(item))
        self._print("ratchet:", style="bold green")
        if self._console.is_terminal:
            self._console.print(Markdown(text, hyperlinks=False), soft_wrap=False)
        else:
            self._print(text)
        if any(block.get("type") == "actions" and APPROVE in str(block) for block in item.get("blocks") or []):
            self._request = (str(item["channel"]), str(item["ts"]))
            if self._approver:
                self._print(f"  (/approve presses Approve as {self._approver})", style="dim")
        part = PART.search(text)
        return part is None or part[1] == part[2]

    def _is_answer(self, item: dict[str, Any]) -> bool:
        """Whether a message of Ratchet's is new, or grew until now and is what it has to say."""
        kind = (item.get("metadata") or {}).get("event_type")
        if kind == "ratchet_progress" or (kind is None and item.get("streaming_state")):
            self._growing.add(str(item.get("ts")))
            return False
        if kind == "ratchet_steps":  # its answer is another message
            self._growing.discard(str(item.get("ts")))
            return False
        if item["type"] == "update" and item["ts"] in self._growing:
            self._growing.discard(item["ts"])
            return True
        return bool(item["type"] == "message")

    def _show_tasks(self, item: dict[str, Any]) -> None:
        """Print the steps of an answer that grows, each when it begins and when it ends."""
        for task in item.get("tasks") or []:
            key, status = (str(item["ts"]), str(task["id"])), str(task["status"])
            if self._tasks.get(key) != status:
                self._tasks[key] = status
                note = f" — {task['output']}" if task.get("output") else ""
                self._print(f"  {TASK_MARKS.get(status, '·')} {task['title']}{note}", style="dim")

    def _named(self, text: str) -> str:
        """The text with people's names instead of their ids."""
        names = {user.id: user.name for user in self._workspace.users.values()}
        return re.sub(r"<@([A-Z0-9]+)>", lambda match: "@" + names.get(match[1], match[1]), text)

    def _prompt(self) -> str:
        place = "DM" if self._is_dm else f"#{self._channel}"
        thread = " (thread)" if self._thread_ts else ""
        return f"\n{self._user} in {place}{thread}> "

    def _print(self, text: str, style: str | None = None) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._console.print(text, style=style, markup=False)


async def _next(feed: Any, kind: str, seconds: float) -> dict[str, Any] | None:
    """The next item of a kind; None where none comes in this time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for item in feed:
                if item["type"] == kind:
                    return dict(item)
    return None


def _read(path: str) -> tuple[str, bytes]:
    """A file's name and content."""
    try:
        return Path(path).name, Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path!r}: {error.strerror}") from None


def _text(item: dict[str, Any]) -> str:
    """A message as it was written: the Markdown of its blocks, else its text."""
    blocks = [str(block["text"]) for block in item.get("blocks") or [] if block.get("type") == "markdown"]
    return "\n\n".join(blocks) or str(item.get("text") or "")
