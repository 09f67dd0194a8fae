"""What a message may say: its text, blocks and attachments together, as chat.postMessage checks them."""

from sandbox.slack.blocks import MAX_MARKDOWN, MAX_TEXT, check_attachments, check_blocks
from sandbox.slack.records import JSON, Message, SlackError


def check_message(body: JSON) -> Message:
    """The content of a message if Slack would take it; a text over 40,000 characters is cut, as Slack does.

    Args:
        body: `text`, `blocks`, `attachments` and `markdown_text`, decoded; each may be absent or None.

    Raises:
        SlackError: with Slack's code, such as `no_text`, `msg_too_long`, `markdown_text_conflict`,
            `invalid_blocks` or `msg_blocks_too_long`.
    """
    text, markdown = str(body.get("text") or ""), str(body.get("markdown_text") or "")
    blocks = check_blocks(body.get("blocks"))
    attachments = check_attachments(body.get("attachments"))
    if markdown:
        if text or blocks:
            raise SlackError("markdown_text_conflict")
        if len(markdown) > MAX_MARKDOWN:
            raise SlackError("msg_too_long")
        text, blocks = markdown, [{"type": "markdown", "text": markdown}]
    if not text.strip() and not blocks and not attachments:
        raise SlackError("no_text")
    return Message("", "", text[:MAX_TEXT], blocks=blocks, attachments=attachments)
