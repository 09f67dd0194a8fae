"""The demo's terminal: a small Slack client that writes as a person and shows what a person would see."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Any

from rich.console import Console
from rich.markdown import Markdown

from sandbox.client import SandboxClient, SandboxRefused
from sandbox.workspace import Workspace

ANSWER_SECONDS = 180.0
PART = re.compile(r"_Part (\d+)/(\d+)_\s*$")
HELP = """\
Type a question and press Enter. In a channel, write @ratchet where you want it to answer.
  /dm            talk with Ratchet directly
  /channel #x    go to a channel
  /thread        leave the thread and begin a new one
  /as USER       be somebody else
  /ratchet TEXT  the slash command
  /quit          leave"""


class Terminal:
    """Where somebody stands in the workspace, and what they say and see."""

    def __init__(
        self, client: SandboxClient, workspace: Workspace, console: Console, *, user: str, channel: str
    ) -> None:
        self._client = client
        self._workspace = workspace
        self._console = console
        self._user = user
        self._channel = channel
        self._is_dm = False
        self._thread_ts: str | None = None
        self._status = ""

    async def ask_once(self, question: str) -> bool:
        """Ask by mention in the channel, print the thread; True when an answer came."""
        self._print(f"\n#{self._channel}", style="bold")
        return await self._send(f"@ratchet {question}")

    async def talk(self) -> None:
        """Read lines until /quit or end of file."""
        self._print(HELP, style="dim")
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
                self._channel, self._is_dm, self._thread_ts = await self._client.dm(self._user), True, None
            case "/channel":
                names = {channel.name for channel in self._workspace.channels.values() if channel.name}
                if rest.lstrip("#") not in names:
                    raise ValueError(f"there is no channel {rest!r}: {', '.join('#' + name for name in sorted(names))}")
                self._channel, self._is_dm, self._thread_ts = rest.lstrip("#"), False, None
            case "/thread":
                self._thread_ts = None
            case "/as":
                people = sorted(user.name for user in self._workspace.users.values() if not user.is_bot)
                if rest not in people:
                    raise ValueError(f"there is no user {rest!r}: {', '.join(people)}")
                self._user, self._thread_ts = rest, None
                if self._is_dm:
                    self._channel = await self._client.dm(self._user)
            case "/ratchet":
                await self._command(rest)
            case _ if command.startswith("/"):
                raise ValueError(f"there is no command {command}: /help lists them")
            case _:
                await self._send(line)

    async def _send(self, text: str) -> bool:
        mention = f"<@{self._workspace.bot_user_id}>"
        said = re.sub(r"@ratchet\b", mention, text, flags=re.IGNORECASE)
        async with self._client.watch() as feed:
            ts = await self._client.say(self._channel, said, user=self._user, thread_ts=self._thread_ts)
            self._print(f"{self._user}: {text}", style="cyan")
            if not self._is_dm and mention not in said:
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

    async def _follow(self, feed: Any, thread: str | None) -> bool:
        """Show what happens in a thread until its answer is whole; None: in the one that a command begins."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                async for item in feed:
                    if thread is None and item.get("type") == "message" and not item.get("thread_ts"):
                        if item.get("user") == self._workspace.bot_user_id:
                            thread = self._thread_ts = str(item["ts"])
                            self._print(self._named(_text(item)), style="cyan")
                        continue
                    if item.get("thread_ts") == thread and self._show(item):
                        return True
        except TimeoutError:
            self._print(f"No answer within {ANSWER_SECONDS:.0f} s.", style="red")
        return False

    def _show(self, item: dict[str, Any]) -> bool:
        """Print one thing that happened; True when it was the end of the answer."""
        if item["type"] == "status" and item.get("status"):
            if item["status"] != self._status:
                self._print(f"  · ratchet {item['status']}", style="dim")
            self._status = item["status"]
        if item["type"] != "message" or item.get("user") != self._workspace.bot_user_id:
            return False
        text = self._named(_text(item))
        self._print("ratchet:", style="bold green")
        if self._console.is_terminal:
            self._console.print(Markdown(text, hyperlinks=False), soft_wrap=False)
        else:
            self._print(text)
        part = PART.search(text)
        return part is None or part[1] == part[2]

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


def _text(item: dict[str, Any]) -> str:
    """A message as it was written: the Markdown of its blocks, else its text."""
    blocks = [str(block["text"]) for block in item.get("blocks") or [] if block.get("type") == "markdown"]
    return "\n\n".join(blocks) or str(item.get("text") or "")
