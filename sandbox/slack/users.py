"""users.*: people, and the conversations they share with the bot."""

from sandbox.slack.call import Call, page_of
from sandbox.slack.conversations import kinds_of
from sandbox.slack.records import JSON
from sandbox.slack.render import render_channel, render_user
from sandbox.slack.state import Slack


def list_users(slack: Slack, call: Call) -> JSON:
    """users.list."""
    page, metadata = page_of(list(slack.workspace.users.values()), call, 1000, 1000)
    members = [render_user(slack.workspace, user) for user in page]
    return {"members": members, "cache_ts": int(slack.workspace.clock()), "response_metadata": metadata}


def info(slack: Slack, call: Call) -> JSON:
    """users.info."""
    return {"user": render_user(slack.workspace, slack.workspace.user(call.required("user")))}


def lookup_by_email(slack: Slack, call: Call) -> JSON:
    """users.lookupByEmail."""
    return {"user": render_user(slack.workspace, slack.workspace.user_with_email(call.required("email")))}


def conversations(slack: Slack, call: Call) -> JSON:
    """users.conversations: the bot's, or those that `user` shares with it."""
    bot = slack.workspace.bot_user_id
    user = slack.workspace.user(call.text("user", bot)).id
    kinds = kinds_of(call)
    shared = [
        channel
        for channel in slack.workspace.channels.values()
        if channel.kind in kinds
        and bot in channel.members
        and user in channel.members
        and not (channel.is_archived and call.flag("exclude_archived"))
    ]
    page, metadata = page_of(shared, call, 100, 999)
    channels = [render_channel(slack.workspace, channel, viewer=bot) for channel in page]
    return {"channels": channels, "response_metadata": metadata}


METHODS = {
    "users.list": list_users,
    "users.info": info,
    "users.lookupByEmail": lookup_by_email,
    "users.conversations": conversations,
}
