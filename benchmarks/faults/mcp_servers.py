"""Scenarios with an MCP server that misbehaves: the turn goes on, and so does the thread."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import sandbox.mcp_server
from benchmarks.faults.arena import Arena, answer_to
from benchmarks.faults.result import Result

TIMEOUT_SECONDS = 1.0  # of 30
REST_SECONDS = 3.0  # of 60
FAILURES = 3
OVERHEAD_SECONDS = 20.0  # of a turn and of a killed process, on a busy machine
PATIENCE_SECONDS = 15.0  # where the server is to be waited for
SIZE = 10_000_000
CALLS: dict[str, tuple[str, dict[str, Any], str]] = {
    "mcp-slow": ("rest", {"seconds": 600}, f"no answer within {TIMEOUT_SECONDS:g} s"),
    "mcp-hung": ("hang", {}, f"no answer within {TIMEOUT_SECONDS:g} s"),
    "mcp-large": ("large", {"size": SIZE}, f"[cut: the result had {SIZE:,} characters"),
    "mcp-dying": ("die", {}, "cut off (it ended): whether it had an effect is unknown"),
}
TOOLS = ("add", "rest", "hang", "large", "die")
WORKS = ("add", {"a": 2, "b": 3}, "5")


async def misbehaving(arena: Arena, name: str) -> Result:
    """A server fails in one way; the answer says so, and the next question is answered by its help."""
    result = Result(name)
    call = CALLS[name]
    _start(arena, timeout_seconds=PATIENCE_SECONDS if name == "mcp-large" else TIMEOUT_SECONDS)
    result.require(await arena.connected(1), "it did not connect")
    thread = await _ask(arena, result, f"{name} fails", call)
    await _ask(arena, result, f"{name} works", WORKS, thread)
    answers = [text for text in await arena.answers(thread) if not text.startswith("xxxx")]  # parts of a long one
    result.count([f"{name} fails", f"{name} works"], answers, _effects(arena, name))
    return await _end(arena, result)


async def left_alone(arena: Arena, name: str) -> Result:
    """A server fails again and again: it is left alone at once, and tried again when its time is over."""
    result = Result(name)
    _start(arena, timeout_seconds=TIMEOUT_SECONDS)
    result.require(await arena.connected(1), "it did not connect")
    asked = [f"{name} {number}" for number in range(FAILURES)]
    threads = [await _ask(arena, result, question, CALLS["mcp-slow"]) for question in asked]
    opened = time.monotonic()
    threads.append(await _ask(arena, result, f"{name} open", ("add", WORKS[1], "is left alone for another")))
    if (left := opened + REST_SECONDS + 0.1 - time.monotonic()) > 0:
        result.require(await arena.quiet(), "work was left over")
        await asyncio.sleep(left)
    threads.append(await _ask(arena, result, f"{name} again", WORKS))
    for question, thread in zip([*asked, f"{name} open", f"{name} again"], threads, strict=True):
        result.count([question], await arena.answers(thread), [])
    return await _end(arena, result)


def _start(arena: Arena, **server: object) -> None:
    command = {"command": sys.executable, "args": ["-I", "-S", sandbox.mcp_server.__file__]}
    limits = {"failures": FAILURES, "rest_seconds": REST_SECONDS, **server}
    told = {"name": "desk", **command, **limits, "effects": dict.fromkeys(TOOLS, "read")}
    told["env"] = {"NOTES": str(_notes(arena))}
    allowed = ["@read", *(f"desk__{tool}" for tool in TOOLS)]
    arena.start(mcp__servers=json.dumps([told]), policies__default__tools=json.dumps(allowed))


async def _ask(
    arena: Arena, result: Result, question: str, call: tuple[str, dict[str, Any], str], thread: str | None = None
) -> str:
    """Ask, and see that the answer holds what the call must come to; returns the thread."""
    tool, args, said = call
    steps = [
        {"tool_calls": [{"name": f"desk__{tool}", "args": args}]},
        {"text": answer_to(question) + " {tool[-1]}"},
    ]
    await arena.client.script([{"match": ".*", "steps": steps}])
    began = time.monotonic()
    before = len(await arena.answers(thread)) if thread else 0
    ts = await arena.ask(question, thread)
    thread = thread or ts
    answered = await arena.answered(thread, before + 1)
    seconds = time.monotonic() - began
    result.seconds = max(result.seconds, seconds)
    result.require(seconds < PATIENCE_SECONDS + OVERHEAD_SECONDS, f"{question}: answered after {seconds:.0f} s")
    await arena.quiet()  # a long answer has several parts
    text = "\n".join((await arena.answers(thread))[before:]) if answered else ""
    result.require(said in text, f"{question}: {said!r} is not in {text[-300:]!r}")
    return thread


def _notes(arena: Arena) -> Path:
    return arena.folder / "notes"


def _effects(arena: Arena, name: str) -> list[str]:
    """Each time that a dying server noted that it ran."""
    died = _notes(arena).read_text().count("died") if name == "mcp-dying" else 0
    return [f"{name} fails"] * died


async def _end(arena: Arena, result: Result) -> Result:
    result.require(await arena.settled(), "work was left over")
    result.require(not await arena.strays(), "an answer stands outside its thread")
    for process in arena.processes:
        result.problems += await arena.stop(process)
    return result
