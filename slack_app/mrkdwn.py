"""From the model's Markdown to what Slack may be sent: harmless, and never empty."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from slackify_markdown import slackify_markdown

from slack_app.code_places import rewrite
from slack_app.parts import WORD_JOINER, is_visible, shorten

LONGEST_NOTICE = 3000
LONGEST_TEXT = 40_000  # where Slack cuts a text without blocks
BROADCAST = re.compile(
    r"(?:<|&lt;)\\?!(?=channel|here|everyone|subteam)|@(?=(?:channel|here|everyone)\b)", re.IGNORECASE
)
MENTION = re.compile(r"(?:[<‹(]|&(?:lt|#0*60|#x0*3c);)\\?(?:@|&(?:commat|#0*64|#x0*40);)(?=[UW&])", re.IGNORECASE)
IMAGE = re.compile(r"!(?=\[[^\n]*?\][(\[])")


def neutralise(markdown: str) -> str:
    """Markdown that notifies no group and loads no image; the words stay readable, and code as it is.

    Slack shows neither mentions nor images in code. Only its plain texts need more: see ``fallback``.
    """
    if not (BROADCAST.search(markdown) or IMAGE.search(markdown)):
        return markdown
    return rewrite(markdown, outside=lambda text: IMAGE.sub("", _quiet(text)))


def quiet(text: str) -> str:
    """A plain text, such as a status line, that notifies nobody whatever Slack makes of it; the words stay readable."""
    return unmention(_quiet(text))


def unmention(markdown: str) -> str:
    """Markdown that notifies no person whom it mentions, also in code; the words stay readable."""
    return MENTION.sub(lambda match: match[0] + WORD_JOINER, markdown)


def fallback(markdown: str, longest: int = LONGEST_NOTICE) -> str:
    """The same as Slack's mrkdwn, for notifications and clients without blocks."""
    if MENTION.search(markdown):
        markdown = rewrite(markdown, inside=unmention)
    # Again quiet: rendering undoes escapes and entities, and makes <!channel|x> of [x](!channel).
    shown = _quiet(slackify_markdown(markdown)).strip()
    # What renders to nothing, such as the definition of a link, is shown as it was written.
    shown = shown if is_visible(shown) else _quiet(markdown).strip()
    return shorten(shown, longest) if is_visible(shown) else "…"


def compose(markdown: str, below: Sequence[dict[str, Any]] = (), *, plain: bool = False) -> dict[str, Any]:
    """A message's ``text`` and ``blocks`` for a Markdown text and the blocks below it.

    ``plain``: without blocks, for a Slack that refuses them; then the text is all that is shown.
    """
    text = neutralise(markdown)
    if plain:
        return {"text": fallback(text, LONGEST_TEXT), "blocks": None}
    shown = {"type": "markdown", "text": text if is_visible(text) else "…"}
    return {"text": fallback(text), "blocks": [shown, *below]}


def _quiet(text: str) -> str:
    return BROADCAST.sub(lambda match: match[0] + WORD_JOINER, text)
