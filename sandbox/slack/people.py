"""What people do: write, edit, delete, react, come and go, change channels and profiles, press Stop."""

from sandbox.slack.publish import (
    publish_channel_change,
    publish_edit,
    publish_membership,
    publish_message,
    publish_reaction,
    publish_sharing,
    remove_message,
    send_event,
)
from sandbox.slack.records import JSON, Channel, Message, SlackError
from sandbox.slack.render import render_message, render_user
from sandbox.slack.rich_text import rich_text
from sandbox.slack.state import Slack
from sandbox.slack.streams import stop_by_reader


def say(
    slack: Slack,
    channel: str,
    text: str,
    *,
    user: str | None = None,
    thread_ts: str | None = None,
    blocks: list[JSON] | None = None,
    attachments: list[JSON] | None = None,
    files: list[JSON] | None = None,
    bot_username: str | None = None,
    ts: str | None = None,
    copies: int | None = None,
    silent: bool = False,
    broadcast: bool = False,
) -> Message:
    """Post a message as a person or as another app.

    Args:
        slack: The server.
        channel: An id or a name.
        text: In mrkdwn; `<@BOT>` mentions the bot.
        user: An id or a name.
        thread_ts: The parent's ts.
        blocks: Block Kit; what a person types gets `rich_text` by itself.
        attachments: Legacy attachments, as alert integrations send them.
        files: Slack's file objects.
        bot_username: Posts as that app, with subtype `bot_message` and a bot_id of its own.
        ts: A ts of the past.
        copies: How often each event is delivered.
        silent: No event.
        broadcast: Show a reply in the channel too.
    """
    workspace = slack.workspace
    where = workspace.channel_named(channel)
    subtype = "thread_broadcast" if broadcast and thread_ts else "file_share" if files else None
    author: str | None = None
    bot_id = app_id = None
    if bot_username:
        bot = workspace.add_bot(bot_username)
        subtype, bot_id, app_id = "bot_message", bot.id, bot.app_id
    else:
        author = _member(slack, where, user)
        blocks = blocks or rich_text(text)
    message = workspace.add_message(
        where.id,
        text,
        user=author,
        ts=ts,
        thread_ts=thread_ts,
        subtype=subtype,
        bot_id=bot_id,
        app_id=app_id,
        username=bot_username,
        blocks=blocks,
        attachments=attachments,
        files=files,
    )
    publish_message(slack, message, silent=silent, copies=copies)
    return message


def edit(
    slack: Slack,
    channel: str,
    ts: str,
    text: str,
    *,
    user: str | None = None,
    attachments: list[JSON] | None = None,
    blocks: list[JSON] | None = None,
) -> Message:
    """Change a message; alert integrations do so from firing to resolved."""
    workspace = slack.workspace
    message = workspace.message(workspace.channel_named(channel).id, ts)
    previous = render_message(workspace, message)
    message.edits.append({"text": message.text, "attachments": message.attachments, "ts": workspace.new_ts()})
    message.text = text
    message.blocks = blocks if blocks or message.bot_id else rich_text(text)
    if attachments is not None:
        message.attachments = attachments
    editor = workspace.user_named(user).id if user else message.user or message.bot_id
    message.edited = {"user": editor, "ts": workspace.new_ts()}
    publish_edit(slack, message, previous)
    return message


def delete(slack: Slack, channel: str, ts: str) -> None:
    """Delete a message; one with replies leaves a tombstone, as in Slack."""
    remove_message(slack, slack.workspace.message(slack.workspace.channel_named(channel).id, ts))


def react(slack: Slack, channel: str, ts: str, user: str, name: str, *, remove: bool = False) -> None:
    """Give or take back a reaction."""
    where = slack.workspace.channel_named(channel)
    person = slack.workspace.user_named(user)
    change = slack.workspace.remove_reaction if remove else slack.workspace.add_reaction
    message = change(where.id, ts, person.id, name)
    publish_reaction(slack, message, person.id, name, removed=remove)


def open_dm(slack: Slack, user: str) -> Channel:
    """Open the bot's direct messages: event `app_home_opened`, tab `messages`."""
    person = slack.workspace.user_named(user)
    channel = slack.workspace.open_direct((person.id, slack.workspace.bot_user_id))
    open_home(slack, person.id, "messages")
    return channel


def open_home(slack: Slack, user: str, tab: str = "home") -> None:
    """Look at the app's home: event `app_home_opened`."""
    person = slack.workspace.user_named(user)
    channel = slack.workspace.open_direct((person.id, slack.workspace.bot_user_id))
    event: JSON = {
        "type": "app_home_opened",
        "user": person.id,
        "channel": channel.id,
        "tab": tab,
        "event_ts": slack.workspace.new_ts(),
    }
    if tab == "home" and person.id in slack.homes:
        event["view"] = slack.homes[person.id]
    send_event(slack, event)


def join(slack: Slack, channel: str, user: str, *, leave: bool = False) -> None:
    """Join or leave a channel: the membership event, and the line that Slack writes into the channel."""
    where = slack.workspace.channel_named(channel)
    person = slack.workspace.user_named(user)
    if (person.id in where.members) != leave:
        return
    if leave:
        del where.members[person.id]
    else:
        where.members[person.id] = None
    publish_membership(slack, where, person.id, left=leave)
    text = f"<@{person.id}> has {'left' if leave else 'joined'} the channel"
    subtype = "channel_leave" if leave else "channel_join"
    message = slack.workspace.add_message(where.id, text, user=person.id, subtype=subtype)
    publish_message(slack, message)


def change_channel(
    slack: Slack,
    channel: str,
    *,
    name: str | None = None,
    archived: bool | None = None,
    private: bool | None = None,
    shared: bool | None = None,
) -> None:
    """Rename, archive or unarchive a channel, make it private or public, share it: events as Slack's."""
    where = slack.workspace.channel_named(channel)
    if name is not None:
        slack.workspace.rename_channel(where.id, name)
        publish_channel_change(slack, where, "rename")
    if archived is not None:
        where.is_archived = archived
        publish_channel_change(slack, where, "archive" if archived else "unarchive")
    if shared is not None:
        where.is_ext_shared = shared
        publish_sharing(slack, where)
    if private is not None:
        where.kind = "group" if private else "channel"
        kind = "private" if private else "public"
        message = slack.workspace.add_message(
            where.id,
            f"made this channel *{kind}*",
            user=next(iter(where.members), None),
            subtype=f"channel_convert_to_{kind}",
        )
        publish_message(slack, message)


def change_user(
    slack: Slack,
    user: str,
    *,
    name: str | None = None,
    is_restricted: bool | None = None,
    is_admin: bool | None = None,
) -> None:
    """Change somebody's display name, or make them a guest or an admin: event `user_change`."""
    person = slack.workspace.user_named(user)
    if name is not None:
        slack.workspace.rename_user(person.id, name)
    if is_restricted is not None:
        person.is_restricted = is_restricted
    if is_admin is not None:
        person.is_admin = is_admin
    event_ts = slack.workspace.new_ts()
    send_event(slack, {"type": "user_change", "user": render_user(slack.workspace, person), "event_ts": event_ts})


def stop(slack: Slack, channel: str, thread_ts: str, user: str) -> list[str]:
    """Press Stop in a thread: event `agent_session_stopped`; returns the streams that ended."""
    where = slack.workspace.channel_named(channel)
    person = slack.workspace.user_named(user)
    stopped = stop_by_reader(slack, where.id, thread_ts, person.id)
    event = {
        "type": "agent_session_stopped",
        "channel": where.id,
        "thread_ts": thread_ts,
        "user": person.id,
        "streaming_message_ts": stopped,
        "event_ts": slack.workspace.new_ts(),
    }
    send_event(slack, event)
    return stopped


def _member(slack: Slack, channel: Channel, user: str | None) -> str:
    if user is None:
        raise SlackError("user_not_found")
    person = slack.workspace.user_named(user)
    if person.id not in channel.members:
        if channel.kind != "channel":
            raise SlackError("not_in_channel")
        channel.members[person.id] = None
    return person.id
