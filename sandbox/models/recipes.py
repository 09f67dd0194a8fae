"""One recipe for each kind of question: which tools to call next, and the answer once their results are there."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.models import answers, doc_updates, docs, fixes, reports, runbooks
from sandbox.models.chat import JSON, ToolResult, ToolSpec
from sandbox.models.intents import Intent
from sandbox.models.questions import Ask
from sandbox.models.results import read_result, rows
from sandbox.models.windows import last

_OPEN_NOW = re.compile(
    r"\b(?:which|what|any|list|show)\b(?!.*\bmost\b).*"
    r"\b(?:(?:are|is|still) (?:firing|open|active)|firing (?:right )?now|(?:open|active) alerts|unresolved)\b",
    re.IGNORECASE,
)
Call = tuple[str, JSON]
Next = str | list[Call]


@dataclass(frozen=True)
class Kitchen:
    """What a recipe works with: the tools offered, the results so far, the time."""

    tools: dict[str, ToolSpec]
    results: list[ToolResult]
    now: datetime

    def of(self, name: str) -> list[ToolResult]:
        """The results of a tool in this turn."""
        return [result for result in self.results if result.name == name]

    def call(self, name: str, **args: Any) -> Call:
        """A call with those arguments that the tool takes and that say something."""
        known = self.tools[name].parameters.get("properties", {})
        return name, {key: value for key, value in args.items() if key in known and value not in (None, "")}

    def lacks(self, name: str) -> str | None:
        """Words for a tool that is needed and not offered."""
        if name in self.tools:
            return None
        others = ", ".join(f"`{tool}`" for tool in self.tools) or "none"
        return f"For that I need the tool `{name}`, which is not offered to me here. What I have: {others}."


def search_arguments(ask: Ask) -> dict[str, Any]:
    """The arguments that every search shares."""
    window = ask.window.arguments() if ask.window else {}
    return {"query": ask.query, "channel": ask.channel, **window}


def alerts(ask: Ask, kitchen: Kitchen) -> Next:
    """Count the alerts of a window; the last seven days unless another is named."""
    if done := kitchen.of("shift_handoff"):
        return reports.answer_open(done[-1])
    if _OPEN_NOW.search(ask.text) and not ask.window and "shift_handoff" in kitchen.tools:
        return [kitchen.call("shift_handoff", channel=ask.channel, hours=168)]
    if done := kitchen.of("search_messages"):
        return answers.answer_alerts(ask, done[-1])
    if missing := kitchen.lacks("search_messages"):
        return missing
    window = ask.window or last(7, "d", kitchen.now)
    args = search_arguments(ask) | window.arguments()
    return [kitchen.call("search_messages", **args, group_by="alert", limit=ask.limit or 10)]


def fix(ask: Ask, kitchen: Kitchen) -> Next:
    """Search people's messages and the alerts, read the threads of the best hits, quote them."""
    searches, threads = kitchen.of("search_messages"), kitchen.of("read_thread")
    if ask.link and not threads:
        return kitchen.lacks("read_thread") or [kitchen.call("read_thread", permalink=ask.link)]
    if ask.here and not threads and "read_thread" in kitchen.tools:
        return [kitchen.call("read_thread")]
    if ask.here and not searches and threads and read_result(threads[0]) is None:
        threads = []
    if not searches and not threads:
        if missing := kitchen.lacks("search_messages"):
            return missing
        args = search_arguments(ask)
        people = kitchen.call("search_messages", **args, author="human", limit=10)
        return [people, kitchen.call("search_messages", **args, author="bot", limit=30)] if ask.query else [people]
    if not threads and "read_thread" in kitchen.tools and (chosen := fixes.choose_threads(ask, searches)):
        return [
            kitchen.call("read_thread", permalink=message["permalink"])
            if message.get("permalink")
            else kitchen.call("read_thread", channel=message.get("channel"), thread_ts=message.get("thread_ts"))
            for message in chosen
        ]
    return fixes.answer_fix(ask, threads, searches)


def recent(ask: Ask, kitchen: Kitchen) -> Next:
    """What people write now; a day instead of an hour if the hour is empty and no window was named."""
    done, tool = kitchen.of("find_recent_activity"), "find_recent_activity"
    if ask.window and not ask.window.span:
        return search(ask, kitchen, author="human")
    if not done and tool not in kitchen.tools:
        searchable = "search_messages" in kitchen.tools or kitchen.of("search_messages")
        return search(ask, kitchen, author="human") if searchable else kitchen.lacks(tool) or ""
    empty = bool(done) and read_result(done[-1]) is not None and not rows(read_result(done[-1]), "messages")
    if not done or (empty and not ask.window and len(done) == 1 and tool in kitchen.tools):
        window = (ask.window and ask.window.span) or ("24h" if done else "1h")
        name, args = kitchen.call(tool, window=window, channel=ask.channel)
        return [(name, {"query": ask.query, **args})]
    return answers.answer_recent(ask, done)


def thread(ask: Ask, kitchen: Kitchen) -> Next:
    """Read the thread that is linked, or the one that the question stands in."""
    if done := kitchen.of("read_thread"):
        return answers.answer_thread(done[-1])
    return kitchen.lacks("read_thread") or [kitchen.call("read_thread", permalink=ask.link)]


def channels(_ask: Ask, kitchen: Kitchen) -> Next:
    """List the channels."""
    if done := kitchen.of("list_channels"):
        return answers.answer_channels(done[-1])
    return kitchen.lacks("list_channels") or [kitchen.call("list_channels")]


def usage(ask: Ask, kitchen: Kitchen) -> Next:
    """Report usage of the days back to the window's beginning."""
    if done := kitchen.of("report_usage"):
        ends = ask.window.until if ask.window else None
        note = f"\nThe report always runs until now; you asked for the time until {ends:%d %b %Y}." if ends else ""
        return answers.answer_usage(done[-1]) + note
    if missing := kitchen.lacks("report_usage"):
        return missing
    return [kitchen.call("report_usage", days=min(365, (ask.window or last(7, "d", kitchen.now)).days(kitchen.now)))]


def report(ask: Ask, kitchen: Kitchen) -> Next:
    """Report on a channel's alerts; the last seven days unless another window is named."""
    if done := kitchen.of("report_channel"):
        return reports.answer_report(done[-1])
    if missing := kitchen.lacks("report_channel"):
        return missing
    if not ask.channel:
        return "Which channel shall I report on? Name it, such as #ops-alerts."
    days = (ask.window or last(7, "d", kitchen.now)).days(kitchen.now)
    return [kitchen.call("report_channel", channel=ask.channel, days=min(90, days))]


def handoff(ask: Ask, kitchen: Kitchen) -> Next:
    """Sum up what a shift leaves; the last twelve hours unless another window is named."""
    if done := kitchen.of("shift_handoff"):
        return reports.answer_handoff(done[-1])
    if missing := kitchen.lacks("shift_handoff"):
        return missing
    hours = 24 * ask.window.days(kitchen.now) if ask.window else None
    return [kitchen.call("shift_handoff", channel=ask.channel, hours=min(168, hours) if hours else None)]


def search(ask: Ask, kitchen: Kitchen, author: str | None = None) -> Next:
    """Search messages for the key terms."""
    if done := kitchen.of("search_messages"):
        return answers.answer_search(ask, done[-1])
    if missing := kitchen.lacks("search_messages"):
        return missing
    if not (ask.query or ask.channel or ask.window):
        return "I do not know what to look for. Name a service, an alert, an error, a channel or a time."
    chosen = author or ask.author
    args = search_arguments(ask)
    return [kitchen.call("search_messages", **args, author=None if chosen == "any" else chosen, limit=ask.limit or 5)]


def runbook(ask: Ask, kitchen: Kitchen) -> Next:
    """Look a runbook up; where the tool is missing, look for how it was fixed."""
    if done := kitchen.of("lookup_runbook"):
        return runbooks.answer_runbook(done[-1])
    alert = " ".join(word for word in ask.query.split() if not word.lower().startswith("runbook"))
    if not alert or "lookup_runbook" not in kitchen.tools:
        return fix(ask, kitchen)
    return [kitchen.call("lookup_runbook", alert=alert)]


def documentation(ask: Ask, kitchen: Kitchen) -> Next:
    """Search the documentation with the question as it is; where that tool is missing, the messages."""
    done = kitchen.of("search_docs")
    if len(done) == 1 and read_result(done[0]) and not rows(read_result(done[0]), "results"):
        wider = " ".join(word for word in ask.query.split() if word.lower() not in docs.KINDS)
        if wider and "search_docs" in kitchen.tools:
            return [kitchen.call("search_docs", query=f"{wider} operations")]
    if done:
        return docs.answer_docs(ask, done[-1])
    if "search_docs" not in kitchen.tools:
        return search(ask, kitchen)
    return [kitchen.call("search_docs", query=ask.text)]


def update(ask: Ask, kitchen: Kitchen) -> Next:
    """Find the document that holds the words, and propose the others in their place."""
    if done := kitchen.of("update_doc"):
        return doc_updates.answer_update(done[-1])
    if missing := kitchen.lacks("update_doc") or kitchen.lacks("search_docs"):
        return missing
    swap = doc_updates.read_swap(ask.text)
    if swap is None:
        return doc_updates.HOW
    found = kitchen.of("search_docs")
    if not found or (len(found) == 1 and not doc_updates.find_place(swap[0], found)):
        return [kitchen.call("search_docs", query=ask.text if found else swap[0], limit=10)]
    made = doc_updates.build_call(ask.text, *swap, found)
    return made if isinstance(made, str) else [kitchen.call("update_doc", **made)]


def explain(_ask: Ask, kitchen: Kitchen) -> Next:
    """Say what the offered tools allow."""
    known = {
        "search_messages": "find earlier messages, and count which alerts fired most: “which alerts fired most in "
        "#ops-alerts this week?”, “search for OOMKilled”",
        "read_thread": "read threads and quote how something was fixed: “how did we fix HighErrorRate last time?”",
        "find_recent_activity": "tell what people are on right now: “what is going on with payments right now?”",
        "list_channels": "list the channels that I watch: “what channels do you watch?”",
        "lookup_runbook": "look a runbook up: “what does the runbook for HighErrorRate say?”",
        "search_docs": "answer from the documentation: “how do I rotate the webhook secret?”",
        "update_doc": "propose an update of the documentation, after somebody approved it: “update the docs: replace "
        '"old words" with "new words"”',
        "report_usage": "report usage and cost: “what did you cost this week?”",
        "report_channel": "report on a channel's alerts and what to change: “report on #ops-alerts”",
        "shift_handoff": "sum up what is still open: “shift handoff for #ops-alerts”",
    }
    lines = [f"- {text}" for name, text in known.items() if name in kitchen.tools]
    for name, tool in kitchen.tools.items():
        if name not in known:
            first = tool.description.strip().split("\n", 1)[0]
            lines.append(f"- use `{name}`{f': {first}' if first else ''}")
    if not lines:
        return "Hello. No tools are offered to me here, so I can look nothing up."
    return "\n".join(["Hello. Here is what I can do:", *lines])


RECIPES: dict[Intent, Callable[[Ask, Kitchen], Next]] = {
    "alerts": alerts,
    "fix": fix,
    "recent": recent,
    "thread": thread,
    "channels": channels,
    "usage": usage,
    "report": report,
    "handoff": handoff,
    "runbook": runbook,
    "docs": documentation,
    "update": update,
    "search": search,
    "help": explain,
}
