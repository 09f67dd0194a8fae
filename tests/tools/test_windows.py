"""Times as models write them."""

from datetime import UTC, datetime, timedelta

import pytest
from langchain_core.tools import ToolException

from tools.windows import parse_span, parse_time

NOW = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90m", timedelta(minutes=90)),
        ("15 min", timedelta(minutes=15)),
        ("24h", timedelta(days=1)),
        (" 7D ", timedelta(days=7)),
        ("2w", timedelta(days=14)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text, span):
    assert parse_span(text) == span
    assert parse_time(text, NOW) == NOW - span


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-05-16", datetime(2024, 5, 16, tzinfo=UTC)),
        ("2024-05-16T09:30Z", datetime(2024, 5, 16, 9, 30, tzinfo=UTC)),
        ("2024-05-16T09:30:00+02:00", datetime(2024, 5, 16, 7, 30, tzinfo=UTC)),
        ("2024-05-16 09:30", datetime(2024, 5, 16, 9, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_iso_8601_and_utc_unless_it_says_otherwise(text, moment):
    assert parse_time(text, NOW) == moment
    assert parse_time(text, NOW).utcoffset() == timedelta(0)


@pytest.mark.parametrize("text", [None, "", "  "])
def test_no_time_is_none(text):
    assert parse_time(text, NOW) is None


@pytest.mark.parametrize(
    "text", ["yesterday", "7", "-7d", "7 fortnights", "2024-13-01", "999999w", "0001-01-01T00:00+05:00", "1e3h"]
)
def test_what_is_no_time_says_how_to_write_one(text):
    with pytest.raises(ToolException, match=r"is no time\. Write a span such as 24h or 7d, or an ISO date"):
        parse_time(text, NOW)


def test_what_is_no_span_says_how_to_write_one():
    with pytest.raises(ToolException, match="'2024-05-17' is no duration"):
        parse_span("2024-05-17")
