"""The `rich_text` blocks that Slack adds to what people type."""

import re

from sandbox.slack.records import JSON

_SPECIAL = re.compile(r"<(@[UW][A-Z0-9]+|#[CG][A-Z0-9]+|https?://[^>|]+)(?:\|([^>]*))?>")


def rich_text(text: str) -> list[JSON] | None:
    """One section with the text's mentions, channels and links taken apart; None for no text."""
    elements: list[JSON] = []
    position = 0
    for match in _SPECIAL.finditer(text):
        if match.start() > position:
            elements.append({"type": "text", "text": text[position : match.start()]})
        elements.append(_element(match.group(1), match.group(2)))
        position = match.end()
    if position < len(text):
        elements.append({"type": "text", "text": text[position:]})
    if not elements:
        return None
    return [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}]


def _element(target: str, label: str | None) -> JSON:
    if target.startswith("@"):
        return {"type": "user", "user_id": target[1:]}
    if target.startswith("#"):
        return {"type": "channel", "channel_id": target[1:]}
    return {"type": "link", "url": target} | ({"text": label} if label else {})
