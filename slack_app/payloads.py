"""Reads Slack's payloads. What Ratchet does not know becomes None."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from slack_app.events import (
    TIMESTAMP,
    Change,
    ChannelChange,
    Click,
    Command,
    Envelope,
    Event,
    HomeOpened,
    IncomingMessage,
    Membership,
    MessageChanged,
    MessageDeleted,
    Profile,
    Reaction,
    SessionStopped,
)
from slack_app.files import parse_files
from slack_app.visible import visible_text
from storage.channels import ChannelKind, User

KINDS: dict[str, ChannelKind] = {"channel": "public", "group": "private", "im": "im", "mpim": "mpim"}
# Subtypes that a person or an integration writes; the others are Slack's own notices (joins, topics, …).
SPOKEN = {None, "bot_message", "file_share", "me_message", "thread_broadcast"}
# Slack tells of a channel's changes by events (channel_… and group_…) and by notices in the channel itself.
CHANGES: dict[str, Change] = {
    "rename": "renamed",
    "archive": "archived",
    "unarchive": "unarchived",
    "deleted": "deleted",
    "shared": "shared",
    "unshared": "unshared",
}
NOTICES: dict[str, Change] = {
    "channel_convert_to_private": "closed",
    "channel_convert_to_public": "opened",
    "channel_name": "renamed",
    "group_name": "renamed",
}


class BadPayload(Exception):
    """A payload lacks what its type must have."""


def parse(body: dict[str, Any]) -> Envelope:
    """Read any payload that Slack delivers.

    Raises:
        BadPayload: it has no id or lacks a part that its type must have.
    """
    try:
        if body.get("type") == "event_callback":
            event = body["event"]
            team_id = str(body["team_id"])
            parser = PARSERS.get(event["type"])
            told = parser(team_id, event) if parser else None
            if isinstance(told, IncomingMessage) and body.get("is_ext_shared_channel"):
                told = replace(told, shared=True)
            return Envelope(str(body["event_id"]), team_id, event["type"], told)
        if "command" in body:
            command = _command(body)
            return Envelope(f"command:{command.trigger_id}", command.team_id, "slash_command", command)
        if body.get("type") == "block_actions":
            return _click(body)
        if body.get("type") == "view_submission" and "user" in body:
            return _submission(body)
        return _other(body)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise BadPayload(f"a Slack payload lacks {error}") from error


def parse_message(team_id: str, message: dict[str, Any], channel_id: str, channel_type: str | None) -> IncomingMessage:
    """Read one message object, from an event or from Slack's history."""
    ts, thread_ts = _ts(message["ts"]), message.get("thread_ts")
    edited = message.get("edited") or {}
    profile = message.get("bot_profile") if isinstance(message.get("bot_profile"), dict) else {}
    return IncomingMessage(
        team_id=team_id,
        channel_id=channel_id,
        channel_kind=KINDS.get(channel_type or ""),
        ts=ts,
        thread_ts=_ts(thread_ts) if thread_ts and thread_ts != ts else None,
        user_id=message.get("user"),
        bot_id=message.get("bot_id"),
        bot_username=message.get("username") or (profile or {}).get("name"),
        subtype=message.get("subtype"),
        raw_text=str(message.get("text") or ""),
        text=visible_text(message),
        edited_ts=_ts(edited["ts"]) if edited else None,
        files=parse_files(message.get("files")),
        reactions=_reactions(message.get("reactions")),
        attachments=message.get("attachments"),
        blocks=message.get("blocks"),
    )


def parse_user(team_id: str, member: dict[str, Any]) -> User:
    """Read one user object, from an event or from Slack's lists."""
    profile = member.get("profile") or {}
    return User(
        team_id=team_id,
        user_id=str(member["id"]),
        name=str(profile.get("display_name") or member.get("name") or member["id"]),
        is_bot=bool(member.get("is_bot")),
        is_guest=bool(member.get("is_restricted") or member.get("is_ultra_restricted")),
        is_stranger=bool(member.get("is_stranger")) or str(member.get("team_id") or "") not in {"", team_id},
        is_admin=bool(member.get("is_admin") or member.get("is_owner") or member.get("is_primary_owner")),
    )


def _reactions(value: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for item in value if isinstance(value, list) else []:
        if isinstance(item, dict) and item.get("name") and isinstance(item.get("users"), list):
            found.setdefault(reaction_name(str(item["name"])), []).extend(str(user) for user in item["users"])
    return found


def reaction_name(name: str) -> str:
    """One name whatever the alias; a skin tone is no other reaction: thumbsup::skin-tone-3 counts as +1."""
    plain = name.split("::", maxsplit=1)[0]
    return {"thumbsup": "+1", "thumbsdown": "-1"}.get(plain, plain)


def _ts(value: Any) -> str:
    """A timestamp as it stands; the database counts with it, so nothing else may pass."""
    if not TIMESTAMP.fullmatch(str(value)):
        raise ValueError(f"a timestamp: {value!r}")
    return str(value)


def _message(team_id: str, event: dict[str, Any]) -> Event | None:
    subtype = event.get("subtype")
    if subtype == "message_deleted":
        return MessageDeleted(team_id, event["channel"], _ts(event["deleted_ts"]))
    if subtype == "message_changed":
        changed = event["message"]
        if changed.get("subtype") == "tombstone":
            return MessageDeleted(team_id, event["channel"], _ts(changed["ts"]))
        message = parse_message(team_id, changed, event["channel"], event.get("channel_type"))
        # Slack marks as edited what a person wrote anew; not an integration's new blocks or attachments (firing to
        # resolved), and not the preview of a link. The event's own time puts all of them in order.
        stamps = [message.edited_ts, str(event.get("event_ts") or event.get("ts") or "")]
        known = [stamp for stamp in stamps if stamp and TIMESTAMP.fullmatch(stamp)]
        message = replace(message, edited_ts=max(known, key=float, default=None))
        return MessageChanged(message)
    if subtype in NOTICES:
        return ChannelChange(team_id, event["channel"], NOTICES[subtype], str(event.get("name") or ""))
    if subtype not in SPOKEN:
        return None
    return parse_message(team_id, event, event["channel"], event.get("channel_type"))


def _channel_change(team_id: str, event: dict[str, Any]) -> Event | None:
    channel = event["channel"]
    name = str(channel.get("name") or "") if isinstance(channel, dict) else ""
    channel_id = str(channel["id"] if isinstance(channel, dict) else channel)
    return ChannelChange(team_id, channel_id, CHANGES[event["type"].partition("_")[2]], name)


def _profile(team_id: str, event: dict[str, Any]) -> Event | None:
    return Profile(parse_user(team_id, event["user"]))


def _reaction(team_id: str, event: dict[str, Any]) -> Event | None:
    item = event["item"]
    if item.get("type") != "message":
        return None
    added = event["type"] == "reaction_added"
    name = reaction_name(event["reaction"])
    event_ts = _ts(event["event_ts"]) if event.get("event_ts") else None
    return Reaction(team_id, item["channel"], _ts(item["ts"]), event["user"], name, added, event_ts)


def _membership(team_id: str, event: dict[str, Any]) -> Event | None:
    kind = {"C": KINDS["channel"], "G": KINDS["group"]}.get(str(event.get("channel_type") or ""))
    ts = _ts(event["event_ts"]) if event.get("event_ts") else None
    return Membership(team_id, event["channel"], kind, event["user"], event["type"] == "member_joined_channel", ts)


def _session_stopped(team_id: str, event: dict[str, Any]) -> Event | None:
    ts = _ts(event["event_ts"]) if event.get("event_ts") else None
    return SessionStopped(team_id, str(event["channel"]), _ts(event["thread_ts"]), str(event["user"]), ts)


def _home(team_id: str, event: dict[str, Any]) -> Event | None:
    match event.get("tab") or "home":
        case "home" | "messages" as tab:
            return HomeOpened(team_id, event["channel"], event["user"], tab)
        case _:
            return None


def _command(body: dict[str, Any]) -> Command:
    return Command(
        team_id=str(body["team_id"]),
        channel_id=str(body["channel_id"]),
        user_id=str(body["user_id"]),
        command=str(body["command"]),
        text=str(body.get("text") or "").strip(),
        trigger_id=str(body["trigger_id"]),
        response_url=str(body.get("response_url") or ""),
    )


def _click(body: dict[str, Any]) -> Envelope:
    action = body["actions"][0]
    click = Click(
        team_id=str(body["team"]["id"]),
        channel_id=str((body.get("channel") or {}).get("id") or ""),
        user_id=str(body["user"]["id"]),
        action_id=str(action["action_id"]),
        value=str(action.get("value") or ""),
        message_ts=(body.get("message") or {}).get("ts"),
    )
    identity = f"{body.get('trigger_id') or ''}:{action.get('action_ts') or ''}:{click.action_id}"
    return Envelope(f"click:{identity}", click.team_id, "click", click)


def _submission(body: dict[str, Any]) -> Envelope:
    view, team_id = body["view"], str((body.get("team") or {}).get("id") or "")
    blocks = ((view.get("state") or {}).get("values") or {}).values()
    text = "\n".join(str(part.get("value") or "") for block in blocks for part in block.values())
    name, value = f"{view.get('callback_id') or ''}:submitted", str(view.get("private_metadata") or "")
    click = Click(team_id, "", str(body["user"]["id"]), name, value, None, text)
    return Envelope(f"view_submission:{body.get('trigger_id') or view['id']}", team_id, "view_submission", click)


def _other(body: dict[str, Any]) -> Envelope:
    kind, team = str(body.get("type")), body.get("team") or {}
    identity = body.get("trigger_id") or (body.get("view") or {}).get("id")
    if not identity:
        raise BadPayload(f"a Slack payload of type {kind!r} has no id")
    return Envelope(f"{kind}:{identity}", str(team.get("id") or ""), kind, None)


Parser = Callable[[str, dict[str, Any]], Event | None]
PARSERS: dict[str, Parser] = {
    "message": _message,
    "app_mention": _message,
    "reaction_added": _reaction,
    "reaction_removed": _reaction,
    "member_joined_channel": _membership,
    "member_left_channel": _membership,
    "agent_session_stopped": _session_stopped,
    "user_change": _profile,
    "team_join": _profile,
    "app_home_opened": _home,
    **{f"channel_{change}": _channel_change for change in CHANGES},
    **{f"group_{change}": _channel_change for change in CHANGES if not change.endswith("shared")},
}
