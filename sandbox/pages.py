"""Pages that show the workspace in a browser, so that permalinks lead somewhere.

``/`` lists the channels, ``/archives/CHANNEL`` shows the newest messages of one, ``/archives/CHANNEL/pTS`` a
thread. Everything is escaped and nothing can be written here. Private channels are shown too: whoever runs
the sandbox owns it.
"""

import html
import re
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from sandbox.page_frame import page
from sandbox.slack.records import Channel, Message, SlackError
from sandbox.workspace import Workspace

_SHOWN = 200


class Pages:
    """Renders a workspace as HTML."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def routes(self) -> list[web.RouteDef]:
        """The pages' routes."""
        return [
            web.get("/", self._index),
            web.get("/archives/{channel}", self._channel),
            web.get(r"/archives/{channel}/p{ts:\d{16}}", self._thread),
        ]

    async def _index(self, request: web.Request) -> web.Response:
        rows = "".join(
            f'<li><a href="/archives/{channel.id}">{html.escape(self._name(channel))}</a> '
            f'<span class="note">{html.escape(channel.kind)}</span></li>'
            for channel in self._workspace.channels.values()
        )
        return page("Channels", f"<ul>{rows}</ul>")

    async def _channel(self, request: web.Request) -> web.Response:
        channel = self._found(request)
        newest = sorted((m for m in channel.messages.values() if not m.is_reply), key=lambda m: float(m.ts))[-_SHOWN:]
        note = f'<p class="note">the newest {len(newest)} messages</p>'
        return page(self._name(channel), note + "".join(self._message(channel, message) for message in newest))

    async def _thread(self, request: web.Request) -> web.Response:
        channel = self._found(request)
        digits = request.match_info["ts"]
        linked = channel.messages.get(f"{digits[:10]}.{digits[10:]}")
        if linked is None:
            raise web.HTTPNotFound(text="there is no such message")
        thread = [m for m in channel.messages.values() if m.thread_key == linked.thread_key]
        body = "".join(
            self._message(channel, message, linked=message.ts == linked.ts)
            for message in sorted(thread, key=lambda m: float(m.ts))
        )
        return page(f"Thread in {self._name(channel)}", body)

    def _found(self, request: web.Request) -> Channel:
        try:
            return self._workspace.channel(request.match_info["channel"])
        except SlackError:
            raise web.HTTPNotFound(text="there is no such channel") from None

    def _name(self, channel: Channel) -> str:
        return f"#{channel.name}" if channel.name else "direct message"

    def _message(self, channel: Channel, message: Message, *, linked: bool = False) -> str:
        classes = " ".join(
            name
            for name, applies in (("reply", message.is_reply), ("linked", linked), ("bot", message.bot_id is not None))
            if applies
        )
        moment = datetime.fromtimestamp(float(message.ts), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        link = f"/archives/{channel.id}/p{message.ts.replace('.', '')}"
        head = f'<b>{html.escape(self._author(message))}</b><time><a href="{link}">{moment}</a></time>'
        body = "".join(_paragraph(text) for text in _texts(message))
        extras = "".join(_attachment(attachment) for attachment in message.attachments or [])
        return f'<article class="{classes}">{head}{self._named(body)}{extras}</article>'

    def _author(self, message: Message) -> str:
        user = self._workspace.users.get(message.user or "")
        return message.username or (user.name if user else "app")

    def _named(self, escaped: str) -> str:
        def name(match: re.Match[str]) -> str:
            user = self._workspace.users.get(match[1])
            return f"<b>@{html.escape(user.name)}</b>" if user else match[0]

        return re.sub(r"&lt;@([A-Z0-9]+)&gt;", name, escaped)


def _texts(message: Message) -> list[str]:
    """The Markdown of its blocks, else its text."""
    blocks = [str(block["text"]) for block in message.blocks or [] if block.get("type") == "markdown"]
    return blocks or ([message.text] if message.text else [])


def _attachment(attachment: dict[str, Any]) -> str:
    colour = str(attachment.get("color") or "")
    named = {"good": "#2eb67d", "warning": "#ecb22e", "danger": "#e01e5a"}
    bar = named.get(colour) or (colour if re.fullmatch(r"#[0-9a-fA-F]{3,8}", colour) else "#ddd")
    texts = [str(attachment[key]) for key in ("pretext", "title", "text", "footer") if attachment.get(key)]
    texts += [f"{field.get('title', '')}: {field.get('value', '')}" for field in attachment.get("fields") or []]
    inner = "".join(_paragraph(text) for text in texts)
    return f'<div class="attachment" style="--bar:{bar}">{inner}</div>'


def _paragraph(text: str) -> str:
    # Messages carry Slack's own escapes; what is shown is escaped once, whatever came in.
    return f"<pre>{html.escape(html.unescape(text))}</pre>"
