"""Whether a tool call may run at all, as one decision that the gate carries out and people can have explained.

It needs no database and no Slack: what the policy allows, who asks, and who approves is looked up before.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from enum import StrEnum


class Denial(StrEnum):
    """Why a call may not run."""

    unknown = "unknown"  # there is no such tool
    unlisted = "unlisted"  # the channel's policy does not list it
    restricted = "restricted"  # who asks may use no tools there
    no_approvers = "no_approvers"  # it changes something, and nobody is named who could approve that
    only_own = "only_own"  # whoever could approve it asked for it, or edited it
    disabled = "disabled"  # its MCP server's definition of it is refused
    spent = "spent"  # the channel's budget for the model, which would have to call it, is used up


def deny_call(tool: str, known: Container[str], allowed: Container[str], *, restricted: bool) -> Denial | None:
    """Why somebody may not call a tool; None where they may.

    Args:
        tool: its name.
        known: the catalogue's names.
        allowed: those that the channel's policy lists.
        restricted: whether who asks may use no tools there.
    """
    if tool not in known:
        return Denial.unknown
    if tool not in allowed:
        return Denial.unlisted
    return Denial.restricted if restricted else None


def deny_approval(
    approvers: Sequence[str], requester_id: str, *, self_approval: bool, edited_by: str | None = None
) -> Denial | None:
    """Why nobody could approve a change; None where somebody can.

    Args:
        approvers: the user ids of the channel's approvers.
        requester_id: who asks for it.
        self_approval: whether they may approve what is their own.
        edited_by: who changed its arguments since, if anybody did.
    """
    if not approvers:
        return Denial.no_approvers
    if not self_approval and {requester_id, edited_by}.issuperset(approvers):
        return Denial.only_own
    return None
