"""What stands above an answer, or in its place, when people took a hand in its turn. Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from langchain_core.messages import AnyMessage

from agent.forks import Fork
from agent.middleware import TAKEN_IN
from storage.effects import Effect
from storage.turns import Turn

LONGEST = 120
SPECIAL = re.compile(r"([\\`*_\[\]<>~|#])")


def quoted(text: str) -> str:
    """Somebody's words, in one line and not too many of them."""
    plain = " ".join(text.split())
    plain = plain if len(plain) <= LONGEST else plain[: LONGEST - 1].rstrip() + "…"
    escaped = SPECIAL.sub(r"\\\1", plain)
    return f"“{escaped}”"


def taken_in(texts: Sequence[str]) -> str:
    """That messages which came meanwhile are part of this answer; empty where there were none."""
    return f"> Taken in: {', '.join(quoted(text) for text in texts)}" if texts else ""


def above(turn: Turn, messages: Sequence[AnyMessage], begun: Fork | None, workspace_url: str) -> list[str]:
    """What stands above a turn's answer: that it corrects another one, and what it took in."""
    lines = [taken_in([message.text for message in messages if TAKEN_IN in message.additional_kwargs])]
    if turn.retry_of is None:
        return lines
    ts, link = (begun.retried.post_ts if begun else None), ""
    if ts:
        link = f"{workspace_url}archives/{turn.channel_id}/p{ts.replace('.', '')}"
        link = f"{link}?thread_ts={turn.thread_ts}&cid={turn.channel_id}"
    return [retried(begun, link, turn.requester_id, turn.question), *lines]


def retried(fork: Fork | None, link: str, requester_id: str, correction: str) -> str:
    """That this answer corrects an earlier one, and how it came about."""
    if fork is None:
        return "> The answer that this was to correct is not there any more: I had the correction alone to go by."
    earlier = f"[the earlier answer]({link})" if link else "the earlier answer"
    line = f"> Correction of {earlier}, asked for by <@{requester_id}>: {quoted(correction)}"
    return f"{line}\n> {fork.reason}" if fork.reason else line


def stopped(user_id: str) -> str:
    """Who stopped a turn."""
    return f"Stopped by <@{user_id}>. Ask again or go on here."


def ended(notice: str, ledger: Sequence[Effect]) -> str:
    """Why a turn ended without its answer, and what it had done, or may have done, by then."""
    lines = [notice]
    if done := sorted({effect.tool for effect in ledger if effect.state == "done"}):
        lines.append(f"Done by then: {_codes(done)}.")
    if open_ended := sorted({effect.tool for effect in ledger if effect.state != "done"}):
        lines.append(f"Cut off, so that it may or may not have happened: {_codes(open_ended)}. Please check.")
    return "\n\n".join(lines)


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
