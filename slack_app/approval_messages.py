"""How a request for approval looks in Slack: its message, its buttons and its modals. Pure builders."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import yaml

from slack_app import mrkdwn, parts
from storage.approvals import Approval

APPROVE, REJECT, EDIT = "approval_approve", "approval_reject", "approval_edit"
MODULE = "approval"  # of posts
LONGEST_EDIT = 3000  # what Slack takes as the initial value of an input
LONGEST_REASON = 500
SHOWN_APPROVERS = 10
INPUT = "input"
HIDDEN = {"Cc", "Cf", "Zl", "Zp", "Zs", "Co", "Cn", "Cs"}  # all but the plain blank, line ends and tabs
# Of other kinds, and yet nothing is seen of them: fillers, blank signs of scripts, variation selectors, joiners.
FILLERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\ufffc"
    "\U00016fe4\U0001bc9d\U0001d159\U000e0100-\U000e01ef]"
)


def reveal(text: str) -> str:
    """The text with every character that shows nothing, or turns others around, written out as ``⟨U+202E⟩``."""
    return "".join(
        f"⟨U+{ord(character):04X}⟩"
        if character not in "\n\t " and (unicodedata.category(character) in HIDDEN or FILLERS.match(character))
        else character
        for character in text
    )


def summary(text: str) -> str:
    """A request's summary as the approvers see it: nothing hidden, and nobody notified."""
    return mrkdwn.unmention(reveal(text))


def ask_text(approval: Approval) -> str:
    """What the approvers read, in Markdown."""
    people = ", ".join(f"<@{user_id}>" for user_id in approval.approvers[:SHOWN_APPROVERS])
    more = len(approval.approvers) - SHOWN_APPROVERS
    lines = [
        f"**Approval needed** for `{approval.tool}`, asked for by <@{approval.requester_id}>",
        summary(approval.summary),
    ]
    if approval.edited_by:
        lines[0] += f" and edited by <@{approval.edited_by}>"
    if approval.attachment_name:
        lines.append(f"The whole of it is in the file {_code(approval.attachment_name)} above.")
    if len(arguments(approval)) > LONGEST_EDIT:
        lines.append("Its arguments are too long to be edited here.")
    lines.append(
        f"{people}{f' or {more} more' if more > 0 else ''} can decide until "
        f"{approval.expires_at.strftime('%H:%M')} UTC; then it counts as no."
    )
    return "\n\n".join(lines)


def decided_text(approval: Approval) -> str:
    """The same, once it was decided: nothing goes, and a line says how it ended."""
    return f"{ask_text(approval)}\n\n{outcome(approval)}"


def outcome(approval: Approval) -> str:
    """How a request ended, in a line."""
    who = f"<@{approval.decided_by}>"
    why = f": {_quoted(approval.reason)}" if approval.reason else "."
    match approval.status:
        case "approved":
            return f"✅ Approved by {who}."
        case "rejected":
            return f"❌ Rejected by {who}{why}"
        case "expired":
            return "⌛ Expired: nobody decided in time, so nothing was done."
        case "superseded":
            return f"✏️ Edited by {who}; a new request takes its place."
        case "void" if approval.decided_by is None:
            return f"⛔ Withdrawn{why}"
        case "void":
            return f"⛔ {'Approved' if approval.edit is None else 'Edited'} by {who}, but not run{why}"
        case _:
            return ""


def buttons(approval: Approval) -> list[dict[str, Any]]:
    """The block below the text. A click says which request it means, and what stood in it."""
    value = f"{approval.approval_id}.{approval.digest}"
    elements = [_button("Approve", APPROVE, value, "primary"), _button("Reject", REJECT, value, "danger")]
    if len(arguments(approval)) <= LONGEST_EDIT:
        elements.append(_button("Edit", EDIT, value))
    return [{"type": "actions", "block_id": "approval", "elements": elements}]


def arguments(approval: Approval) -> str:
    """The arguments as YAML, as they stand in the modal."""
    return yaml.safe_dump(dict(approval.arguments), allow_unicode=True, sort_keys=False, width=100)


def attachment(approval: Approval) -> str:
    """The file that goes with it: all of it, with what would not be seen written out."""
    return reveal((approval.attachment or "").replace("\r\n", "\n"))


def attachment_parts(approval: Approval) -> list[str]:
    """The same as messages, for where Slack takes no file: Markdown, each fitting into one."""
    text = attachment(approval)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    title = f"{_code(approval.attachment_name or '')}, for the request below:"
    return parts.split(f"{title}\n{fence}\n{text}\n{fence}")


def reject_view(approval: Approval, value: str) -> dict[str, Any]:
    """The modal that asks why."""
    return _modal(
        "Reject",
        REJECT,
        value,
        [
            {
                "type": "input",
                "block_id": INPUT,
                "optional": True,
                "label": {"type": "plain_text", "text": f"Why should {approval.tool} not run?"[:150]},
                "element": {
                    "type": "plain_text_input",
                    "action_id": INPUT,
                    "multiline": True,
                    "max_length": LONGEST_REASON,
                },
            }
        ],
    )


def edit_view(approval: Approval, value: str) -> dict[str, Any]:
    """The modal with the arguments."""
    return _modal(
        "Edit",
        EDIT,
        value,
        [
            {
                "type": "input",
                "block_id": INPUT,
                "label": {"type": "plain_text", "text": f"Arguments of {approval.tool} (YAML)"[:150]},
                "hint": {"type": "plain_text", "text": "The changed call is asked for anew; nothing runs yet."},
                "element": {
                    "type": "plain_text_input",
                    "action_id": INPUT,
                    "multiline": True,
                    "initial_value": arguments(approval),
                },
            }
        ],
    )


def _modal(title: str, callback_id: str, value: str, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "modal",
        "callback_id": callback_id,
        "private_metadata": value,
        "title": {"type": "plain_text", "text": title},
        "submit": {"type": "plain_text", "text": title},
        "close": {"type": "plain_text", "text": "Cancel"},
        "blocks": blocks,
    }


def _button(text: str, action_id: str, value: str, style: str = "") -> dict[str, Any]:
    button: dict[str, Any] = {
        "type": "button",
        "text": {"type": "plain_text", "text": text},
        "action_id": action_id,
        "value": value,
    }
    return button | ({"style": style} if style else {})


def _quoted(text: str) -> str:
    """Somebody's words in a line of Markdown."""
    plain = " ".join(reveal(text.replace("\n", " ")).split())
    return mrkdwn.unmention(re.sub(r"([\\`*_\[\]<>~|#])", r"\\\1", plain))


def _code(text: str) -> str:
    """Somebody's word as a code span."""
    return f"`{reveal(text.replace('`', chr(39)))}`"
