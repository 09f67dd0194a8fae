"""Finds out how something was fixed: which threads tell it, and what was done there, word for word."""

import re

from sandbox.models.answers import answer_thread
from sandbox.models.chat import JSON, ToolResult
from sandbox.models.questions import Ask
from sandbox.models.results import commands, excerpt, link, read_result, rows, show_message, show_time

_FIX = re.compile(
    r"\b(?:root cause|fix(?:ed|es)?|solved|resolved by|mitigat\w+|work(?:ed )?around|rolled back|rolling back|rollback|"
    r"restarted|reverted|was (?:because|due)|turned out)\b",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(r"\b(?:root cause|fix:|fixed|solved|resolved by|mitigated)", re.IGNORECASE)
_ALERT = re.compile(r"\b[A-Z][a-z0-9]+(?:[A-Z]+[a-z0-9]*)+\b")  # as Prometheus and its like name them
_THREADS = 3


def choose_threads(ask: Ask, results: list[ToolResult]) -> list[JSON]:
    """The messages whose threads are worth reading: closest to the question, discussed, newest first; three at most."""
    terms = [term.lower() for term in ask.query.split()]
    best: dict[tuple[str, str], tuple[tuple[int, bool, str], JSON]] = {}
    for result in results:
        by_people = result.args.get("author") == "human"
        for message in rows(read_result(result), "messages"):
            text = str(message.get("text") or "")
            told = by_people and bool(_FIX.search(text) or commands(text))
            if not (message.get("reply_count") or told or by_people):
                continue
            matched = sum(term in text.lower() for term in terms)
            discussed = bool(message.get("reply_count")) or told
            rank = (matched, discussed, str(message.get("time") or ""))
            key = (str(message.get("channel")), str(message.get("thread_ts") or message.get("permalink")))
            if key not in best or best[key][0] < rank:
                best[key] = (rank, message)
    ranked = sorted(best.values(), key=lambda entry: entry[0], reverse=True)
    closest = [message for rank, message in ranked if rank[0] == ranked[0][0][0]]
    return closest[:_THREADS]


def answer_fix(ask: Ask, threads: list[ToolResult], searches: list[ToolResult]) -> str:
    """How it was fixed, from the threads that were read; else what the searches found; else that nothing was found."""
    read = [(value, rows(value, "messages")) for value in map(read_result, threads) if value]
    told = [(value, messages, _telling(messages)) for value, messages in read if messages]
    told.sort(key=lambda entry: (_concludes(entry[2]), str(entry[1][-1].get("time"))), reverse=True)
    told = [entry for entry in told if entry[2]]
    subject = f"**{ask.query}**" if ask.query and not (ask.here or ask.link) else "this"
    if told:
        value, messages, telling = told[0]
        lines = [_lead(subject, value, messages, telling)]
        lines += [f"- {show_message({**message, 'channel': ''}, 600)}" for message in telling]
        lines += _quote_commands(telling)
        same = [entry for entry in told[1:] if _subject(entry[1]) in {"", _subject(messages)}]
        others = [entry for entry in told[1:] if entry not in same]
        lines += _earlier("Other times:", same, named=False) + _earlier("Of other alerts:", others, named=True)
        return "\n".join(lines)
    if threads and not searches:
        return answer_thread(threads[0])
    found = [message for result in searches for message in rows(read_result(result), "messages")]
    failed = [result for result in [*searches, *threads] if read_result(result) is None]
    if not found and failed:
        return f"`{failed[0].name}` could not answer:\n> {excerpt(failed[0].text, 600)}"
    if not found:
        where = f" in {ask.channel}" if ask.channel else ""
        return f"I found no message about {subject}{where}, so I cannot say how it was fixed."
    lines = [f"I found messages about {subject}, but none that says how it was fixed. The closest ones:"]
    return "\n".join([*lines, *(f"{at}. {show_message(message)}" for at, message in enumerate(found[:5], start=1))])


def _telling(messages: list[JSON]) -> list[JSON]:
    """The replies that say what was done; a thread's first message counts only if it is alone."""
    replies = messages[1:] or messages
    return [message for message in replies if _FIX.search(str(message.get("text"))) or commands(message.get("text"))][
        :8
    ]


def _concludes(messages: list[JSON]) -> bool:
    return any(_CONCLUSION.search(str(message.get("text"))) for message in messages)


def _lead(subject: str, value: JSON, messages: list[JSON], telling: list[JSON]) -> str:
    last = [message for message in telling if _CONCLUSION.search(str(message.get("text")))] or telling
    thread = link(messages[0], "thread") or link(value, "thread") or "thread"
    place = messages[0].get("channel") or value.get("channel")
    when = f"{show_time(messages[0].get('time'))}{f' in {place}' if place else ''}"
    author = last[-1].get("author") or "someone"
    alert = _subject(messages)
    of = f", of the alert {alert}" if alert and alert.lower() not in subject.lower() else ""
    return f"The latest fix for {subject} that I found is of {when} ({thread}){of}, written by **{author}**:"


def _quote_commands(messages: list[JSON]) -> list[str]:
    quoted = [(code, message) for message in messages for code in commands(message.get("text"))]
    if not quoted:
        return []
    lines = ["\nCommands and output, word for word:"]
    for code, message in quoted:
        lines += ["```", code, "```", f"{message.get('author') or 'someone'}, {link(message)}".rstrip(", ")]
    return lines


def _subject(messages: list[JSON]) -> str:
    """The alert that a thread begins with; empty where its first message names none."""
    named = _ALERT.search(str(messages[0].get("text") or ""))
    return named[0] if named else ""


def _earlier(title: str, told: list[tuple[JSON, list[JSON], list[JSON]]], *, named: bool) -> list[str]:
    if not told:
        return []
    lines = [f"\n{title}"]
    for value, messages, telling in told:
        thread = link(messages[0], "thread") or link(value, "thread")
        concluding = [message for message in telling if _CONCLUSION.search(str(message.get("text")))] or telling
        alert = f"**{_subject(messages)}**, " if named else ""
        said = excerpt(concluding[-1].get("text"), 300)
        lines.append(f"- {alert}{show_time(messages[0].get('time'))}: {said} {thread}")
    return lines
