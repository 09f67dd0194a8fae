"""The home tabs that an app published, as pages for a browser and as lines for a terminal.

``/homes`` lists the people who have one, ``/homes/USER`` shows it. Nothing can be clicked there.
"""

import html
import re
from collections.abc import Iterator
from typing import Any

from aiohttp import web

from sandbox.page_frame import page
from sandbox.slack.mrkdwn import read_mrkdwn
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.state import Slack
from sandbox.workspace import Workspace

_BOLD = re.compile(r"(?<!\w)\*([^*\n]+)\*(?!\w)")


class HomePages:
    """Renders people's home tabs as HTML."""

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        """The pages' routes."""
        return [web.get("/homes", self._index), web.get("/homes/{user}", self._home)]

    async def _index(self, request: web.Request) -> web.Response:
        users = self._slack.workspace.users
        rows = "".join(
            f'<li><a href="/homes/{user_id}">{html.escape(users[user_id].name)}</a></li>'
            for user_id in self._slack.homes
        )
        return page("Home tabs", f"<ul>{rows}</ul>")

    async def _home(self, request: web.Request) -> web.Response:
        try:
            user = self._slack.workspace.user_named(request.match_info["user"])
        except SlackError:
            raise web.HTTPNotFound(text="there is no such person") from None
        view = self._slack.homes.get(user.id)
        if view is None:
            raise web.HTTPNotFound(text="nothing was published for them yet: they must open the home tab")
        body = "".join(_as_html(self._slack.workspace, block) for block in view["blocks"])
        return page(f"Home of {user.name}", body)


def home_lines(workspace: Workspace, view: JSON) -> Iterator[str]:
    """A home tab as lines of text; buttons in brackets."""
    for block in view["blocks"]:
        match block["type"]:
            case "header":
                yield ""
                yield block["text"]["text"].upper()
            case "actions":
                yield "  " + " ".join(f"[{element['text']['text']}]" for element in block["elements"])
            case _:
                yield from _plain(workspace, _text(block)).splitlines()


def _plain(workspace: Workspace, text: str) -> str:
    pieces = read_mrkdwn(workspace, text)
    return _BOLD.sub(
        r"\1", "".join(f"{read} ({target})" if target.startswith("http") else read for read, target in pieces)
    )


def _as_html(workspace: Workspace, block: JSON) -> str:
    match block["type"]:
        case "header":
            return f"<h2>{html.escape(block['text']['text'])}</h2>"
        case "actions":
            buttons = (f"<span class=button>{html.escape(e['text']['text'])}</span>" for e in block["elements"])
            return f"<p>{' '.join(buttons)}</p>"
        case _:
            pieces = (
                f'<a href="{html.escape(target)}">{html.escape(read)}</a>' if _leads(target) else html.escape(read)
                for read, target in read_mrkdwn(workspace, _text(block))
            )
            shown = _BOLD.sub(r"<b>\1</b>", "".join(pieces))
            return f"<pre>{shown}</pre>"


def _leads(target: str) -> bool:
    return target.startswith(("http://", "https://", "/"))


def _text(block: JSON) -> str:
    parts: list[Any] = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
    return "\n".join(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)
