"""The picture of a report: alerts a day, and the top alerts by what became of them."""

from __future__ import annotations

import importlib.util
import io
import threading
from datetime import date
from typing import TYPE_CHECKING

from ratchet.reports.text import window
from tools.channel_report import ChannelReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by colour-blind people too.
BLUE, ORANGE, GREEN, GREY, YELLOW = "#0072B2", "#E69F00", "#009E73", "#999999", "#F0E442"
FATES = [
    ("acted", "looked at by people", BLUE),
    ("self_resolved", "ended by itself", GREEN),
    ("ignored", "ignored", GREY),
    ("duplicate", "repeated while open", YELLOW),
]
INK = "#333333"
LONGEST_LINE, MOST_DATES, MOST_HATCHED = 34, 10, 31
_one_at_a_time = threading.Lock()  # matplotlib's fonts are not made for threads


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    try:
        return importlib.util.find_spec("matplotlib") is not None
    except ValueError:  # a module that was marked as absent
        return False


def draw(report: ChannelReport) -> bytes:
    """The picture as PNG, 1,400 pixels wide. It takes half a second of a core: call it in a thread.

    Raises:
        ImportError: matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    top = _top(report)
    with _one_at_a_time:
        figure = Figure(
            figsize=(14, 6.6),
            dpi=100,
            layout=ConstrainedLayoutEngine(w_pad=0.2, h_pad=0.2, wspace=0.05),
            facecolor="white",
        )
        FigureCanvasAgg(figure)
        figure.suptitle(f"{_plain(report['channel'])}, {window(report)}", fontsize=13, color=INK)
        days, alerts = figure.subplots(1, 2, width_ratios=[1.1, 1])
        for axes in (days, alerts):
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(colors=INK, labelsize=10)
            axes.set_axisbelow(True)
        _draw_days(days, report)
        _draw_top(alerts, top)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
        return picture.getvalue()


def _top(report: ChannelReport) -> list[tuple[str, dict[str, int]]]:
    """The labels of the top alerts with how many firings met which fate, most frequent first."""
    rows = [row for row in report["toil"] if row["fired"]][: len(report["alerts"])]
    return [
        (
            _label(row["alert"], row["service"]),
            {fate: int(row[fate]) for fate, _, _ in FATES},  # type: ignore[literal-required]
        )
        for row in rows
    ]


def _draw_days(axes: Axes, report: ChannelReport) -> None:
    from matplotlib.ticker import MaxNLocator

    days = report["days"]
    places = range(len(days))
    axes.set_title("Alerts a day", loc="left", fontsize=12, color=INK)
    axes.bar([x - 0.2 for x in places], [d["opened"] for d in days], 0.4, color=ORANGE, label="opened")
    axes.bar(
        [x + 0.2 for x in places],
        [d["closed"] for d in days],
        0.4,
        color=BLUE,
        label="closed",
        hatch="//" if len(days) <= MOST_HATCHED else None,
        edgecolor="white",
        linewidth=0,
    )
    step = -(-len(days) // MOST_DATES)
    axes.set_xticks(list(places)[::step], [_date(d["date"]) for d in days][::step])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    highest = max((max(d["opened"], d["closed"]) for d in days), default=0)
    axes.set_ylim(0, max(1, highest) * 1.05)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2, frameon=False, fontsize=10)
    if not highest:
        _say_empty(axes)


def _draw_top(axes: Axes, top: list[tuple[str, dict[str, int]]]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title("Top alerts, by what became of them", loc="left", fontsize=12, color=INK)
    if not top:
        axes.set_xticks([])
        axes.set_yticks([])
        _say_empty(axes)
        return
    places = list(range(len(top)))
    begin = [0] * len(top)
    for fate, label, colour in FATES:
        counts = [fates[fate] for _, fates in top]
        axes.barh(places, counts, 0.6, left=begin, color=colour, label=label, edgecolor="white", linewidth=0.8)
        begin = [a + b for a, b in zip(begin, counts, strict=True)]
    for place, total in zip(places, begin, strict=True):
        axes.text(total, place, f" {total}", va="center", fontsize=10, color=INK)
    axes.set_yticks(places, [name for name, _ in top])
    axes.invert_yaxis()
    axes.set_xlim(0, max(begin) * 1.08)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, frameon=False, fontsize=10)


def _say_empty(axes: Axes) -> None:

    axes.text(0.5, 0.5, "no alerts", transform=axes.transAxes, ha="center", fontsize=13, color=GREY)


def _date(iso: str) -> str:
    day = date.fromisoformat(iso)
    return f"{day:%a}\n{day.day} {day:%b}"


def _label(alert: str, service: str | None) -> str:
    """The alert's name, and its service below it; each on one line."""
    lines = [alert, service] if service and service.casefold() != alert.casefold() else [alert]
    return "\n".join(_cut(_plain(" ".join(line.split()))) for line in lines)


def _cut(line: str) -> str:
    """Without its middle where it is too long: names of alerts differ in their ends, too."""
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half].rstrip()} … {line[-half:].lstrip()}"


def _plain(text: str) -> str:
    """Without what matplotlib would read as a formula, and without what its font has no sign for."""
    return "".join(c if c.isprintable() and ord(c) < 0x2500 else "?" for c in text).replace("$", r"\$")
