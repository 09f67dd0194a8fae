"""reactions.*: emoji on messages."""

from sandbox.slack.call import Call, joined_channel
from sandbox.slack.publish import publish_reaction
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.render import render_message
from sandbox.slack.state import Slack


def add(slack: Slack, call: Call) -> JSON:
    """reactions.add."""
    return _change(slack, call, removed=False)


def remove(slack: Slack, call: Call) -> JSON:
    """reactions.remove."""
    return _change(slack, call, removed=True)


def get(slack: Slack, call: Call) -> JSON:
    """reactions.get, of messages."""
    channel = joined_channel(slack, call.required("channel"))
    message = slack.workspace.message(channel.id, call.required("timestamp"))
    return {
        "type": "message",
        "channel": channel.id,
        "message": render_message(slack.workspace, message),
    }


def _change(slack: Slack, call: Call, *, removed: bool) -> JSON:
    name = call.text("name").strip(":")
    if not name:
        raise SlackError("invalid_name")
    if not call.text("channel") or not call.text("timestamp"):
        raise SlackError("no_item_specified")
    channel = joined_channel(slack, call.text("channel"))
    bot = slack.workspace.bot_user_id
    change = slack.workspace.remove_reaction if removed else slack.workspace.add_reaction
    message = change(channel.id, call.text("timestamp"), bot, name)
    publish_reaction(slack, message, bot, name, removed=removed)
    return {}


METHODS = {"reactions.add": add, "reactions.remove": remove, "reactions.get": get}
