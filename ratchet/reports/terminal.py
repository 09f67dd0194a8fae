"""Reports in a terminal, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ratchet.reports.text import budget_line, summary, window
from tools.channel_report import AlertRow, ChannelReport
from tools.report_usage import UsageReport
from tools.toil import full_name, spell

SHOWN = 10


def print_report(console: Console, report: ChannelReport) -> None:
    """A channel's report."""
    console.print(f"[bold]Report for {escape(report['channel'])}[/bold], {window(report)}")
    if not report["totals"]["fired"] and not report["totals"]["resolved"]:
        console.print("No alerts fired.")
        return
    console.print(summary(report))
    _print_alerts(console, "Top alerts", report["alerts"])
    _print_alerts(console, "More than five times a week", report["frequent_alerts"])
    _print_alerts(console, "Longer than 72 hours on average", report["long_running_alerts"])
    _print_alerts(console, "Nobody replied", report["untriaged_alerts"])
    _print_toil(console, report)
    _print_proposals(console, report)
    for row in report["budget"]:
        console.print(f"Budget of the model here: {budget_line(row, report['timezone'])}")


def print_usage(console: Console, usage: UsageReport) -> None:
    """How Ratchet was used."""
    console.print(
        f"[bold]Usage[/bold], {usage['start_date']} to {usage['end_date']}, {usage['channel_count']} channels"
    )
    total = usage["summary"]
    console.print(
        f"{total['total_messages']:,} messages, {total['total_thumbs_up']} thumbs up, "
        f"{total['total_thumbs_down']} thumbs down, {total['total_llm_requests']:,} model calls"
    )
    channels = _table("Channels", "channel", "messages", "answers", "up", "down", "budget left")
    for channel in usage["channels"]:
        left = "; ".join(budget_line(row, "UTC") for row in channel["budget"])
        counts = (channel["messages"], channel["answers"], channel["thumbs_up"], channel["thumbs_down"])
        channels.add_row(escape(channel["name"]), *(f"{count:,}" for count in counts), left)
    helped = _table("Help channels", "channel", "questions", "answered", "helpful", "not helpful")
    for channel in usage["channels"]:
        if row := channel["help"]:
            told = (row["questions"], row["answered"], row["helpful"], row["unhelpful"])
            helped.add_row(escape(channel["name"]), *(f"{count:,}" for count in told))
    modules = _table("Modules", "module", "model calls", "posts")
    for module in usage["modules"]:
        modules.add_row(escape(module["module"]), f"{module['requests']:,}", f"{module['posts']:,}")
    models = _table("Models", "model", "requests", "prompt tokens", "output tokens", "cost in $")
    for model in usage["llm_usage"]:
        tokens = (model["requests"], model["prompt_tokens"], model["output_tokens"])
        models.add_row(escape(model["model"]), *(f"{count:,}" for count in tokens), f"{model['cost']:,.4f}")
    for table in (channels, helped, modules, models):
        if table.row_count:
            console.print("", table)


def _print_alerts(console: Console, title: str, rows: list[AlertRow]) -> None:
    if not rows:
        return
    table = _table(title, "alert", "service", "fired", "on average", "replies")
    for row in rows[:SHOWN]:
        average = spell(row["average_seconds"]) if row["average_seconds"] is not None else "-"
        name, service = escape(row["alert"]), escape(row["service"] or "-")
        table.add_row(name, service, str(row["count"]), average, str(row["human_replies"]))
    console.print("", table, *_more(rows))


def _print_toil(console: Console, report: ChannelReport) -> None:
    table = _table("Toil", "alert", "fired", "acted", "by itself", "ignored", "repeated", "people")
    for row in report["toil"][:SHOWN]:
        counts = (row["fired"], row["acted"], row["self_resolved"], row["ignored"], row["duplicate"])
        name = full_name(row["alert"], row["service"])
        spent = spell(60 * row["human_minutes"]) if row["human_minutes"] else "-"
        table.add_row(escape(name), *(str(count) for count in counts), spent)
    console.print("", table, *_more(report["toil"]))


def _print_proposals(console: Console, report: ChannelReport) -> None:
    if not report["proposals"]:
        return
    table = _table("Proposals", "alert", "what", "why", left=3)
    for row in report["proposals"]:
        name = full_name(row["alert"], row["service"])
        table.add_row(escape(name), row["text"], row["evidence"])
    console.print("", table)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < left or column == "service" else "right", overflow="fold")
    return table


def _more(rows: Sequence[object]) -> list[str]:
    return [f"… and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
