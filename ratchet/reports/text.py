"""A channel's report as a message."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from tools.channel_report import AlertRow, BudgetRow, ChannelReport
from tools.toil import full_name, spell

SHOWN = 5
NO_PICTURE = "_There is no chart, because matplotlib is not installed here (the extra `charts`)._"


def render(report: ChannelReport, *, note: str = "") -> str:
    """The report in Markdown; ``note`` stands at its end."""
    totals = report["totals"]
    lines = [f"**Report for {report['channel']}**, {window(report)}", ""]
    if not totals["fired"] and not totals["resolved"]:
        lines.append("No alerts fired.")
    else:
        lines.append(summary(report))
    lines += _section("Top alerts", [_counted(row) for row in report["alerts"]], numbered=True)
    lines += _section("More than five times a week", [_counted(row) for row in report["frequent_alerts"]])
    lines += _section("Longer than 72 hours on average", [_long(row) for row in report["long_running_alerts"]])
    lines += _section("Nobody replied", [_counted(row) for row in report["untriaged_alerts"]])
    proposals = [
        f"{_name(p['alert'], p['service'])}: {p['text'].lower()}, because {p['evidence']}{_links(p['permalinks'])}"
        for p in report["proposals"]
    ]
    lines += _section("Proposals", proposals)
    lines += _section("Budget of the model here", [budget_line(row, report["timezone"]) for row in report["budget"]])
    return "\n".join([*lines, *(["", note] if note else [])])


def window(report: ChannelReport) -> str:
    """The report's window by the channel's clock."""
    zone = ZoneInfo(report["timezone"])
    since = datetime.fromisoformat(report["start_date"]).astimezone(zone)
    until = datetime.fromisoformat(report["end_date"]).astimezone(zone)
    return f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} ({report['timezone']})"


def summary(report: ChannelReport) -> str:
    """All of it in two sentences."""
    totals = report["totals"]
    fates = [
        f"{totals['acted']} looked at by people",
        f"{totals['self_resolved']} ended by themselves",
        f"{totals['ignored']} ignored",
        f"{totals['duplicate']} repeated while open",
    ]
    spent = f" People spent about {spell(60 * totals['human_minutes'])} on them." if totals["human_minutes"] else ""
    alerts = "alert" if totals["alerts"] == 1 else "alerts"
    return (
        f"{totals['alerts']} {alerts} fired {_times(totals['fired'])}: {', '.join(fates)}. "
        f"{totals['resolved']} were reported as over.{spent}"
    )


def budget_line(row: BudgetRow, timezone: str) -> str:
    """What is left of a budget."""

    def say(amount: float) -> str:
        return f"${amount:,.2f}" if row["unit"] == "usd" else f"{amount:,.0f} tokens"

    renews = datetime.fromisoformat(row["renews_at"]).astimezone(ZoneInfo(timezone))
    return f"{say(row['remaining'])} of {say(row['limit'])} a {row['period']} left, renewed {renews:%Y-%m-%d %H:%M}"


def _section(title: str, rows: list[str], *, numbered: bool = False) -> list[str]:
    if not rows:
        return []
    shown = [f"{number}. {row}" if numbered else f"- {row}" for number, row in enumerate(rows[:SHOWN], 1)]
    more = [f"- and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return ["", f"**{title}**", *shown, *more]


def _counted(row: AlertRow) -> str:
    average = f", {spell(row['average_seconds'])} on average" if row["average_seconds"] is not None else ""
    replies = f", {row['human_replies']} replies" if row["human_replies"] != 1 else ", 1 reply"
    return (
        f"{_name(row['alert'], row['service'])}: {_times(row['count'])}{average}{replies}{_links([row['permalink']])}"
    )


def _long(row: AlertRow) -> str:
    return f"{_name(row['alert'], row['service'])}: {spell(row['average_seconds'] or 0)}{_links([row['permalink']])}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _name(alert: str, service: str | None) -> str:
    """Bots write these names, so they stand as code: nothing in them is a link, a mention or a format."""
    plain = " ".join(full_name(alert, service).replace("`", "'").split())
    return f"`{plain}`"


def _links(permalinks: list[str]) -> str:
    """The last one alone, or some, numbered."""
    found = [link for link in permalinks if link]
    links = [f"[{number if len(found) > 1 else 'latest'}]({link})" for number, link in enumerate(found, 1)]
    return f" ({', '.join(links)})" if links else ""
