"""``ratchet approvals``: what waits for a person's decision."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from ratchet.bootstrap import open_storage
from ratchet.settings import Settings
from storage import approvals
from storage.approvals import Pending
from tools.hits import channel_label


async def run_approvals(settings: Settings, *, as_json: bool) -> None:
    """Print every request that waits, the most urgent first.

    Raises:
        StorageError: what is wrong, in one line.
    """
    async with open_storage(settings) as database, database.connection() as conn:
        waiting = await approvals.list_all_pending(conn)
    if as_json:
        sys.stdout.write(json.dumps([_as_json(row) for row in waiting], indent=2) + "\n")
        return
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if not waiting:
        console.print("Nothing waits for approval.")
        return
    table = Table("tool", "what", "asked for by", "channel", "who can decide", "time left")
    now = datetime.now(UTC)
    for row in waiting:
        left = max(0, round((row.expires_at - now).total_seconds()))
        cells = (
            row.tool,
            " ".join(row.summary.split())[:200],
            row.requester,
            channel_label(row.channel_name or row.channel_id, row.channel_kind),
            ", ".join(row.approvers),
            f"{left // 60} min {left % 60} s",
        )
        table.add_row(*(_plain(cell) for cell in cells))
    console.print(table)


def _plain(text: str) -> str:
    """The text as it stands: neither markup nor control sequences of a terminal."""
    return "".join(character for character in text if character.isprintable()).replace("[", "\\[")


def _as_json(row: Pending) -> dict[str, object]:
    return {
        "approval_id": row.approval_id,
        "tool": row.tool,
        "summary": row.summary,
        "requested_by": row.requester,
        "approvers": row.approvers,
        "channel": row.channel_name or row.channel_id,
        "asked": row.created_at.isoformat(),
        "expires": row.expires_at.isoformat(),
    }
