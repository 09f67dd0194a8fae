"""Tells the app (as events) and the onlookers (as feed items) what changed in the workspace."""

from sandbox.slack.delivery import Envelope
from sandbox.slack.records import JSON, Channel, Message
from sandbox.slack.render import render_message
from sandbox.slack.state import Slack
from sandbox.workspace import APP_ID

_HIDDEN_FROM_EVENTS = ("metadata", "streaming_state")


def send_event(slack: Slack, event: JSON, copies: int | None = None) -> str:
    """Wrap an event as `event_callback`, deliver it and return its event id."""
    workspace = slack.workspace
    event_id = f"Ev0SBX{slack.number():07d}"
    payload: JSON = {
        "token": "sandbox",
        "team_id": workspace.team_id,
        "context_team_id": workspace.team_id,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(workspace.clock()),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": workspace.team_id,
                "user_id": workspace.bot_user_id,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": _is_shared(slack, event),
        "event_context": f"4-{event_id}",
    }
    slack.dispatcher.send(Envelope("events_api", str(event["type"]), event_id, payload), copies)
    return event_id


def publish_message(slack: Slack, message: Message, *, silent: bool = False, copies: int | None = None) -> None:
    """A new message: event `message`, and `app_mention` when it names the bot."""
    channel = slack.workspace.channels[message.channel_id]
    _show(slack, "message", message)
    if message.user == slack.workspace.bot_user_id:
        slack.show_status(channel.id, message.thread_key, "")
    if silent or not _heard(slack, channel):
        return
    event = _message_event(slack, channel, message)
    send_event(slack, event, copies)
    _publish_mention(slack, channel, message, event, copies)


def publish_edit(slack: Slack, message: Message, previous: JSON, copies: int | None = None) -> None:
    """A changed message: event `message_changed`, and `app_mention` again when a person's text names the bot."""
    channel = slack.workspace.channels[message.channel_id]
    _show(slack, "update", message)
    if not _heard(slack, channel):
        return
    current = _message_event(slack, channel, message)
    event_ts = slack.workspace.new_ts()
    event: JSON = {
        "type": "message",
        "subtype": "message_changed",
        "message": render_message(slack.workspace, message),
        "previous_message": previous,
        "channel": channel.id,
        "channel_type": channel.kind,
        "hidden": True,
        "ts": event_ts,
        "event_ts": event_ts,
    }
    send_event(slack, event, copies)
    _publish_mention(slack, channel, message, current, copies)


def publish_delete(slack: Slack, channel: Channel, previous: JSON) -> None:
    """A message gone: event `message_deleted`."""
    ts = previous["ts"]
    slack.feed.publish("delete", channel=channel.id, ts=ts, thread_ts=previous.get("thread_ts"))
    if not _heard(slack, channel):
        return
    event_ts = slack.workspace.new_ts()
    event: JSON = {
        "type": "message",
        "subtype": "message_deleted",
        "previous_message": previous,
        "deleted_ts": ts,
        "channel": channel.id,
        "channel_type": channel.kind,
        "hidden": True,
        "ts": event_ts,
        "event_ts": event_ts,
    }
    send_event(slack, event)


def remove_message(slack: Slack, message: Message) -> None:
    """Delete a message; one with replies leaves a tombstone, as in Slack."""
    workspace = slack.workspace
    channel = workspace.channels[message.channel_id]
    previous = render_message(workspace, message)
    if message.ts in channel.threads:
        message.subtype, message.text, message.user = "tombstone", "This message was deleted.", "USLACKBOT"
        message.blocks = message.attachments = message.files = message.metadata = None
        publish_edit(slack, message, previous)
        return
    workspace.remove_message(channel.id, message.ts)
    publish_delete(slack, channel, previous)


def publish_reaction(slack: Slack, message: Message, user: str, name: str, *, removed: bool) -> None:
    """A reaction given or taken back: event `reaction_added` or `reaction_removed`."""
    slack.feed.publish(
        "reaction",
        channel=message.channel_id,
        ts=message.ts,
        thread_ts=message.thread_ts,
        user=user,
        name=name,
        removed=removed,
    )
    if not _heard(slack, slack.workspace.channels[message.channel_id]):
        return
    event: JSON = {
        "type": "reaction_removed" if removed else "reaction_added",
        "user": user,
        "reaction": name,
        "item": {"type": "message", "channel": message.channel_id, "ts": message.ts},
        "event_ts": slack.workspace.new_ts(),
    }
    if message.user:
        event["item_user"] = message.user
    send_event(slack, event)


def publish_membership(slack: Slack, channel: Channel, user: str, *, left: bool) -> None:
    """Somebody joined or left: event `member_joined_channel` or `member_left_channel`."""
    if not _heard(slack, channel) and user != slack.workspace.bot_user_id:
        return
    event = {
        "type": "member_left_channel" if left else "member_joined_channel",
        "user": user,
        "channel": channel.id,
        "channel_type": "C" if channel.kind == "channel" else "G",
        "team": slack.workspace.team_id,
        "event_ts": slack.workspace.new_ts(),
    }
    send_event(slack, event)


def publish_channel_change(slack: Slack, channel: Channel, change: str) -> None:
    """A channel was renamed, archived or unarchived: event `channel_rename`, or `group_rename` where it is private."""
    if not _heard(slack, channel) and channel.kind != "channel":
        return
    event: JSON = {"type": f"{channel.kind}_{change}", "channel": channel.id, "event_ts": slack.workspace.new_ts()}
    if change == "rename":
        event["channel"] = {"id": channel.id, "name": channel.name, "created": channel.created}
    send_event(slack, event)


def publish_sharing(slack: Slack, channel: Channel) -> None:
    """A channel is shared with another organization, or no longer: event `channel_shared` or `channel_unshared`."""
    if not _heard(slack, channel) and channel.kind != "channel":
        return
    event: JSON = {"channel": channel.id, "event_ts": slack.workspace.new_ts()}
    if channel.is_ext_shared:
        event |= {"type": "channel_shared", "connected_team_id": "T0SBXOTHER"}
    else:
        event |= {"type": "channel_unshared", "previously_connected_team_id": "T0SBXOTHER", "is_ext_shared": False}
    send_event(slack, event)


def show_stream(slack: Slack, message: Message, state: str) -> None:
    """Show how far a streamed message has come; `state` is `started`, `appended` or `stopped`."""
    stream = slack.streams.get((message.channel_id, message.ts))
    slack.feed.publish(
        "stream",
        channel=message.channel_id,
        ts=message.ts,
        thread_ts=message.thread_ts,
        user=message.user,
        text=message.text,
        blocks=message.blocks,
        state=state,
        plan=stream.plan if stream else None,
        tasks=[dict(task) for task in stream.tasks.values()] if stream else [],
    )


def _is_shared(slack: Slack, event: JSON) -> bool:
    where = event.get("channel") or (event.get("item") or {}).get("channel")
    channel = slack.workspace.channels.get(where) if isinstance(where, str) else None
    return channel is not None and channel.is_ext_shared


def _heard(slack: Slack, channel: Channel) -> bool:
    return slack.workspace.bot_user_id in channel.members


def _message_event(slack: Slack, channel: Channel, message: Message) -> JSON:
    event = render_message(slack.workspace, message)
    for key in _HIDDEN_FROM_EVENTS:
        event.pop(key, None)
    event |= {"channel": channel.id, "channel_type": channel.kind, "event_ts": message.ts}
    if message.user and not message.bot_id:
        event["client_msg_id"] = f"sandbox-{message.channel_id}-{message.ts}"
    return event


def _publish_mention(slack: Slack, channel: Channel, message: Message, event: JSON, copies: int | None) -> None:
    bot = slack.workspace.bot_user_id
    if channel.kind == "im" or message.user == bot or f"<@{bot}" not in message.text:
        return
    if message.subtype in ("channel_join", "channel_leave", "tombstone"):
        return
    mention = {key: value for key, value in event.items() if key != "channel_type"}
    send_event(slack, mention | {"type": "app_mention"}, copies)


def _show(slack: Slack, kind: str, message: Message) -> None:
    if not slack.feed.is_watched:
        return
    slack.feed.publish(kind, channel=message.channel_id, **_seen(slack, message))


def _seen(slack: Slack, message: Message) -> JSON:
    seen = render_message(slack.workspace, message, metadata=True)
    del seen["type"]
    return {"user": None, "thread_ts": None} | seen
