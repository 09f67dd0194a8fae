"""conversations.*: listing, membership and history."""

from bisect import bisect_left, bisect_right

from sandbox.slack.call import (
    Call,
    decode_cursor,
    encode_cursor,
    invalid,
    joined_channel,
    page_of,
    visible_channel,
)
from sandbox.slack.people import join
from sandbox.slack.records import JSON, Channel, SlackError, normal_ts
from sandbox.slack.render import render_channel, render_message
from sandbox.slack.state import Slack

_TYPES = {"public_channel": "channel", "private_channel": "group", "im": "im", "mpim": "mpim"}


def list_conversations(slack: Slack, call: Call) -> JSON:
    """conversations.list: public channels, and of the others those with the bot in them."""
    bot = slack.workspace.bot_user_id
    kinds = kinds_of(call)
    found = [
        channel
        for channel in slack.workspace.channels.values()
        if channel.kind in kinds
        and (channel.kind == "channel" or bot in channel.members)
        and not (channel.is_archived and call.flag("exclude_archived"))
    ]
    page, metadata = page_of(found, call, 100, 1000)
    channels = [render_channel(slack.workspace, channel, viewer=bot, num_members=True) for channel in page]
    return {"channels": channels, "response_metadata": metadata}


def info(slack: Slack, call: Call) -> JSON:
    """conversations.info."""
    channel = visible_channel(slack, call.required("channel"))
    bot = slack.workspace.bot_user_id
    members = call.flag("include_num_members")
    return {"channel": render_channel(slack.workspace, channel, viewer=bot, num_members=members)}


def members(slack: Slack, call: Call) -> JSON:
    """conversations.members."""
    channel = visible_channel(slack, call.required("channel"))
    page, metadata = page_of(list(channel.members), call, 100, 1000)
    return {"members": page, "response_metadata": metadata}


def history(slack: Slack, call: Call) -> JSON:
    """conversations.history: newest first, replies left out unless broadcast."""
    channel = joined_channel(slack, call.required("channel"))
    limit = call.integer("limit", 100, 999)
    start, end = _range(channel.timeline, call)
    if call.text("cursor"):
        end = min(end, bisect_right(channel.timeline, decode_cursor(call.text("cursor"))))
    first = max(start, end - limit)
    page = channel.timeline[first:end][::-1]
    following = encode_cursor(channel.timeline[first - 1]) if first > start else ""
    return {
        "messages": _rendered(slack, channel, page, call),
        "has_more": bool(following),
        "pin_count": 0,
        "channel_actions_ts": None,
        "channel_actions_count": 0,
        "response_metadata": {"next_cursor": following},
    }


def replies(slack: Slack, call: Call) -> JSON:
    """conversations.replies: the parent, then its replies, oldest first; a reply's ts gives that reply alone."""
    channel = joined_channel(slack, call.required("channel"))
    ts = call.required("ts")
    message = channel.messages.get(ts)
    thread = channel.threads.get(ts)
    if message is None and thread is None:
        raise SlackError("thread_not_found")
    if message is not None and message.is_reply:
        return {"messages": _rendered(slack, channel, [ts], call), "has_more": False}
    below = thread.replies if thread else []
    limit = call.integer("limit", 1000, 1000)
    start, end = _range(below, call)
    cursor = call.text("cursor")
    page: list[str] = []
    if cursor:
        start = max(start, bisect_left(below, decode_cursor(cursor)))
    elif message is not None:
        page, limit = [ts], limit - 1
    last = min(end, start + limit)
    page += below[start:last]
    following = encode_cursor(below[last]) if last < end else ""
    return {
        "messages": _rendered(slack, channel, page, call),
        "has_more": bool(following),
        "response_metadata": {"next_cursor": following},
    }


def open_direct(slack: Slack, call: Call) -> JSON:
    """conversations.open: a direct conversation with up to eight users, by users or by its channel."""
    workspace = slack.workspace
    bot = workspace.bot_user_id
    if call.text("channel"):
        channel = visible_channel(slack, call.text("channel"))
    else:
        users = [user for user in call.listed("users") if user != bot]
        if not users:
            raise SlackError("users_list_not_supplied")
        if len(users) > 8:
            raise SlackError("too_many_users")
        known = len(workspace.channels)
        channel = workspace.open_direct((*users, bot))
        if len(workspace.channels) == known:
            return {"no_op": True, "already_open": True, "channel": _opened(slack, channel, call)}
    return {"channel": _opened(slack, channel, call)}


def join_channel(slack: Slack, call: Call) -> JSON:
    """conversations.join: public channels only."""
    channel = visible_channel(slack, call.required("channel"))
    if channel.kind != "channel":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.is_archived:
        raise SlackError("is_archived")
    bot = slack.workspace.bot_user_id
    answer: JSON = {}
    if bot in channel.members:
        answer = {
            "warning": "already_in_channel",
            "response_metadata": {"warnings": ["already_in_channel"]},
        }
    else:
        join(slack, channel.id, bot)
    return {"channel": render_channel(slack.workspace, channel, viewer=bot), **answer}


def kinds_of(call: Call) -> set[str]:
    """The kinds named in `types`; raises `invalid_types`."""
    types = call.listed("types") or ["public_channel"]
    if any(name not in _TYPES for name in types):
        raise SlackError("invalid_types")
    return {_TYPES[name] for name in types}


def _opened(slack: Slack, channel: Channel, call: Call) -> JSON:
    if call.flag("return_im"):
        return render_channel(slack.workspace, channel, viewer=slack.workspace.bot_user_id)
    return {"id": channel.id}


def _range(index: list[str], call: Call) -> tuple[int, int]:
    """Where `oldest` and `latest` cut a sorted list of ts."""
    oldest, latest = call.text("oldest"), call.text("latest")
    inclusive = call.flag("inclusive")
    try:
        start = (bisect_left if inclusive else bisect_right)(index, normal_ts(oldest)) if oldest else 0
        end = (bisect_right if inclusive else bisect_left)(index, normal_ts(latest)) if latest else len(index)
    except SlackError as error:
        raise invalid("oldest and latest must be timestamps") from error
    return start, max(start, end)


def _rendered(slack: Slack, channel: Channel, page: list[str], call: Call) -> list[JSON]:
    metadata = call.flag("include_all_metadata")
    return [render_message(slack.workspace, channel.messages[ts], metadata=metadata) for ts in page]


METHODS = {
    "conversations.list": list_conversations,
    "conversations.info": info,
    "conversations.members": members,
    "conversations.history": history,
    "conversations.replies": replies,
    "conversations.open": open_direct,
    "conversations.join": join_channel,
}
