"""When things happen in the demo company: moments that follow working hours, nights and bursts, from a seed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from sandbox.data_alerts import Alert, Firing

DAYS = 62
WEEKS = 9
SATURDAY = 5


def week_window(week: int, now: datetime) -> tuple[datetime, datetime]:
    """Start and end of a week counted back from `now`, the newest being 0; the oldest has six days.

    Both ends keep a distance to the week's limits, so that "the last 7 days" hold the same alerts
    whether somebody asks at once or two hours later.
    """
    start = now - timedelta(days=min(DAYS, 7 * (week + 1))) + timedelta(hours=3)
    return start, now - timedelta(days=7 * week, minutes=25)


def business_weight(moment: datetime) -> float:
    """How likely something happens that people cause: by day, from Monday to Friday."""
    return (1.0 if 8 <= moment.hour < 18 else 0.12) * (1.0 if moment.weekday() < SATURDAY else 0.3)


def night_weight(moment: datetime) -> float:
    """How likely something happens that batch jobs cause."""
    return 1.0 if 1 <= moment.hour < 5 else 0.08


def any_weight(_moment: datetime) -> float:
    """All hours alike."""
    return 1.0


WEIGHTS: dict[str, Callable[[datetime], float]] = {"business": business_weight, "night": night_weight}


def draw_moments(
    random: Random,
    count: int,
    window: tuple[datetime, datetime],
    *,
    weight: Callable[[datetime], float] = any_weight,
    apart: timedelta = timedelta(minutes=25),
) -> list[datetime]:
    """Draw `count` moments of the window, in order, at least `apart` from each other.

    Moments are accepted with the probability that `weight` gives them, and in any case when a
    hundred draws for one of them failed.
    """
    start, end = window
    seconds = (end - start).total_seconds()
    drawn: list[datetime] = []
    tries = 0
    while len(drawn) < count:
        tries += 1
        moment = start + timedelta(seconds=random.uniform(0, seconds))
        fits = all(abs(moment - other) >= apart for other in drawn)
        if tries > 100 * (len(drawn) + 1) or (fits and random.random() < weight(moment)):
            drawn.append(moment)
    return sorted(drawn)


def plan_firings(alert: Alert, now: datetime, seed: int) -> list[Firing]:
    """All firings of an alert in the demo's two months, oldest first.

    A firing ends before the next one starts. It has no end where the system does not say so, or
    where it is still open at `now`.
    """
    firings: list[Firing] = []
    starts = [
        (week, nth, start)
        for week in reversed(range(WEEKS))
        for nth, start in enumerate(_starts(alert, week, now, seed))
    ]
    random = Random(f"{seed}/{alert.name}/durations")
    for index, (week, nth, start) in enumerate(starts):
        minutes = random.uniform(*alert.minutes)
        ended: datetime | None = start + timedelta(minutes=minutes)
        if index + 1 < len(starts):
            ended = min(ended or start, starts[index + 1][2] - timedelta(minutes=2))
        open_ended = alert.minutes[1] == 0 or (alert.still_open and index + 1 == len(starts))
        if open_ended or (ended and ended >= now):
            ended = None
        together = 2 if len(alert.instances) > 1 and random.random() < 0.15 else 1
        firings.append(
            Firing(
                alert=alert,
                week=week,
                nth=nth,
                started=start,
                ended=ended,
                value=random.choice(alert.values),
                okay=random.choice(alert.okay),
                instances=tuple(random.sample(alert.instances, together)) if alert.instances else (),
                number=4100 + 10 * index + random.randrange(10),
            )
        )
    return firings


def _starts(alert: Alert, week: int, now: datetime, seed: int) -> list[datetime]:
    random = Random(f"{seed}/{alert.name}/{week}")
    start, end = week_window(week, now)
    count = alert.weekly[week]
    if alert.rhythm == "early":
        return draw_moments(random, count, (start, start + timedelta(days=1)))
    if alert.rhythm == "burst":
        return _bursts(random, count, (start, end - timedelta(hours=3)))
    starts = draw_moments(random, count, (start, end), weight=WEIGHTS.get(alert.rhythm, any_weight))
    if alert.still_open and week == 0:
        starts[-1] = now - timedelta(minutes=40)
    return starts


def _bursts(random: Random, count: int, window: tuple[datetime, datetime]) -> list[datetime]:
    sizes: list[int] = []
    while sum(sizes) < count:
        sizes.append(min(random.randint(2, 5), count - sum(sizes)))
    anchors = draw_moments(random, len(sizes), window, apart=timedelta(hours=3))
    starts: list[datetime] = []
    for anchor, size in zip(anchors, sizes, strict=True):
        moment = anchor
        for _ in range(size):
            starts.append(moment)
            moment += timedelta(minutes=random.uniform(12, 28))
    return starts
