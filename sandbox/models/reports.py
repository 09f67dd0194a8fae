"""Writes the answers for a channel's report and for a shift's handoff."""

from sandbox.models.answers import show_error
from sandbox.models.chat import JSON, ToolResult
from sandbox.models.results import excerpt, link, read_result, rows, show_time

_ROWS = 5


def answer_report(result: ToolResult) -> str:
    """Totals, top alerts, those that nobody looked at, and proposals."""
    value = read_result(result)
    if value is None or "totals" not in value:
        return show_error(result)
    totals = value.get("totals") or {}
    lines = [
        f"Report on {value.get('channel')} between {show_time(value.get('start_date'))} and "
        f"{show_time(value.get('end_date'))}: {totals.get('fired', 0)} firings of {totals.get('alerts', 0)} alerts, "
        f"{totals.get('acted', 0)} looked at by people, {totals.get('self_resolved', 0)} ended by themselves, "
        f"{totals.get('ignored', 0)} ignored, about {totals.get('human_minutes', 0)} minutes of people's time."
    ]
    for title, key in (
        ("Top alerts", "alerts"),
        ("Longer than 72 hours on average", "long_running_alerts"),
        ("Nobody replied", "untriaged_alerts"),
    ):
        found = rows(value, key)[:_ROWS]
        lines += [f"\n{title}:"] if found else []
        lines += [f"{position}. {_alert(row)}" for position, row in enumerate(found, start=1)]
    proposals = rows(value, "proposals")[:_ROWS]
    lines += ["\nProposals:"] if proposals else []
    for row in proposals:
        urls = ", ".join(f"[{at}]({url})" for at, url in enumerate(row.get("permalinks") or [], start=1))
        where = f" ({urls})" if urls else ""
        lines.append(f"- **{_name(row)}**: {row.get('text')}. Why: {row.get('evidence')}{where}")
    return "\n".join(lines)


def answer_handoff(result: ToolResult) -> str:
    """What is open, with links."""
    value = read_result(result)
    if value is None or "open_incidents" not in value:
        return show_error(result)
    lines = [f"## Handoff of {value.get('channel')} since {show_time(value.get('since'))}"]
    incidents = rows(value, "open_incidents")
    count = value.get("open_incident_count", len(incidents))
    lines += [f"\nOpen incidents ({count}):", *_open(incidents)] if incidents else ["\nNo incident is open."]
    questions = rows(value, "unanswered_questions")
    lines += [f"\nQuestions without a reply ({len(questions)}):"] if questions else ["\nEvery question has a reply."]
    lines += [f"- {row.get('author')}: {excerpt(row.get('text'))} {link(row)}" for row in questions]
    asked = rows(value, "questions_to_ratchet")
    if asked:
        lines.append(f"\nQuestions to me without an answer ({len(asked)}):")
        lines += [f"- {excerpt(row.get('question'))} ({row.get('status')}) {link(row)}" for row in asked]
    return "\n".join(lines)


def answer_open(result: ToolResult) -> str:
    """The alerts that opened and did not close."""
    value = read_result(result)
    if value is None or "open_incidents" not in value:
        return show_error(result)
    incidents = rows(value, "open_incidents")
    place, since = value.get("channel"), show_time(value.get("since"))
    if not incidents:
        return f"No alert is open in {place}: all that fired since {since} were resolved."
    count = value.get("open_incident_count", len(incidents))
    shown = "" if count <= 2 * _ROWS else f"; here are the latest {2 * _ROWS}"
    head = f"{count} alert{'s are' if count != 1 else ' is'} open in {place} now, of those since {since}{shown}:"
    return "\n".join([head, *_open(incidents)])


def _open(incidents: list[JSON]) -> list[str]:
    return [
        f"- **{_name(row)}** since {show_time(row.get('opened'))}, {_replies(row)} {link(row)}".rstrip()
        for row in incidents[: 2 * _ROWS]
    ]


def _replies(row: JSON) -> str:
    count = row.get("human_replies") or 0
    return "nobody replied" if count == 0 else "1 reply" if count == 1 else f"{count} replies"


def _alert(row: JSON) -> str:
    average = row.get("average_seconds")
    lasted = f", {average / 60:.0f} minutes on average" if isinstance(average, int | float) else ""
    fired = "once" if row.get("count") == 1 else f"{row.get('count')} times"
    return f"**{_name(row)}**: fired {fired}{lasted}, {_replies(row)} {link(row)}"


def _name(row: JSON) -> str:
    return f"{row['service']}/{row.get('alert')}" if row.get("service") else str(row.get("alert"))
