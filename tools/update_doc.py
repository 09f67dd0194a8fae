"""Tool: an update of a document, as a draft pull request, after a person approved its diff (behaviour A21)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from typing import Any, TypedDict, cast
from uuid import UUID

from langchain_core.messages import ToolMessage
from langchain_core.tools import ToolException, tool
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from storage import documents, effects, turns
from storage.db import StorageError
from tools.context import (
    Approval,
    Documentation,
    DocumentChange,
    OutcomeUnknown,
    Preview,
    PullRequest,
    Runtime,
    TextEdit,
    ToolContext,
)
from tools.docs.edits import reveal, unified_diff

LONGEST_REASON = 1000
SHOWN_LINES = 40
SHOWN_CHARS = 2500
NOTE = (
    "A draft pull request was opened; nothing is merged yet. search_docs and read_doc show the new text after "
    "somebody merged it and the documentation was refreshed (within about an hour). Give the user the link."
)
DIFFERENT = (
    "Not done: what was approved is not what this call would do now. No pull request was opened. Propose the update "
    "anew if it is still needed."
)
SLOW = "Not done: GitHub was too slow. No pull request was opened from the branch {branch}. {left}"
UNKNOWN = (
    "Unknown outcome: a draft pull request may have been opened from the branch {branch} of {repository}, or not; this "
    "could not be found out. {reason} Tell the user to look there, with the branch's name, and do not propose the "
    "update again before somebody did."
)
ELSEWHERE = "Not done: the documentation may not be shown to everyone who reads here. Ask again in another channel."
# Parts of the time that a call has: for the update, and then for finding out what became of one that was cut off.
WORKING = 0.55
SETTLING = 0.4


class Undecided(StorageError):
    """An update whose outcome is not known yet: the turn is run again, and looks again."""


class Edit(BaseModel):
    """A change of a document's text."""

    find: str = Field(
        description="text that stands in the document exactly once, copied exactly; empty only to create a document"
    )
    replace: str = Field(description="what comes in its place; empty to remove it")


class UpdatedDocument(TypedDict):
    """The draft pull request that proposes the update."""

    document: str
    pull_request: str
    number: int
    branch: str
    note: str


async def preview(args: dict[str, Any], context: ToolContext) -> Preview:
    """What approvers see: the file, the reason, and the diff against the document as it is now."""
    async with context.database.connection() as conn:
        if not await documents.may_read(conn, context.viewer):
            raise ToolException(ELSEWHERE)
    edits = _edits(args.get("edits"))
    reason = _reason(args.get("reason"))
    change = await _documentation(context).propose(str(args.get("identifier", "")), edits)
    header = [
        f"Repository: {change.repository}",
        f"Base: {change.base_branch} at {change.base_commit}, blob {change.base_blob}",
    ]
    diff = unified_diff(change.path, change.before, change.after, edits=edits, header=header)
    what = "Documentation update for" if change.base_blob else "New document"
    summary = "\n".join(
        [
            f"**{what} {_code(change.path)}** in {_code(change.repository)}: "
            f"+{diff.added} −{diff.removed} lines, as a draft pull request into {_code(change.base_branch)}.",
            "",
            "Reason, in Ratchet's words:",
            _fence(reveal(reason)),
            "The change:",
            _excerpt(diff.text.split("\n", len(header))[-1]),
        ]
    )
    name = re.sub(r"[^A-Za-z0-9._-]", "_", change.path.rpartition("/")[2]) + ".diff"
    return Preview(summary, (name, diff.text), _bound(change), change.before)


@tool(
    parse_docstring=True,
    extras={
        "effect": "change",
        "doing": "Proposing an update of {identifier}",
        "preview": preview,
        "idempotent": True,
        "topic": "Documentation",
        "example": "add the new failover step to the runbook for the cache",
    },
)
async def update_doc(identifier: str, edits: list[Edit], reason: str, runtime: Runtime) -> UpdatedDocument:
    """Propose an update of the team's documentation: opens a draft pull request, after a person approved its diff.

    Use it when the user wants a document changed, or agreed that it should be. Read the document with read_doc first,
    and change as little as needed. Only documents of repositories that operators opened for updates can be changed.
    For a new document, such as a runbook that should become documentation, give a URL beside those of others, and one
    edit with an empty find.

    Args:
        identifier: The document's URL, as search_docs and read_doc give it.
        edits: What to find and what to put there, applied one after the other.
        reason: Why, in a sentence or two, for those who approve and those who merge.
    """
    context = runtime.context
    documentation, approval = _documentation(context), context.approval
    if approval is None:
        raise ToolException("Not done: an update of documentation needs a person's approval.")
    call_id = str(runtime.tool_call_id)
    branch = branch_name(context.turn_id, call_id)
    args = {"identifier": identifier, "edits": edits, "reason": reason}
    try:
        opened = await _open(args, context, approval, call_id)
    except OutcomeUnknown as error:
        told = UNKNOWN.format(branch=branch, repository=approval.bound.get("repository", ""), reason=error)
        if await _runs_again(context, documentation):
            raise Undecided(told) from error
        # An exception would say that nothing happened, or hide the words.
        return cast("UpdatedDocument", ToolMessage(told, tool_call_id=call_id, status="error"))
    return UpdatedDocument(document=identifier, pull_request=opened.url, number=opened.number, branch=branch, note=NOTE)


async def _open(args: Mapping[str, Any], context: ToolContext, approval: Approval, call_id: str) -> PullRequest:
    """The pull request, within the time that the call has.

    Raises:
        ToolException: there is none.
        OutcomeUnknown: there may be one.
    """
    documentation, branch = _documentation(context), branch_name(context.turn_id, call_id)
    try:
        async with asyncio.timeout(documentation.seconds * WORKING):
            return await _publish(args, context, approval, call_id)
    except TimeoutError:
        try:
            async with asyncio.timeout(documentation.seconds * SETTLING):
                settled = await documentation.settle(args["identifier"], branch)
        except TimeoutError:
            raise OutcomeUnknown("GitHub was too slow.") from None
    if isinstance(settled, PullRequest):
        return settled
    raise ToolException(SLOW.format(branch=branch, left=settled).strip())


async def _publish(args: Mapping[str, Any], context: ToolContext, approval: Approval, call_id: str) -> PullRequest:
    documentation, identifier = _documentation(context), args["identifier"]
    branch = branch_name(context.turn_id, call_id)
    try:
        opened = await documentation.published(identifier, branch)
    except OutcomeUnknown as error:
        if await _is_repetition(context, call_id):
            raise
        raise ToolException(f"Not done. {error}") from error
    if opened:
        return opened
    try:
        change = await documentation.propose(identifier, _edits(args["edits"]), base=approval.bound.get("base"))
        if _bound(change) != dict(approval.bound):
            raise ToolException(DIFFERENT)
    except ToolException as error:
        if not await _is_repetition(context, call_id):
            raise
        settled = await documentation.settle(identifier, branch)  # an earlier attempt may have left it
        if isinstance(settled, PullRequest):
            return settled
        raise ToolException(f"{error} {settled}".strip()) from error
    title, body = f"Documentation update for {change.path}", _body(context, _reason(args["reason"]))
    return await documentation.publish(change, branch=branch, title=title, body=body)


async def _is_repetition(context: ToolContext, call_id: str) -> bool:
    """Whether an earlier attempt at this call was cut off."""
    async with context.database.connection() as conn:
        known = await effects.find(conn, context.turn_id, call_id)
    return known is not None and known.state == "unknown"


async def _runs_again(context: ToolContext, documentation: Documentation) -> bool:
    """Whether the turn is run again when it fails now."""
    async with context.database.connection() as conn:
        turn = await turns.get(conn, context.turn_id)
    return turn is not None and turn.attempts < documentation.attempts


def branch_name(turn_id: UUID, tool_call_id: str) -> str:
    """The branch of a call, always the same, so that a repetition finds what is there."""
    return f"ratchet/docs-{hashlib.sha256(f'{turn_id}:{tool_call_id}'.encode()).hexdigest()[:12]}"


def _bound(change: DocumentChange) -> dict[str, str]:
    """What the approval fixes: the text that is changed, the text that it becomes, and where."""
    return {
        "repository": change.repository,
        "path": change.path,
        "branch": change.base_branch,
        "base": change.base_blob,
        "text": hashlib.sha256(change.after.encode()).hexdigest(),
    }


def _documentation(context: ToolContext) -> Documentation:
    if context.documentation is None:
        raise ToolException("There is no documentation that can be updated: no source is configured for it.")
    return context.documentation


def _edits(given: Any) -> list[TextEdit]:
    try:
        return [TextEdit(edit.find, edit.replace) for edit in TypeAdapter(list[Edit]).validate_python(given)]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ToolException(f"edits.{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _reason(given: Any) -> str:
    reason = " ".join(str(given or "").split())
    if not 0 < len(reason) <= LONGEST_REASON:
        raise ToolException(f"reason must have 1 to {LONGEST_REASON} characters.")
    return reason


def _body(context: ToolContext, reason: str) -> str:
    approval = context.approval
    place = approval.permalink if approval and approval.permalink else "(no link)"
    return "\n".join(
        [
            f"Proposed by Ratchet, and approved by a person in Slack: {place}",
            "",
            "Reason:",
            _fence(reveal(reason)),
            "The diff is what was approved. After it is merged, Ratchet answers from it with the next refresh.",
        ]
    )


def _excerpt(diff: str) -> str:
    """The first lines of a diff, and how many are left out."""
    lines = diff.rstrip("\n").split("\n")
    shown: list[str] = []
    for line in lines[:SHOWN_LINES]:
        if sum(map(len, shown)) + len(line) > SHOWN_CHARS:
            break
        shown.append(line)
    left = len(lines) - len(shown)
    note = f"\n**{left} more lines** are in the attached file." if left else ""
    return _fence("\n".join(shown) or "(its first line is too long to show here)") + note


def _fence(text: str) -> str:
    """Text that stays as it is: nothing in it ends the fence, links, or calls people."""
    ticks = "`" * max(3, _longest_ticks(text) + 1)
    return f"{ticks}\n{text}\n{ticks}"


def _code(text: str) -> str:
    ticks = "`" * (_longest_ticks(text) + 1)
    return f"{ticks}{reveal(text)}{ticks}"


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
