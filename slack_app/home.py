"""How a person's home looks in Slack, and what is suggested in their direct messages. Pure builders."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from storage.home import Asked, OpenApproval, WatchedChannel

SWITCH, PAGE = "home_switch_", "home_page_"  # how Slack's action ids begin
CALLBACK = "home"
MOST_PROMPTS = 4
EXCERPT = 100
FEATURES = {
    "runbook": "runbooks below alerts",
    "recent_activity": "recent activity below alerts",
    "report": "weekly reports",
    "docs": "answers out of the documentation",
    "unanswered": "reminders of unanswered questions",
    "follow_ups": "follow-ups without a mention",
}
STATUSES = {
    "queued": "waits for its turn",
    "running": "being answered",
    "waiting": "waits for an approval",
    "failed": "not answered",
    "stopped": "stopped",
    "merged": "answered together with the one before",
}
MARKUP = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")  # mentions and links, as Slack writes them
# (channel id, ts, ts of the thread) -> address
Permalink = Callable[[str, str, str | None], str]
Block = dict[str, Any]


@dataclass(frozen=True)
class ShownChannel:
    """A channel in the home: what Ratchet does there unasked, and the switches that its viewer may use."""

    channel: WatchedChannel
    unasked: Sequence[str] = ()
    switches: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Home:
    """What one person's home shows; ``page`` counts from 0."""

    approvals: Sequence[OpenApproval] = ()
    channels: Sequence[ShownChannel] = ()
    asked: Sequence[Asked] = ()
    page: int = 0
    has_more: bool = False


@dataclass(frozen=True)
class SwitchClick:
    """What a switch says that was clicked, and on which page it stood."""

    channel_id: str
    feature: str
    is_on: bool
    page: int

    @property
    def value(self) -> str:
        """As it stands in the button."""
        return f"{self.channel_id}:{self.feature}:{'on' if self.is_on else 'off'}:{self.page}"


def read_switch(value: str) -> SwitchClick | None:
    """What a button says; None where it is none of these."""
    match value.split(":"):
        case [channel_id, feature, ("on" | "off") as state, page] if page.isdecimal() and len(page) <= 4:
            return SwitchClick(channel_id, feature, state == "on", int(page))
        case _:
            return None


def home_view(home: Home, *, bot_user_id: str, permalink: Permalink) -> dict[str, Any]:
    """The home of a member of the workspace."""
    blocks = [*_intro(bot_user_id)]
    decide = [_approval(approval, permalink) for approval in home.approvals if approval.may_decide]
    asked_for = [_approval(approval, permalink) for approval in home.approvals if not approval.may_decide]
    blocks += _list("Waiting for your decision", decide)
    blocks += _list("You asked for these, others decide", asked_for)
    blocks += _list("Your last questions", [_question(asked, permalink) for asked in home.asked])
    blocks += _channels(home)
    return _view(blocks)


def guest_view(*, bot_user_id: str) -> dict[str, Any]:
    """The home of a guest, or of somebody of another workspace: nothing of this one."""
    note = "You are a guest here: I answer you only in channels whose rules say so, and show you nothing of others."
    return _view([*_intro(bot_user_id), _section(note)])


def suggestions(tools: Container[str], *, alert_channel: str | None, has_documents: bool) -> list[dict[str, str]]:
    """Questions to begin with, at most four: such as the person's tools and what is stored can answer.

    Args:
        tools: the names of those that the person may use.
        alert_channel: the name of the channel with most alerts, of those that the person may read.
        has_documents: whether any documentation is stored.
    """
    where = f"#{alert_channel}"
    candidates = [
        (alert_channel and "report_channel" in tools, f"This week in {where}", f"What happened in {where} this week?"),
        (alert_channel and "shift_handoff" in tools, f"Hand over {where}", f"Write a shift handoff for {where}."),
        (
            has_documents and "search_docs" in tools,
            "From the documentation",
            "What does the documentation say about being on call?",
        ),
        (
            "find_recent_activity" in tools or "search_messages" in tools,
            "Right now",
            "What are people saying about production in the last hour?",
        ),
        ("list_channels" in tools, "What you can see", "Which channels can you see?"),
        (True, "What you can do", "What can you do here?"),
    ]
    return [{"title": title, "message": message} for fits, title, message in candidates if fits][:MOST_PROMPTS]


def label(feature: str) -> str:
    """What people read for a feature."""
    return FEATURES.get(feature, feature.replace("_", " "))


def _intro(bot_user_id: str) -> list[Block]:
    text = (
        "I answer operations questions out of this workspace's own messages, alerts and documentation. "
        f"Ask me under *Messages* above, or mention <@{bot_user_id}> in a channel that I am in."
    )
    return [_header("Ratchet"), _section(text)]


def _approval(approval: OpenApproval, permalink: Permalink) -> str:
    link = permalink(approval.channel_id, approval.post_ts, approval.thread_ts)
    place = _place(approval.channel_id, approval.channel_kind)
    who = f" for <@{approval.requester_id}>" if approval.may_decide else ""
    until = _time(approval.expires_at, "{time}", "%H:%M UTC")
    return f"`{approval.tool}`{who} in {place}, open until {until}: <{link}|look at it>"


def _question(asked: Asked, permalink: Permalink) -> str:
    thread_ts = asked.thread_ts if asked.thread_ts != asked.message_ts else None
    link = permalink(asked.channel_id, asked.message_ts, thread_ts)
    status = f", {STATUSES[asked.status]}" if asked.status in STATUSES else ""
    when = _time(asked.created_at, "{date_short_pretty} {time}", "%Y-%m-%d %H:%M UTC")
    return f"<{link}|{_excerpt(asked.question)}> in {_place(asked.channel_id, asked.channel_kind)}, {when}{status}"


def _channels(home: Home) -> list[Block]:
    blocks: list[Block] = [_header("Channels that I watch and you can read")]
    if not home.channels:
        blocks.append(_section("None yet. Invite me into a channel with `/invite @Ratchet`."))
    for shown in home.channels:
        blocks.append(_section(_channel(shown)))
        if shown.switches:
            blocks.append(_switches(shown.channel.channel_id, shown.switches, home.page))
    turns = [("previous", "Channels before", home.page - 1, home.page > 0)]
    turns.append(("next", "More channels", home.page + 1, home.has_more))
    buttons = [_button(text, PAGE + name, str(page)) for name, text, page, there in turns if there]
    if buttons:
        blocks.append({"type": "actions", "block_id": "home_pages", "elements": buttons})
    return blocks


def _channel(shown: ShownChannel) -> str:
    channel = shown.channel
    since = _time(channel.since, "{date_short}", "%Y-%m-%d") if channel.since else ""
    match channel.onboarding_status:
        case "failed":
            known = f"I could not read its past{f' and know it since {since}' if since else ''}"
        case "started":
            known = f"I am still reading its past{f', back to {since} so far' if since else ''}"
        case _:
            known = f"I know it since {since}" if since else "nobody has said anything yet"
    unasked = ", ".join(label(feature) for feature in shown.unasked) or "nothing; I answer when I am mentioned"
    return f"*<#{channel.channel_id}>*: {known}.\nUnasked: {unasked}."


def _switches(channel_id: str, switches: Mapping[str, bool], page: int) -> Block:
    elements = [
        _button(
            f"Turn {'off' if is_on else 'on'} {label(feature)}",
            SWITCH + feature,
            SwitchClick(channel_id, feature, not is_on, page).value,
        )
        for feature, is_on in switches.items()
    ]
    return {"type": "actions", "block_id": f"home_switches_{channel_id}", "elements": elements}


def _place(channel_id: str, kind: str) -> str:
    return "our direct messages" if kind == "im" else f"<#{channel_id}>"


def _excerpt(text: str) -> str:
    """The beginning of what somebody wrote, on one line and without markup."""
    plain = html.unescape(MARKUP.sub(lambda match: match[2] or match[1], text))
    plain = " ".join(plain.replace("|", "¦").split())
    shown = plain if len(plain) <= EXCERPT else plain[: EXCERPT - 1] + "…"
    return html.escape(shown, quote=False) or "…"


def _time(moment: datetime, form: str, fallback: str) -> str:
    """A time that Slack shows on the reader's clock."""
    return f"<!date^{int(moment.timestamp())}^{form}|{moment.strftime(fallback)}>"


def _list(title: str, lines: Sequence[str]) -> list[Block]:
    return [_header(title), *(_section(f"• {line}") for line in lines)] if lines else []


def _header(text: str) -> Block:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _button(text: str, action_id: str, value: str) -> Block:
    return {
        "type": "button",
        "action_id": action_id,
        "value": value,
        "text": {"type": "plain_text", "text": text[:75]},
    }


def _view(blocks: list[Block]) -> dict[str, Any]:
    kind: Literal["home"] = "home"
    return {"type": kind, "callback_id": CALLBACK, "blocks": blocks}
