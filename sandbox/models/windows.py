"""Spans of time as people name them: "this week", "yesterday", "last 24 hours", "since Monday", "in October"."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

_NUMBERS = {
    word: number
    for number, word in enumerate(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"], start=1
    )
} | {"a": 1, "an": 1, "couple of": 2, "few": 3}
_UNITS = {"m": "m", "h": "h", "d": "d", "w": "w"}
_LENGTHS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(days=7)}
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_MONTHS = [
    *["january", "february", "march", "april", "may", "june", "july", "august"],
    *["september", "october", "november", "december"],
]
_COUNT = rf"(?P<count>\d+|{'|'.join(_NUMBERS)})"
_UNIT = r"(?P<unit>min(?:ute)?s?|m|hours?|hrs?|h|days?|d|weeks?|w|months?)\b"
_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?Z?)?"


@dataclass(frozen=True)
class Window:
    """A span of time; a `since` of None is the beginning, an `until` of None is now.

    Attributes:
        since: When it begins.
        until: When it ends, exclusive.
        span: The same as a length back from now, such as `7d`, where it ends now.
    """

    since: datetime | None
    until: datetime | None = None
    span: str | None = None

    def arguments(self) -> dict[str, str]:
        """`since` and `until` as tools take them: a span back from now, or RFC 3339."""
        if self.span:
            return {"since": self.span}
        bounds = {"since": self.since, "until": self.until}
        return {name: moment.strftime("%Y-%m-%dT%H:%M:%SZ") for name, moment in bounds.items() if moment}

    def days(self, now: datetime) -> int:
        """Whole days from the beginning until now, at least one."""
        return max(1, -((self.since - now) // timedelta(days=1))) if self.since else 365

    def before(self, unit: str, now: datetime) -> "Window":
        """The window that ends where this one begins; as long as the unit (`day`, `week`, `month`) or as this one."""
        start = self.since or now
        if unit == "month" and start.day == 1 and start.hour == 0:
            return Window(_first_of_month(start, 1), start)
        lengths = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(days=7)}
        length = lengths.get(unit) or (timedelta(days=30) if unit == "month" else (self.until or now) - start)
        return Window(start - length, start)


EVER = Window(None)


def last(count: int, unit: str, now: datetime) -> Window:
    """The last `count` minutes (m), hours (h), days (d) or weeks (w)."""
    return Window(now - count * _LENGTHS[unit], None, f"{count}{unit}")


def find_window(text: str, now: datetime) -> tuple[Window | None, str]:
    """The window that a question names, and the question without the words that name it."""
    for pattern, build in _FORMS:
        match = pattern.search(text)
        window = build(match, now) if match else None
        if match and window:
            return window, f"{text[: match.start()]} {text[match.end() :]}"
    return None, text


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _first_of_month(moment: datetime, back: int) -> datetime:
    month = moment.year * 12 + moment.month - 1 - back
    return _midnight(moment).replace(year=month // 12, month=month % 12 + 1, day=1)


def _parse(text: str, now: datetime) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "T"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def _count(match: re.Match[str]) -> int:
    word = (match["count"] or "1").lower()
    return int(word) if word.isdigit() else _NUMBERS.get(word, 1)


def _last_units(match: re.Match[str], now: datetime) -> Window:
    unit = match["unit"].lower()
    if unit.startswith("mo"):
        return last(30 * _count(match), "d", now)
    return last(_count(match), _UNITS[unit[0]], now)


def _units_ago(match: re.Match[str], now: datetime) -> Window:
    unit, count = match["unit"].lower(), _count(match)
    if unit.startswith("mo"):
        return Window(_first_of_month(now, count), _first_of_month(now, count - 1))
    if unit.startswith("w"):
        return Window(now - timedelta(days=7 * count + 3), now - timedelta(days=7 * count - 4))
    if unit.startswith("d"):
        return _day(_midnight(now) - timedelta(days=count))
    return Window(now - 2 * count * _LENGTHS[unit[0]], None)


def _day(start: datetime) -> Window:
    return Window(start, start + timedelta(days=1))


def _last_week(_match: re.Match[str], now: datetime) -> Window:
    monday = _midnight(now) - timedelta(days=now.weekday())
    return Window(monday - timedelta(days=7), monday)


def _weekday(match: re.Match[str], now: datetime) -> Window:
    back = (now.weekday() - _DAYS.index(match["day"].lower())) % 7 or 7
    start = _midnight(now) - timedelta(days=back)
    return Window(start) if match["since"].lower() in {"since", "after"} else _day(start)


def _month(match: re.Match[str], now: datetime) -> Window:
    back = (now.month - 1 - _MONTHS.index(match["month"].lower())) % 12
    start = _first_of_month(now, back)
    return Window(start, _first_of_month(now, back - 1) if back else None)


def _since_date(match: re.Match[str], now: datetime) -> Window | None:
    start = _parse(match["date"], now)
    return Window(start) if start else None


def _on_date(match: re.Match[str], now: datetime) -> Window | None:
    start = _parse(match["date"], now)
    return _day(_midnight(start)) if start else None


def _between(match: re.Match[str], now: datetime) -> Window | None:
    first, second = _parse(match["first"], now), _parse(match["second"], now)
    if not first or not second:
        return None
    return Window(first, second + timedelta(days=1) if len(match["second"]) == 10 else second)


def _clock(match: re.Match[str], now: datetime) -> Window | None:
    hour = int(match["hour"]) % 24 + (12 if (match["half"] or "").lower() == "pm" and int(match["hour"]) < 12 else 0)
    start = _midnight(now) + timedelta(hours=hour, minutes=int(match["minute"] or 0))
    return Window(start if start < now else start - timedelta(days=1))


def _form(
    pattern: str, build: Callable[[re.Match[str], datetime], Window | None]
) -> tuple[re.Pattern[str], Callable[[re.Match[str], datetime], Window | None]]:
    return re.compile(rf"\b(?:{pattern})", re.IGNORECASE), build


_FORMS = [
    _form(
        rf"(?:between|from)\s+(?P<first>{_DATE})\s+(?:and|to|until|till)\s+(?P<second>{_DATE})",
        _between,
    ),
    _form(rf"(?:since|after)\s+(?P<date>{_DATE})", _since_date),
    _form(rf"(?:on\s+)?(?P<date>{_DATE})", _on_date),
    _form(
        rf"(?:(?:since|in|over|during|within|for|from)\s+)?(?:the\s+)?(?:last|past|previous|recent)\s+{_COUNT}\s*{_UNIT}",
        _last_units,
    ),
    _form(rf"{_COUNT}\s*{_UNIT}\s+ago", _units_ago),
    _form(r"since\s+yesterday", lambda _, now: Window(_midnight(now) - timedelta(days=1))),
    _form(r"(?:since\s+)?last\s+night|overnight", lambda _, now: Window(_midnight(now) - timedelta(hours=6))),
    _form(r"yesterday(?:'s)?", lambda _, now: _day(_midnight(now) - timedelta(days=1))),
    _form(r"(?:(?:since|this)\s+morning)", lambda _, now: Window(_midnight(now))),
    _form(r"today(?:'s)?|so far today", lambda _, now: Window(_midnight(now))),
    _form(rf"(?P<since>since|after|on|last)\s+(?P<day>{'|'.join(_DAYS)})", _weekday),
    _form(r"since\s+(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>am|pm)?\b", _clock),
    _form(rf"(?:in|during|over)\s+(?P<month>{'|'.join(_MONTHS)})\b", _month),
    _form(r"last\s+week(?:'s)?", _last_week),
    _form(r"last\s+month(?:'s)?", lambda _, now: Window(_first_of_month(now, 1), _first_of_month(now, 0))),
    _form(r"this\s+month(?:'s)?", lambda _, now: Window(_first_of_month(now, 0))),
    _form(r"(?:in\s+|over\s+)?the\s+past\s+month|past\s+month", lambda _, now: last(30, "d", now)),
    _form(
        r"(?:(?:in|over|during|for)\s+)?(?:this|the(?:\s+(?:past|current))?|past)\s+week(?:'s)?(?!\s+before)",
        lambda _, now: last(7, "d", now),
    ),
    _form(r"(?:(?:in|over|during|for)\s+)?(?:the\s+)?(?:last|past)\s+day\b", lambda _, now: last(24, "h", now)),
    _form(r"(?:(?:in|over|during|for)\s+)?(?:the\s+)?(?:last|past|this)\s+hour\b", lambda _, now: last(1, "h", now)),
    _form(r"(?:of\s+)?all\s+time|\bever\b|so\s+far", lambda _, _now: EVER),
]
