"""Tool: what a channel monitor's model says of a text (behaviour A26). The program is not run."""

from __future__ import annotations

from typing import TypedDict

from langchain_core.tools import ToolException, tool

from storage import channels
from tools.context import Runtime

LONGEST_TEXT = 100_000


class ChannelMonitorTrial(TypedDict):
    """The model's answer, as it gave it; ``problem`` says why it is not valid."""

    slug: str
    answer: str
    valid: bool
    problem: str | None
    executable_run: bool


@tool(parse_docstring=True, extras={"effect": "read", "doing": "Trying the monitor {slug}", "topic": "Ratchet itself"})
async def try_channel_monitor(slug: str, text: str, runtime: Runtime) -> ChannelMonitorTrial:
    """Try a channel monitor on a text: what its model answers, and whether that fits the monitor's schema.

    Use it when the user wants to know how a monitor would judge a message, or to check a monitor's prompt. The
    monitor's program is never run and nothing is posted. For a message with a valid answer the program would run.

    Args:
        slug: The monitor's name, as list_channel_monitors shows it.
        text: The message to judge.
    """
    context = runtime.context
    if len(text) > LONGEST_TEXT:
        raise ToolException(f"text may have {LONGEST_TEXT} characters.")
    monitors = context.monitors
    found = next((m for m in monitors.summaries() if m.slug == slug.strip()), None) if monitors else None
    visible: dict[str, str] = {}
    if found:
        async with context.database.connection() as conn:
            visible = await channels.names_of_visible(conn, context.viewer, [found.channel_id])
    if monitors is None or found is None or not visible:
        raise ToolException(
            f"There is no channel monitor {slug!r} of a channel that the requester may read from here. "
            "list_channel_monitors shows those that there are."
        )
    trial = await monitors.try_out(found.slug, text, context)
    return ChannelMonitorTrial(
        slug=found.slug, answer=trial.answer, valid=trial.problem is None, problem=trial.problem, executable_run=False
    )
