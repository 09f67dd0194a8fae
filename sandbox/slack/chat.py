"""chat.*: posting, editing, deleting, ephemeral messages and permalinks."""

from sandbox.slack.blocks import check_metadata
from sandbox.slack.call import Call, check_thread, joined_channel, visible_channel
from sandbox.slack.messages import check_message
from sandbox.slack.publish import publish_edit, publish_message, remove_message
from sandbox.slack.records import JSON, Channel, Message, SlackError
from sandbox.slack.render import render_message
from sandbox.slack.state import Slack
from sandbox.slack.streams import is_running
from sandbox.workspace import APP_ID


def post_message(slack: Slack, call: Call) -> JSON:
    """chat.postMessage."""
    channel = _target(slack, call.required("channel"))
    content = _content(call)
    metadata = check_metadata(call.structured("metadata", "invalid_metadata_format"))
    thread_ts = call.text("thread_ts") or None
    if thread_ts:
        check_thread(channel, thread_ts)
    username = call.text("username") or None
    broadcast = thread_ts is not None and call.flag("reply_broadcast")
    message = slack.workspace.add_message(
        channel.id,
        content.text,
        user=slack.workspace.bot_user_id,
        thread_ts=thread_ts,
        subtype="thread_broadcast" if broadcast else "bot_message" if username else None,
        bot_id=slack.workspace.bot_id,
        app_id=APP_ID,
        username=username,
        blocks=content.blocks,
        attachments=content.attachments,
        metadata=metadata,
    )
    publish_message(slack, message)
    rendered = render_message(slack.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "message": rendered}


def update_message(slack: Slack, call: Call) -> JSON:
    """chat.update: of the bot's own messages, and not while they stream."""
    channel = joined_channel(slack, call.required("channel"))
    message = _own(slack, channel, call.required("ts"), "cant_update_message")
    if is_running(slack, message):
        raise SlackError("streaming_state_conflict")
    kept = Message(channel.id, message.ts, message.text, blocks=message.blocks, attachments=message.attachments)
    content = _content(call, kept)
    previous = render_message(slack.workspace, message)
    message.edits.append({"text": message.text, "ts": slack.workspace.new_ts()})
    message.text, message.blocks, message.attachments = content.text, content.blocks, content.attachments
    if "metadata" in call.args:
        message.metadata = check_metadata(call.structured("metadata", "invalid_metadata_format"))
    message.edited = {"user": slack.workspace.bot_user_id, "ts": slack.workspace.new_ts()}
    publish_edit(slack, message, previous)
    rendered = render_message(slack.workspace, message, metadata=True)
    return {"channel": channel.id, "ts": message.ts, "text": message.text, "message": rendered}


def delete_message(slack: Slack, call: Call) -> JSON:
    """chat.delete: of the bot's own messages."""
    channel = joined_channel(slack, call.required("channel"))
    message = _own(slack, channel, call.required("ts"), "cant_delete_message")
    remove_message(slack, message)
    return {"channel": channel.id, "ts": message.ts}


def post_ephemeral(slack: Slack, call: Call) -> JSON:
    """chat.postEphemeral: seen by one member, stored nowhere that history shows."""
    channel = joined_channel(slack, call.required("channel"))
    user = call.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    content = _content(call)
    ts = show_ephemeral(slack, channel.id, user, content, call.text("thread_ts") or None)
    return {"message_ts": ts}


def get_permalink(slack: Slack, call: Call) -> JSON:
    """chat.getPermalink."""
    channel = visible_channel(slack, call.required("channel"))
    message = slack.workspace.message(channel.id, call.required("message_ts"))
    return {"channel": channel.id, "permalink": permalink(slack, message)}


def permalink(slack: Slack, message: Message) -> str:
    """The address of a message; replies name their thread."""
    link = f"{slack.url}/archives/{message.channel_id}/p{message.ts.replace('.', '')}"
    return f"{link}?thread_ts={message.thread_ts}&cid={message.channel_id}" if message.is_reply else link


def show_ephemeral(slack: Slack, channel_id: str, user: str, content: Message, thread_ts: str | None) -> str:
    """Show a message to one person and return its ts."""
    ts = slack.workspace.new_ts()
    item: JSON = {
        "channel": channel_id,
        "user": user,
        "ts": ts,
        "thread_ts": thread_ts,
        "text": content.text,
        "blocks": content.blocks,
        "attachments": content.attachments,
    }
    slack.ephemerals[ts] = item
    slack.feed.publish("ephemeral", **item)
    return ts


def _target(slack: Slack, name: str) -> Channel:
    if name in slack.workspace.users:
        if slack.workspace.users[name].is_bot:
            raise SlackError("cannot_dm_bot")
        return slack.workspace.open_direct((name, slack.workspace.bot_user_id))
    channel = joined_channel(slack, slack.workspace.channel_named(name).id)
    if channel.is_archived:
        raise SlackError("is_archived")
    return channel


def _own(slack: Slack, channel: Channel, ts: str, error: str) -> Message:
    message = slack.workspace.message(channel.id, ts)
    if message.bot_id != slack.workspace.bot_id:
        raise SlackError(error)
    return message


def _content(call: Call, kept: Message | None = None) -> Message:
    """The call's text, blocks and attachments, checked; `kept` fills in what an update does not mention."""
    given: JSON = {
        "text": call.text("text"),
        "markdown_text": call.text("markdown_text"),
        "blocks": call.structured("blocks", "invalid_blocks_format"),
        "attachments": call.structured("attachments", "invalid_attachments"),
    }
    if kept and not {"blocks", "text", "markdown_text"} & set(call.args):
        given.update(text=kept.text, blocks=kept.blocks)
    if kept and "attachments" not in call.args:
        given["attachments"] = kept.attachments
    return check_message(given)


METHODS = {
    "chat.postMessage": post_message,
    "chat.update": update_message,
    "chat.delete": delete_message,
    "chat.postEphemeral": post_ephemeral,
    "chat.getPermalink": get_permalink,
}
