"""The external program that classifies a bot's messages: JSON in, JSON out (behaviours.md, A9).

It gets ``{"username", "text"}`` on its standard input and answers on its standard output with
``{"action": "none" | "open_incident" | "close_incident", "alert", "service", "priority": "HIGH" | "LOW",
"duration": nanoseconds or "1h30m"}``. Everything but the action may be absent where it is ``none``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from tools.alerts import Alert, build_alert
from tools.alerts.text import read_duration

PARSER = "program"
SECONDS = 10.0
LARGEST = 64 * 1024
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


class ProgramError(Exception):
    """The program did not answer as agreed; the message says how, in one line."""


class Program:
    """Runs the program once a message: no shell, no environment of ours, a time limit, a limit of its output."""

    def __init__(self, path: Path, *, seconds: float = SECONDS) -> None:
        self._path = path
        self._seconds = seconds

    async def classify(self, username: str, text: str) -> list[Alert]:
        """The alert that a message reports, or none.

        Raises:
            ProgramError: it cannot be started, takes too long, fails, or answers something else.
        """
        asked = json.dumps({"username": username, "text": text}).encode()
        return parse_answer(await self._run(asked))

    async def _run(self, asked: bytes) -> bytes:
        try:
            process = await asyncio.create_subprocess_exec(
                str(self._path),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # a process group of its own, which is killed with all its children
            )
        except OSError as error:
            raise ProgramError(f"{self._path} cannot be started: {error.strerror or error}") from error
        try:
            async with asyncio.timeout(self._seconds):
                answer, _ = await asyncio.gather(_read(process), _write(process, asked))
                status = await process.wait()
        except TimeoutError:
            raise ProgramError(f"no answer within {self._seconds:g} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if status != 0:
            raise ProgramError(f"exit status {status}")
        return answer


async def _read(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    answer = bytearray()
    while chunk := await process.stdout.read(LARGEST):
        answer += chunk
        if len(answer) > LARGEST:
            raise ProgramError(f"its answer is longer than {LARGEST} bytes")
    return bytes(answer)


async def _write(process: asyncio.subprocess.Process, asked: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it need not read
        process.stdin.write(asked)
        await process.stdin.drain()
    process.stdin.close()


def parse_answer(answer: bytes) -> list[Alert]:
    """What the program's output says.

    Raises:
        ProgramError: it is not what was agreed.
    """
    try:
        said = json.loads(answer)
    except (ValueError, RecursionError):
        raise ProgramError(f"no JSON: {answer[:100]!r}") from None
    if not isinstance(said, dict):
        raise ProgramError(f"no JSON object: {answer[:100]!r}")
    action, priority = said.get("action"), said.get("priority") or None
    if action not in ("none", "open_incident", "close_incident"):
        raise ProgramError(f"unknown action: {str(action)[:100]}")
    if priority not in ("HIGH", "LOW", None):
        raise ProgramError(f"unknown priority: {str(priority)[:100]}")
    if action == "none":
        return []
    alert, service = _text(said.get("alert")), _text(said.get("service"))
    if not alert:
        raise ProgramError("an alert without a name")
    duration = parse_span(said.get("duration"))
    return [build_alert(PARSER, PARSER, action, alert, service, priority=priority, duration=duration, confidence=1.0)]


def _text(value: Any) -> str:
    return value.replace("\x00", "").strip() if isinstance(value, str) else ""


def parse_span(value: Any) -> timedelta | None:
    """Nanoseconds, or a span such as ``1h30m``; None where there is none.

    Raises:
        ProgramError: it is neither.
    """
    if value is None or value in ("", 0):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**20:
        return timedelta(microseconds=value / 1000)
    span = read_duration(value) if isinstance(value, str) else None
    if span is None:
        raise ProgramError(f"unknown duration: {str(value)[:100]}")
    return span
