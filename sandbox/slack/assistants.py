"""assistant.threads.* and agents.sessions.*: what an agent shows beside its messages."""

from sandbox.slack.call import Call, invalid, visible_channel
from sandbox.slack.ledger import Status
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.state import Slack

_SESSION_STATES = ("processing", "active", "suspended", "closed")


def set_status(slack: Slack, call: Call) -> JSON:
    """assistant.threads.setStatus: the typing line; an empty status removes it."""
    channel_id, thread_ts = _thread(slack, call)
    if "status" not in call.args:
        raise invalid("missing required field: status")
    status = call.text("status")
    loading = call.structured("loading_messages", "invalid_arguments") or []
    if not isinstance(loading, list) or len(loading) > 10:
        raise invalid("no more than 10 items allowed [json-pointer:/loading_messages]")
    at = slack.workspace.clock()
    details = {"loading_messages": loading} if loading else {}
    slack.ledger.statuses.append(Status(channel_id, thread_ts, status, at, "assistant", details))
    slack.show_status(channel_id, thread_ts, status, loading)
    return {}


def set_title(slack: Slack, call: Call) -> JSON:
    """assistant.threads.setTitle."""
    channel_id, thread_ts = _thread(slack, call)
    slack.titles[channel_id, thread_ts] = call.required("title")
    return {}


def set_suggested_prompts(slack: Slack, call: Call) -> JSON:
    """assistant.threads.setSuggestedPrompts: at most four; without a thread in the agent's direct messages."""
    channel = visible_channel(slack, call.required("channel_id"))
    prompts = call.structured("prompts", "invalid_arguments")
    if not isinstance(prompts, list) or not prompts:
        raise invalid("missing required field: prompts")
    if len(prompts) > 4:
        raise invalid("no more than 4 items allowed [json-pointer:/prompts]")
    for at, prompt in enumerate(prompts):
        if not isinstance(prompt, dict) or not prompt.get("title") or not prompt.get("message"):
            raise invalid(f"title and message are required [json-pointer:/prompts/{at}]")
    shown = {"title": call.text("title") or None, "prompts": prompts}
    slack.prompts[channel.id, call.text("thread_ts")] = shown
    slack.feed.publish("prompts", channel=channel.id, thread_ts=call.text("thread_ts") or None, **shown)
    return {}


def set_session_status(slack: Slack, call: Call) -> JSON:
    """agents.sessions.setStatus: where an agent's session stands."""
    channel = visible_channel(slack, call.required("channel_id"))
    status = call.required("status")
    if status not in _SESSION_STATES:
        raise invalid(f"must be one of: {', '.join(_SESSION_STATES)} [json-pointer:/status]")
    thread_ts = call.text("thread_ts")
    if not thread_ts and channel.kind != "im":
        raise invalid("missing required field: thread_ts")
    if thread_ts and thread_ts not in channel.messages:
        raise SlackError("thread_not_found")
    slack.sessions[channel.id, thread_ts] = status
    title = call.text("title")
    if title:
        slack.titles[channel.id, thread_ts] = title
    at = slack.workspace.clock()
    details = {"title": title} if title else {}
    slack.ledger.statuses.append(Status(channel.id, thread_ts or None, status, at, "session", details))
    slack.feed.publish("session", channel=channel.id, thread_ts=thread_ts or None, status=status, title=title)
    return {}


def _thread(slack: Slack, call: Call) -> tuple[str, str]:
    channel = visible_channel(slack, call.required("channel_id"))
    thread_ts = call.required("thread_ts")
    if thread_ts not in channel.messages:
        raise SlackError("thread_not_found")
    return channel.id, thread_ts


METHODS = {
    "assistant.threads.setStatus": set_status,
    "assistant.threads.setTitle": set_title,
    "assistant.threads.setSuggestedPrompts": set_suggested_prompts,
    "agents.sessions.setStatus": set_session_status,
}
