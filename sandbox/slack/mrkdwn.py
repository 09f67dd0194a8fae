"""Slack's mrkdwn as people read it: names for ids, labels for links, dates as their fallback."""

import html
import re
from collections.abc import Iterator

from sandbox.workspace import Workspace

_MARKUP = re.compile(r"<([^<>]+)>")


def read_mrkdwn(workspace: Workspace, text: str) -> Iterator[tuple[str, str]]:
    """The pieces of a text, unescaped: what is read, and where it leads or an empty string."""
    at = 0
    for found in _MARKUP.finditer(text):
        if found.start() > at:
            yield html.unescape(text[at : found.start()]), ""
        target, _, label = found[1].partition("|")
        yield _read(workspace, html.unescape(target), html.unescape(label))
        at = found.end()
    if at < len(text):
        yield html.unescape(text[at:]), ""


def _read(workspace: Workspace, target: str, label: str) -> tuple[str, str]:
    match target[0]:
        case "@" if target[1:] in workspace.users:
            return f"@{workspace.users[target[1:]].name}", ""
        case "#" if target[1:] in workspace.channels:
            return f"#{workspace.channels[target[1:]].name}", f"/archives/{target[1:]}"
        case "@" | "#" | "!":
            return label or target, ""
        case _:
            return label or target, target
