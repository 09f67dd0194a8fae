"""Slack's JSON for users, channels and messages."""

from typing import Any

from sandbox.slack.records import JSON, Channel, Message, User
from sandbox.workspace import Workspace

_REPLY_USERS_SHOWN = 5


def render_user(workspace: Workspace, user: User) -> JSON:
    """The object `user` of `users.info`."""
    profile: JSON = {
        "real_name": user.real_name,
        "real_name_normalized": user.real_name,
        "display_name": user.name,
        "display_name_normalized": user.name,
        "team": user.team_id,
    }
    if user.email:
        profile["email"] = user.email
    if user.bot_id:
        profile |= {"bot_id": user.bot_id, "api_app_id": workspace.bots[user.bot_id].app_id}
    return {
        "id": user.id,
        "team_id": user.team_id,
        "name": user.name,
        "real_name": user.real_name,
        "deleted": user.deleted,
        "tz": user.tz,
        "tz_label": user.tz,
        "tz_offset": user.tz_offset,
        "profile": profile,
        "is_admin": user.is_admin,
        "is_owner": False,
        "is_primary_owner": False,
        "is_restricted": user.is_restricted,
        "is_ultra_restricted": user.is_ultra_restricted,
        "is_bot": user.is_bot,
        "is_app_user": False,
        "is_stranger": user.team_id != workspace.team_id,
        "updated": 0,
    }


def render_channel(workspace: Workspace, channel: Channel, *, viewer: str, num_members: bool = False) -> JSON:
    """The object `channel` of `conversations.info`, as the user `viewer` sees it."""
    rendered: JSON = {
        "id": channel.id,
        "created": channel.created,
        "is_archived": channel.is_archived,
        "is_im": channel.kind == "im",
        "is_channel": channel.kind == "channel",
        "is_group": channel.kind == "group",
        "is_mpim": channel.kind == "mpim",
        "is_org_shared": False,
        "context_team_id": workspace.team_id,
    }
    if channel.kind == "im":
        others = [member for member in channel.members if member != viewer]
        return rendered | {"user": others[0] if others else viewer, "is_open": True, "is_user_deleted": False}
    rendered |= {
        "name": channel.name,
        "name_normalized": channel.name,
        "is_private": channel.kind != "channel",
        "is_member": viewer in channel.members,
        "is_general": channel.name == "general",
        "is_shared": channel.is_ext_shared,
        "is_ext_shared": channel.is_ext_shared,
        "creator": channel.creator,
        "topic": {"value": channel.topic, "creator": channel.creator or "", "last_set": channel.created},
        "purpose": {"value": channel.purpose, "creator": channel.creator or "", "last_set": channel.created},
        "previous_names": [],
    }
    if num_members:
        rendered["num_members"] = len(channel.members)
    return rendered


def render_message(workspace: Workspace, message: Message, *, metadata: bool = False) -> JSON:
    """The object `message`; its metadata only if asked for, as in Slack."""
    rendered: JSON = {"type": "message"}
    optional: dict[str, Any] = {
        "subtype": message.subtype,
        "user": message.user,
        "username": message.username,
        "bot_id": message.bot_id,
        "app_id": message.app_id,
        "blocks": message.blocks,
        "attachments": message.attachments,
        "files": message.files,
        "edited": message.edited,
        "streaming_state": message.streaming_state,
        "metadata": message.metadata if metadata else None,
    }
    rendered |= {key: value for key, value in optional.items() if value is not None}
    rendered |= {"text": message.text, "ts": message.ts, "team": workspace.team_id}
    if message.bot_id in workspace.bots:
        bot = workspace.bots[message.bot_id]
        rendered["bot_profile"] = {
            "id": bot.id,
            "app_id": bot.app_id,
            "name": bot.name,
            "deleted": False,
            "team_id": workspace.team_id,
        }
    if message.reactions:
        rendered["reactions"] = [
            {"name": name, "users": list(users), "count": len(users)} for name, users in message.reactions.items()
        ]
    return rendered | _thread_fields(workspace, message)


def _thread_fields(workspace: Workspace, message: Message) -> JSON:
    channel = workspace.channels[message.channel_id]
    if message.is_reply:
        fields: JSON = {"thread_ts": message.thread_ts}
        parent = channel.messages.get(message.thread_ts or "")
        if parent and parent.user:
            fields["parent_user_id"] = parent.user
        if parent and message.subtype == "thread_broadcast":
            fields["root"] = render_message(workspace, parent)
        return fields
    thread = channel.threads.get(message.ts)
    if not thread or not thread.replies:
        return {}
    return {
        "thread_ts": message.ts,
        "reply_count": len(thread.replies),
        "reply_users_count": len(thread.authors),
        "reply_users": list(thread.authors)[:_REPLY_USERS_SHOWN],
        "latest_reply": thread.replies[-1],
        "is_locked": False,
        "subscribed": workspace.bot_user_id in thread.authors or message.user == workspace.bot_user_id,
    }
