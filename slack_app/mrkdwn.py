"""From the model's Markdown to what Slack may be sent: harmless, and in parts that fit."""

from __future__ import annotations

import re

from slackify_markdown import slackify_markdown

LONGEST_PART = 9000  # a markdown block takes 12,000 characters; text and blocks of a message share about 13,200
LONGEST_NOTICE = 3000
LONGEST_TEXT = 40_000  # where Slack cuts a text without blocks
BROADCAST = re.compile(
    r"(?:<|&lt;)\\?!(?=channel|here|everyone|subteam)|@(?=(?:channel|here|everyone)\b)", re.IGNORECASE
)
MENTION = re.compile(r"(?:[<‹(]|&(?:lt|#0*60|#x0*3c);)\\?(?:@|&(?:commat|#0*64|#x0*40);)(?=[UW&])", re.IGNORECASE)
IMAGE = re.compile(r"!(?=\[[^\n]*?\][(\[])")
FENCE = re.compile(r"^ {0,3}(`{3,20}|~{3,20})([^\n`]*)$", re.MULTILINE)
LONGEST_FENCE = 40  # of a line that opens a code fence again: its marker and language
WORD_JOINER = "\u2060"


def neutralise(markdown: str) -> str:
    """Markdown that notifies no group and loads no image; the words stay readable."""
    return IMAGE.sub("", _quiet(markdown))


def unmention(markdown: str) -> str:
    """Markdown that notifies no person whom it mentions; the words stay readable."""
    return MENTION.sub(lambda match: match[0] + WORD_JOINER, markdown)


def fallback(markdown: str, longest: int = LONGEST_NOTICE) -> str:
    """The same as Slack's mrkdwn, for notifications and clients without blocks."""
    # Again quiet: rendering undoes escapes and entities, and makes <!channel|x> of [x](!channel).
    return _quiet(slackify_markdown(markdown)).strip()[:longest] or "…"


def _quiet(text: str) -> str:
    return BROADCAST.sub(lambda match: match[0] + WORD_JOINER, text)


def split(markdown: str, longest: int = LONGEST_PART) -> list[str]:
    """Cut a text at paragraph ends into parts of at most ``longest`` characters.

    A code fence that is cut is closed and opened again; where there are several parts each says "Part i/n".
    """
    text = markdown.strip() or "…"
    if len(text) <= longest:
        return [text]
    room = longest - 60
    parts: list[str] = []
    fence = ""
    while text:
        opened = fence[:LONGEST_FENCE]
        head, text = _cut(text, room - len(opened) - 24)
        fence = _open_fence(f"{opened}\n{head}" if opened else head)
        closing = f"\n{_marker(fence)}" if fence else ""
        parts.append(f"{opened}\n{head}{closing}" if opened else f"{head}{closing}")
    return [f"{part}\n\n_Part {number}/{len(parts)}_" for number, part in enumerate(parts, 1)]


def _cut(text: str, room: int) -> tuple[str, str]:
    if len(text) <= room:
        return text, ""
    for end in ("\n\n", "\n", " "):
        at = text.rfind(end, room // 2, room)
        if at > 0:
            return text[:at].rstrip(), text[at:].strip("\n") if end != " " else text[at + 1 :]
    return text[:room], text[room:]


def _open_fence(text: str) -> str:
    """The line that opened the fence in which ``text`` ends, or nothing."""
    opened = ""
    for match in FENCE.finditer(text):
        marker = match[1]
        if not opened:
            opened = match[0].strip()
        elif marker[0] == opened[0] and len(marker) >= len(_marker(opened)) and not match[2].strip():
            opened = ""
    return opened


def _marker(fence: str) -> str:
    match = FENCE.match(fence)
    return match[1] if match else ""
