"""Writes answers out of tool results; the numbers and texts are those of the results."""

import json

from sandbox.models.chat import JSON, ToolResult
from sandbox.models.questions import Ask
from sandbox.models.results import excerpt, link, read_result, rows, show_message, show_time, show_window

_ROWS = 15


def show_error(result: ToolResult) -> str:
    """A tool that failed, in its own words."""
    return f"`{result.name or 'the tool'}` could not answer:\n> {excerpt(result.text, 600)}"


def _about(ask: Ask, value: JSON) -> str:
    """What was looked for, and where and when."""
    what = f" for “{ask.query}”" if ask.query else ""
    place = value.get("channel") or ask.channel
    return f"{what}{f' in {place}' if place else ''}{show_window(value)}"


def answer_alerts(ask: Ask, result: ToolResult) -> str:
    """Alerts ranked by how often they fired."""
    value = read_result(result)
    if value is None:
        return show_error(result)
    alerts = rows(value, "alerts")
    if not alerts:
        return f"I found no alerts{_about(ask, value)}."
    lines = [f"Alerts{_about(ask, value)}, by how often they fired:"]
    for position, alert in enumerate(alerts, start=1):
        service = f" ({alert['service']})" if alert.get("service") else ""
        counts = f"fired {_times(alert.get('fired'))}, resolved {_times(alert.get('resolved'))}"
        urls = alert.get("permalinks") or []
        where = f", [latest message]({urls[0]})" if urls else ""
        last = show_time(alert.get("last"))
        lines.append(f"{position}. **{alert.get('alert', 'unnamed')}**{service}: {counts}, last {last}{where}")
    return "\n".join(lines)


def _times(count: object) -> str:
    return "once" if count == 1 else f"{count if count is not None else 'an unknown number of'} times"


def answer_search(ask: Ask, result: ToolResult) -> str:
    """Messages that were found, best first."""
    value = read_result(result)
    if value is None:
        return show_error(result)
    messages = rows(value, "messages")
    if not messages:
        wider = " A longer window or other words may find more." if ask.window or ask.query else ""
        return f"I found nothing. I looked{_about(ask, value) or ' through all messages'}.{wider}"
    total = value.get("total", len(messages))
    if not total:
        lines = [f"Nothing says just that{_about(ask, value)}; nearest in meaning:"]
        return "\n".join([*lines, *(f"{at}. {show_message(message)}" for at, message in enumerate(messages, start=1))])
    counted = "1 message" if total == 1 else f"{total} messages"
    shown = "" if total == len(messages) else f"; here are {len(messages)}"
    lines = [f"I found {counted}{_about(ask, value)}{shown}:"]
    lines += [f"{position}. {show_message(message)}" for position, message in enumerate(messages, start=1)]
    return "\n".join(lines)


def answer_recent(ask: Ask, results: list[ToolResult]) -> str:
    """What people write about something now; results of wider windows come later in the list."""
    result = results[-1]
    value = read_result(result)
    if value is None:
        return show_error(result)
    messages = rows(value, "messages")
    window = value.get("window") or result.args.get("window")
    span = f"in the last {_span(window)}" if window else "lately"
    what = f" about “{ask.query}”" if ask.query else ""
    narrower = results[0].args.get("window") if len(results) > 1 else None
    if not messages:
        return f"Nobody wrote anything{what} {span}."
    lead = f"Nothing{what} in the last {_span(narrower)}, but {span}:" if narrower else f"People wrote{what} {span}:"
    return "\n".join([lead, *(f"{at}. {show_message(message)}" for at, message in enumerate(messages, start=1))])


def _span(window: object) -> str:
    number, unit = str(window)[:-1], {"m": "minute", "h": "hour", "d": "day", "w": "week"}.get(str(window)[-1:])
    if not unit or not number.isdigit():
        return str(window)
    return unit if number == "1" else f"{number} {unit}s"


def answer_thread(result: ToolResult) -> str:
    """A thread: how long it is, and its messages in order."""
    value = read_result(result)
    if value is None:
        return show_error(result)
    messages = rows(value, "messages")
    if not messages:
        return "That thread has no messages that I can read."
    people = list(dict.fromkeys(str(message.get("author") or "someone") for message in messages))
    size = "1 message" if len(messages) == 1 else f"{len(messages)} messages"
    place = messages[0].get("channel") or value.get("channel")
    head = f"{link(value, 'This thread') or 'This thread'}{f' in {place}' if place else ''} has {size} by "
    head += f"{', '.join(people)}, from {show_time(messages[0].get('time'))} to {show_time(messages[-1].get('time'))}:"
    kept = messages if len(messages) <= _ROWS else [*messages[:3], *messages[3 - _ROWS :]]
    lines = [f"- {show_message({**message, 'channel': ''}, 400)}" for message in kept]
    if len(kept) < len(messages):
        lines.insert(3, f"- … {len(messages) - len(kept)} messages between are left out")
    return "\n".join([head, *lines])


def answer_channels(result: ToolResult) -> str:
    """The channels that can be read."""
    value = read_result(result)
    if value is None:
        return show_error(result)
    channels = rows(value, "channels")
    if not channels:
        return "There is no channel that you can read through me from here."
    lines = [f"I watch {len(channels)} channel{'s' if len(channels) != 1 else ''} that you can read from here:"]
    for channel in channels:
        last = channel.get("last_message")
        topic = f". {channel['topic']}" if channel.get("topic") else ""
        kind = f" ({channel['kind']})" if channel.get("kind") else ""
        name = channel.get("name") or channel.get("id") or "unnamed"
        lines.append(f"- **{name}**{kind}: {f'last message {show_time(last)}' if last else 'nothing stored'}{topic}")
    if value.get("more"):
        lines.append("There are more.")
    return "\n".join(lines)


def answer_usage(result: ToolResult) -> str:
    """Messages, feedback, model calls, tokens and cost."""
    value = read_result(result)
    if value is None:
        return show_error(result)
    summary = value.get("summary") or {}
    lines = [
        f"Usage between {show_time(value.get('start_date'))} and {show_time(value.get('end_date'))}, "
        f"in {value.get('channel_count', 'an unknown number of')} channels:",
        f"- {summary.get('total_messages', 0)} messages, {summary.get('total_llm_requests', 0)} model requests",
        f"- feedback: {summary.get('total_thumbs_up', 0)} up, {summary.get('total_thumbs_down', 0)} down",
    ]
    models = rows(value, "llm_usage")
    for row in models:
        tokens = f"{row.get('prompt_tokens', 0)} prompt tokens, {row.get('output_tokens', 0)} output tokens"
        cost = f"${float(row.get('cost') or 0):.4f}"
        lines.append(f"- **{row.get('model', 'unnamed')}**: {row.get('requests', 0)} requests, {tokens}, {cost}")
    if models:
        lines.append(f"- cost in all: ${sum(float(row.get('cost') or 0) for row in models):.4f}")
    busiest = [f"{row.get('name')} ({row.get('messages', 0)})" for row in rows(value, "channels")[:5]]
    if busiest:
        lines.append(f"- busiest channels, by messages: {', '.join(busiest)}")
    return "\n".join(lines)


def answer_unknown(result: ToolResult) -> str:
    """Whatever another tool returned, laid out as it is."""
    try:
        value = json.loads(result.text)
    except ValueError:
        return f"`{result.name}` answered:\n{result.text[:3000]}"
    if isinstance(value, dict):
        listed = next((part for part in value.values() if isinstance(part, list) and part), None)
        plain = {key: part for key, part in value.items() if part is not listed}
        lines = [f"- {key}: {_flat(part)}" for key, part in plain.items() if part not in (None, "", [], {})]
        lines += [f"{at}. {_flat(item)}" for at, item in enumerate((listed or [])[:_ROWS], start=1)]
    elif isinstance(value, list):
        lines = [f"{at}. {_flat(item)}" for at, item in enumerate(value[:_ROWS], start=1)]
    else:
        lines = [str(value)]
    return "\n".join([f"`{result.name}` answered:", *(lines or ["nothing"])])


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_flat(part)}" for key, part in value.items() if part not in (None, "", [], {}))
    return ", ".join(map(_flat, value)) if isinstance(value, list) else str(value)
