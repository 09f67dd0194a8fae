"""The demo company: the same every time, plausible to read, with facts that can be counted."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
import yaml

from sandbox.demo_data import DATA, DemoWorkspace, load_demo
from sandbox.slack.records import Channel, Message
from sandbox.workspace import Workspace

NOW = datetime(2026, 3, 18, 10, 30, tzinfo=UTC)
WEEK = timedelta(days=7)
PLACEHOLDER = re.compile(r"\{(n|value|instance|service|version|note)\}")

# How each system's own words name the alert that begins to fire.
OPENINGS = [
    re.compile(r"\[FIRING:\d+\] (\w+) "),
    re.compile(r":rotating_light: CloudWatch Alarm \| ([\w-]+) "),
    re.compile(r"(?:Triggered|Resolved) <\S+\|#\d+: ([^>]+)>"),
    re.compile(r"Triggered: (.+) on env:prod"),
    re.compile(r"^\[payments\] (\w+): "),
    re.compile(r"^\[([^\]]+)\] \[🔴 Down\]"),
]


@cache
def demo(now: datetime = NOW) -> tuple[Workspace, DemoWorkspace]:
    workspace = Workspace()
    return workspace, load_demo(workspace, now)


def channel_of(name: str) -> Channel:
    workspace, loaded = demo()
    return workspace.channel(loaded.channels[name])


def top_level(name: str) -> list[Message]:
    channel = channel_of(name)
    return [channel.messages[ts] for ts in channel.timeline]


def texts_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"text", "title", "pretext", "value"} and isinstance(inner, str):
                yield inner
            else:
                yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)


def seen_by_a_person(message: Message) -> str:
    return "\n".join([message.text, *texts_in(message.attachments), *texts_in(message.blocks)]).strip()


def alert_that_opens(message: Message) -> str | None:
    text = seen_by_a_person(message).replace("*", "")
    found = (pattern.search(text) for pattern in OPENINGS)
    return next((match.group(1) for match in found if match), None) if message.bot_id else None


def openings(start: datetime, end: datetime) -> Counter[str]:
    return Counter(
        name
        for message in top_level("ops-alerts")
        if start.timestamp() <= float(message.ts) < end.timestamp() and (name := alert_that_opens(message))
    )


def content(workspace: Workspace) -> list[tuple[object, ...]]:
    return [
        (channel.name, m.ts, m.thread_ts, m.user, m.username, m.text, json.dumps(m.attachments), json.dumps(m.blocks))
        for channel in workspace.channels.values()
        for m in channel.messages.values()
    ]


def test_the_same_seed_and_moment_give_the_same_messages() -> None:
    other = Workspace()
    load_demo(other, NOW)
    assert content(other) == content(demo()[0])


def test_another_seed_gives_other_moments() -> None:
    other = Workspace()
    load_demo(other, NOW, seed=8)
    assert content(other) != content(demo()[0])


def test_loading_takes_less_than_a_second() -> None:
    started = time.perf_counter()
    load_demo(Workspace(), NOW)
    assert time.perf_counter() - started < 1


def test_everything_lies_in_the_62_days_before_now_and_in_order() -> None:
    for channel in demo()[0].channels.values():
        stamps = [float(ts) for ts in channel.messages]
        assert stamps == sorted(stamps)
        assert min(stamps) >= (NOW - timedelta(days=62)).timestamp()
        assert max(stamps) <= NOW.timestamp()


def test_the_channels_have_the_size_of_a_small_company() -> None:
    assert 700 <= len(top_level("ops-alerts")) <= 900
    assert len(top_level("help-platform")) >= 60
    assert len(top_level("deploys")) >= 60
    assert len(top_level("general")) >= 20
    assert len({name for name in map(alert_that_opens, top_level("ops-alerts")) if name}) == 16


def test_the_top_alerts_of_the_last_seven_days_are_known() -> None:
    assert openings(NOW - WEEK, NOW).most_common(5) == [
        ("IngestConsumerLag", 19),
        ("Search latency is high", 11),
        ("CheckoutLatencyP99", 8),
        ("Login failures spike", 6),
        ("payments-queue-oldest-message", 5),
    ]


def test_the_week_before_had_another_order() -> None:
    assert openings(NOW - 2 * WEEK, NOW - WEEK).most_common(4) == [
        ("SearchIndexLag", 14),
        ("CheckoutLatencyP99", 10),
        ("IngestConsumerLag", 7),
        ("BillingDbConnections", 5),
    ]


@pytest.mark.parametrize("hours", [0, 2])
def test_the_ranking_holds_whether_one_asks_at_once_or_two_hours_later(hours: int) -> None:
    later = NOW + timedelta(hours=hours)
    assert openings(later - WEEK, later) == openings(NOW - WEEK, NOW)


@pytest.mark.parametrize("now", [datetime(2026, 1, 4, 23, 59, tzinfo=UTC), datetime(2026, 7, 1, 3, 0, tzinfo=UTC)])
def test_the_counts_do_not_depend_on_the_day_of_the_week(now: datetime) -> None:
    workspace, loaded = demo(now)
    channel = workspace.channel(loaded.channels["ops-alerts"])
    recent = [channel.messages[ts] for ts in channel.timeline if float(ts) >= (now - WEEK).timestamp()]
    assert Counter(filter(None, map(alert_that_opens, recent)))["IngestConsumerLag"] == 19


def test_every_message_has_text_that_a_person_sees() -> None:
    for channel in demo()[0].channels.values():
        for message in channel.messages.values():
            assert len(seen_by_a_person(message)) > 5, message
            assert not PLACEHOLDER.search(seen_by_a_person(message)), message


def test_each_system_posts_under_its_own_name() -> None:
    names = {message.username for message in top_level("ops-alerts")}
    assert names >= {
        "Alertmanager", "Grafana", "Amazon Q Developer", "PagerDuty", "Datadog", "Sentry", "Uptime Kuma",
        "GitHub", "Deploy Bot", "Backup", None,
    }  # fmt: skip


def test_most_alerts_are_resolved_later_and_some_are_still_open() -> None:
    heads = [message.attachments[0].get("title", "") for message in top_level("ops-alerts") if message.attachments]
    firing = sum(title.startswith("[FIRING") for title in heads)
    resolved = sum(title.startswith("[RESOLVED") for title in heads)
    assert 1 <= firing - resolved <= 4


def test_pagerduty_edits_its_messages_in_place() -> None:
    edited = [message for message in top_level("ops-alerts") if message.edited]
    assert len(edited) >= 10
    for message in edited:
        assert "Resolved" in seen_by_a_person(message)
        assert "Triggered" in json.dumps(message.edits)
        assert float(message.edited["ts"]) > float(message.ts)


def test_a_certificate_stays_open_for_more_than_three_days_on_average() -> None:
    opened: dict[str, float] = {}
    hours = []
    for message in top_level("ops-alerts"):
        title = message.attachments[0].get("title", "") if message.attachments else ""
        if "EdgeCertificateExpiry" in title:
            if "FIRING" in title:
                opened["at"] = float(message.ts)
            else:
                hours.append((float(message.ts) - opened.pop("at")) / 3600)
    assert len(hours) == 4
    assert sum(hours) / len(hours) > 72


def test_triage_happens_in_threads_under_alerts() -> None:
    channel = channel_of("ops-alerts")
    triage = [[channel.messages[ts] for ts in thread.replies] for thread in channel.threads.values()]
    assert 45 <= len(triage) <= 50
    for thread_ts, replies in zip(channel.threads, triage, strict=True):
        assert alert_that_opens(channel.messages[thread_ts])
        assert len(replies) >= 2
        assert all(reply.user and not reply.bot_id for reply in replies)
    said = " ".join(message.text for replies in triage for message in replies)
    for command in ("kubectl", "psql", "aws ", "redis-cli", "journalctl", "curl"):
        assert command in said
    assert said.count("Root cause") >= 40


def test_the_alert_above_a_thread_shows_the_number_that_people_talk_about() -> None:
    channel = channel_of("ops-alerts")
    above = [
        seen_by_a_person(channel.messages[thread_ts])
        for thread_ts, thread in channel.threads.items()
        if channel.messages[thread.replies[0]].text.startswith("371, checkout 310")
    ]
    assert len(above) == 1
    assert "371 of 400 connections" in above[0]


def test_one_of_the_top_alerts_of_this_week_was_touched_by_nobody() -> None:
    channel = channel_of("ops-alerts")
    recent = [ts for ts in channel.timeline if float(ts) >= (NOW - WEEK).timestamp()]
    logins = [ts for ts in recent if alert_that_opens(channel.messages[ts]) == "Login failures spike"]
    assert len(logins) == 6
    assert not any(ts in channel.threads for ts in logins)


def test_some_questions_stay_without_an_answer() -> None:
    channel = channel_of("help-platform")
    unanswered = [ts for ts in channel.timeline if ts not in channel.threads]
    assert 5 <= len(unanswered) <= 12


def test_the_bot_is_in_every_channel_and_the_private_one_has_two_people() -> None:
    workspace, loaded = demo()
    for channel_id in loaded.channels.values():
        assert workspace.bot_user_id in workspace.channel(channel_id).members
    room = channel_of("incident-room")
    assert room.kind == "group"
    people = {workspace.user(member).name for member in room.members} - {"ratchet"}
    assert people == {"platform-lead", "sre-1"}


def test_the_canary_is_known_in_the_private_channel_only() -> None:
    workspace, loaded = demo()
    places = {
        channel.name
        for channel in workspace.channels.values()
        for message in channel.messages.values()
        if loaded.canary in seen_by_a_person(message)
    }
    assert places == {"incident-room"}
    assert all(loaded.canary not in page.read_text() for page in loaded.docs.glob("*.md"))


def test_the_handbook_has_short_pages_with_headings_and_valid_front_matter() -> None:
    pages = sorted(demo()[1].docs.glob("*.md"))
    assert 8 <= len(pages) <= 12
    with_front_matter = 0
    for page in pages:
        text = page.read_text()
        if text.startswith("---\n"):
            with_front_matter += 1
            _, front, text = text.split("---\n", 2)
            assert yaml.safe_load(front)["title"]
        assert text.strip().startswith("# ")
        assert text.count("```") % 2 == 0
        assert len(text.split()) < 400
    assert 0 < with_front_matter < len(pages)


def test_every_alert_of_the_handbook_exists() -> None:
    known = {alert["name"] for alert in yaml.safe_load((DATA / "alerts.yaml").read_text())}
    named = set()
    for page in demo()[1].docs.glob("*.md"):
        front = page.read_text().split("---\n")
        if len(front) > 2:
            named |= set(yaml.safe_load(front[1]).get("alerts", []))
    assert named == known
