"""A tool whose effect can be counted: each run of it leaves a line in a file outside of Ratchet's reach."""

from __future__ import annotations

import os
from pathlib import Path

from langchain_core.tools import tool

from tools.context import Runtime

LEDGER = "FAULTS_LEDGER"
NAME = "leave_note"


@tool(NAME, parse_docstring=True, extras={"effect": "post"})
async def leave_note(subject: str, runtime: Runtime) -> str:
    """Leave a note that people see.

    Args:
        subject: what the note is about.
        runtime: injected; not for the model.
    """
    append(f"{runtime.context.turn_id} {subject.splitlines()[-1]}")
    return "The note is left."


def append(line: str) -> None:
    """The effect itself: one line, written at once."""
    descriptor = os.open(os.environ[LEDGER], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def read(ledger: Path) -> list[str]:
    """The subjects of all notes, in the order in which they were left."""
    lines = ledger.read_text().splitlines() if ledger.is_file() else []
    return [line.partition(" ")[2] for line in lines]
