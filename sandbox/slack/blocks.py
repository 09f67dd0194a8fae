"""Block Kit's limits, as chat.postMessage applies them."""

from collections.abc import Iterator
from typing import Any

from sandbox.slack.records import JSON, SlackError

MAX_MARKDOWN = 12_000
MAX_TEXT = 40_000
_MAX_BLOCKS = 50
_MAX_TOTAL = 13_200
# fmt: off
_TYPES = frozenset((
    "actions", "alert", "call", "card", "carousel", "context", "context_actions", "data_table",
    "data_visualization", "divider", "file", "header", "image", "input", "markdown", "plan",
    "rich_text", "section", "share_shortcut", "table", "task_card", "video",
))
_INTERACTIVE = frozenset((
    "button", "channels_select", "checkboxes", "conversations_select", "datepicker", "datetimepicker",
    "email_text_input", "external_select", "feedback_buttons", "file_input", "icon_button",
    "multi_channels_select", "multi_conversations_select", "multi_external_select",
    "multi_static_select", "multi_users_select", "number_input", "overflow", "plain_text_input",
    "radio_buttons", "rich_text_input", "static_select", "timepicker", "url_text_input", "users_select",
    "workflow_button",
))
# fmt: on


def check_blocks(value: Any, *, maximum: int = _MAX_BLOCKS) -> list[JSON] | None:
    """The blocks if Slack would take them, None for none.

    Args:
        value: What stands in `blocks`.
        maximum: 50 for messages, 100 for views.

    Raises:
        SlackError: `invalid_blocks_format`, `invalid_blocks` with what is wrong and where, or
            `msg_blocks_too_long`.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(block, dict) for block in value):
        raise SlackError("invalid_blocks_format")
    if len(value) > maximum:
        raise _refuse(f"no more than {maximum} items allowed", "/blocks")
    known: set[str] = set()
    for at, block in enumerate(value):
        _check_block(block, f"/blocks/{at}")
        _check_id(block.get("block_id"), known, f"/blocks/{at}/block_id")
    tables = sum(block["type"] == "table" for block in value)
    if tables > 1:
        raise SlackError("invalid_blocks", errors=["only_one_table_allowed"])
    if sum(len(b["text"]) for b in value if b["type"] == "markdown") > MAX_MARKDOWN:
        raise SlackError("msg_blocks_too_long")
    if maximum == _MAX_BLOCKS and sum(len(text) for text in _texts(value)) > _MAX_TOTAL:
        raise SlackError("msg_blocks_too_long")
    return value or None


def check_attachments(value: Any) -> list[JSON] | None:
    """Legacy attachments, their blocks checked; raises `invalid_attachments` or `too_many_attachments`."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise SlackError("invalid_attachments")
    if len(value) > 100:
        raise SlackError("too_many_attachments")
    for attachment in value:
        check_blocks(attachment.get("blocks"))
    return [{"id": number, **attachment} for number, attachment in enumerate(value, 1)] or None


def check_metadata(value: Any) -> JSON | None:
    """`{event_type, event_payload}`; raises `invalid_metadata_format`."""
    if not value:
        return None
    if (
        not isinstance(value, dict)
        or not isinstance(value.get("event_type"), str)
        or not isinstance(value.get("event_payload"), dict)
    ):
        raise SlackError("invalid_metadata_format")
    return value


def _check_id(block_id: Any, known: set[str], where: str) -> None:
    if block_id is None:
        return
    if not isinstance(block_id, str) or len(block_id) > 255:
        raise _refuse("must be less than 256 characters", where)
    if block_id in known:
        raise _refuse(f"`block_id` {block_id} already exists", where)
    known.add(block_id)


def _check_block(block: JSON, where: str) -> None:
    kind = block.get("type")
    if kind not in _TYPES:
        raise _refuse(f"unsupported type: {kind}", f"{where}/type")
    if kind == "section":
        _check_section(block, where)
    elif kind == "header":
        _check_text(block.get("text"), f"{where}/text", 150, ("plain_text",))
    elif kind == "markdown":
        if not isinstance(block.get("text"), str) or not block["text"].strip():
            raise _refuse("must be more than 0 characters", f"{where}/text")
    elif kind in ("actions", "context", "context_actions"):
        _check_elements(block, where, {"actions": 25, "context": 10, "context_actions": 5}[kind])
    elif kind == "table":
        _check_table(block, where)
    elif kind == "image":
        if not block.get("image_url") and not block.get("slack_file"):
            raise _refuse("missing required field: image_url", where)
        if not block.get("alt_text"):
            raise _refuse("missing required field: alt_text", where)
    elif kind == "rich_text":
        for text in _texts(block):
            if not text:
                raise _refuse("must be more than 0 characters", f"{where}/elements")
    elif kind == "input":
        _check_text(block.get("label"), f"{where}/label", 2000, ("plain_text",))
        _check_element(block.get("element"), f"{where}/element")


def _check_section(block: JSON, where: str) -> None:
    fields = block.get("fields")
    if block.get("text") is None and not fields:
        raise _refuse("missing required field: text", where)
    if block.get("text") is not None:
        _check_text(block["text"], f"{where}/text", 3000)
    if fields and len(fields) > 10:
        raise _refuse("no more than 10 items allowed", f"{where}/fields")
    for at, field in enumerate(fields or []):
        _check_text(field, f"{where}/fields/{at}", 2000)
    if "accessory" in block:
        _check_element(block["accessory"], f"{where}/accessory")


def _check_elements(block: JSON, where: str, maximum: int) -> None:
    elements = block.get("elements")
    if not isinstance(elements, list) or not elements:
        raise _refuse("no less than 1 items required", f"{where}/elements")
    if len(elements) > maximum:
        raise _refuse(f"no more than {maximum} items allowed", f"{where}/elements")
    seen: set[str] = set()
    for at, element in enumerate(elements):
        here = f"{where}/elements/{at}"
        if block["type"] == "context" and isinstance(element, dict) and element.get("type") != "image":
            _check_text(element, here, 3000)
            continue
        _check_element(element, here)
        action_id = element.get("action_id")
        if action_id in seen:
            raise _refuse(f"`action_id` {action_id} already exists", f"{here}/action_id")
        seen |= {action_id} if action_id else set()


def _check_element(element: Any, where: str) -> None:
    if not isinstance(element, dict) or element.get("type") not in _INTERACTIVE | {"image"}:
        kind = element.get("type") if isinstance(element, dict) else element
        raise _refuse(f"unsupported type: {kind}", f"{where}/type")
    if len(str(element.get("action_id", ""))) > 255:
        raise _refuse("must be less than 256 characters", f"{where}/action_id")
    if element["type"] == "button":
        _check_text(element.get("text"), f"{where}/text", 75, ("plain_text",))
        if len(str(element.get("value", ""))) > 2000:
            raise _refuse("must be less than 2001 characters", f"{where}/value")
        if element.get("style") not in (None, "primary", "danger"):
            raise _refuse("must be one of: primary, danger", f"{where}/style")
    if element["type"] == "feedback_buttons":
        for side in ("positive_button", "negative_button"):
            button = element.get(side)
            if not isinstance(button, dict) or not button.get("value"):
                raise _refuse(f"missing required field: {side}", where)
            _check_text(button.get("text"), f"{where}/{side}/text", 75, ("plain_text",))


def _check_table(block: JSON, where: str) -> None:
    rows = block.get("rows")
    if not isinstance(rows, list) or not rows:
        raise _refuse("no less than 1 items required", f"{where}/rows")
    if len(rows) > 100:
        raise _refuse("no more than 100 items allowed", f"{where}/rows")
    for at, row in enumerate(rows):
        if not isinstance(row, list) or not row:
            raise _refuse("no less than 1 items required", f"{where}/rows/{at}")
        if len(row) > 20:
            raise _refuse("no more than 20 items allowed", f"{where}/rows/{at}")
        for column, cell in enumerate(row):
            if not isinstance(cell, dict) or cell.get("type") not in ("raw_text", "raw_number", "rich_text"):
                raise _refuse("must be a raw_text or rich_text cell", f"{where}/rows/{at}/{column}")
            if not all(_texts(cell)) or (cell["type"] == "raw_text" and not cell.get("text")):
                raise _refuse("must be more than 0 characters", f"{where}/rows/{at}/{column}/text")


def _check_text(value: Any, where: str, maximum: int, kinds: tuple[str, ...] = ("mrkdwn", "plain_text")) -> None:
    if not isinstance(value, dict) or value.get("type") not in kinds:
        raise _refuse(f"must be a valid text object of type {' or '.join(kinds)}", where)
    text = value.get("text")
    if not isinstance(text, str) or not text:
        raise _refuse("must be more than 0 characters", f"{where}/text")
    if len(text) > maximum:
        raise _refuse(f"must be less than {maximum + 1} characters", f"{where}/text")


def _texts(value: Any) -> Iterator[str]:
    """Every string under a key `text`, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "text" and isinstance(item, str):
                yield item
            elif isinstance(item, list | dict):
                yield from _texts(item)


def _refuse(problem: str, pointer: str) -> SlackError:
    message = f"{problem} [json-pointer:{pointer}]"
    return SlackError("invalid_blocks", errors=[message], response_metadata={"messages": [f"[ERROR] {message}"]})
