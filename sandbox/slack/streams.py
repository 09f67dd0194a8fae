"""chat.startStream, chat.appendStream, chat.stopStream: messages that grow while they are read."""

import copy
import time
from typing import Any

from sandbox.slack.blocks import MAX_MARKDOWN, check_blocks, check_metadata
from sandbox.slack.call import Call, check_thread, invalid, joined_channel
from sandbox.slack.publish import publish_edit, publish_message, show_stream
from sandbox.slack.records import JSON, Message, SlackError
from sandbox.slack.render import render_message
from sandbox.slack.state import Slack, Stream
from sandbox.workspace import APP_ID

_TASK_STATES = ("pending", "in_progress", "complete", "error")
_SESSION_STATES = ("processing", "active", "suspended", "closed")


def start_stream(slack: Slack, call: Call) -> JSON:
    """chat.startStream: always in a thread; channels need the recipient's user and team."""
    channel = joined_channel(slack, call.required("channel"))
    thread_ts = call.required("thread_ts")
    check_thread(channel, thread_ts)
    if channel.kind != "im":
        for field in ("recipient_user_id", "recipient_team_id"):
            if not call.text(field):
                raise SlackError(f"missing_{field}")
    chunks = _chunks(call)
    message = slack.workspace.add_message(
        channel.id,
        "",
        user=slack.workspace.bot_user_id,
        thread_ts=thread_ts,
        bot_id=slack.workspace.bot_id,
        app_id=APP_ID,
        username=call.text("username") or None,
    )
    message.streaming_state = "in_progress"
    stream = Stream(expires=time.monotonic() + slack.stream_seconds)
    slack.streams[channel.id, message.ts] = stream
    slack.sessions[channel.id, message.thread_key] = "processing"
    _apply(message, stream, chunks)
    publish_message(slack, message)
    show_stream(slack, message, "started")
    return {"channel": channel.id, "ts": message.ts}


def append_stream(slack: Slack, call: Call) -> JSON:
    """chat.appendStream."""
    message, stream = _running(slack, call)
    _apply(message, stream, _chunks(call, message.text))
    show_stream(slack, message, "appended")
    return {"channel": message.channel_id, "ts": message.ts}


def stop_stream(slack: Slack, call: Call) -> JSON:
    """chat.stopStream: the last text, blocks below it, metadata, and the session's status."""
    message, stream = _running(slack, call)
    blocks = check_blocks(call.structured("blocks", "invalid_blocks_format")) or []
    chunks = [*_chunks(call, message.text), {"type": "blocks", "blocks": blocks}]
    metadata = check_metadata(call.structured("metadata", "invalid_metadata_format"))
    status = call.text("session_status")
    if status and status not in _SESSION_STATES:
        raise invalid(f"session_status must be one of: {', '.join(_SESSION_STATES)}")
    trial = copy.deepcopy((message, stream))
    _apply(*trial, chunks)
    check_blocks(_blocks(*trial))
    previous = render_message(slack.workspace, message)
    _apply(message, stream, chunks)
    message.metadata = metadata or message.metadata
    _finish(message, stream)
    slack.sessions[message.channel_id, message.thread_key] = status or "active"
    slack.show_status(message.channel_id, message.thread_key, "")
    show_stream(slack, message, "stopped")
    publish_edit(slack, message, previous)
    rendered = render_message(slack.workspace, message, metadata=True)
    return {"channel": message.channel_id, "ts": message.ts, "message": rendered}


def is_running(slack: Slack, message: Message) -> bool:
    """Whether the message can still grow; one whose time is over is closed with what it has."""
    stream = slack.streams.get((message.channel_id, message.ts))
    if stream is None or stream.closed:
        return False
    if stream.stopped_by or time.monotonic() >= stream.expires:
        _finish(message, stream)
        return False
    return True


def stop_by_reader(slack: Slack, channel_id: str, thread_ts: str, user: str) -> list[str]:
    """A reader presses Stop: every stream of the thread ends; returns their ts."""
    stopped = []
    channel = slack.workspace.channel(channel_id)
    thread = channel.threads.get(thread_ts)
    for ts in [thread_ts, *(thread.replies if thread else ())]:
        stream = slack.streams.get((channel_id, ts))
        if stream and is_running(slack, channel.messages[ts]):
            stream.stopped_by = user
            _finish(channel.messages[ts], stream)
            show_stream(slack, channel.messages[ts], "stopped")
            stopped.append(ts)
    return stopped


def _running(slack: Slack, call: Call) -> tuple[Message, Stream]:
    channel = joined_channel(slack, call.required("channel"))
    message = slack.workspace.message(channel.id, call.required("ts"))
    stream = slack.streams.get((channel.id, message.ts))
    if stream and stream.stopped_by:
        raise SlackError("stopped_by_user")
    if stream is None or not is_running(slack, message):
        raise SlackError("message_not_in_streaming_state")
    return message, stream


def _finish(message: Message, stream: Stream) -> None:
    stream.closed = True
    message.streaming_state = "completed"
    message.blocks = _blocks(message, stream) or None


def _blocks(message: Message, stream: Stream) -> list[JSON]:
    blocks: list[JSON] = []
    if stream.tasks:
        tasks = [{"type": "task_card", **_task_card(task)} for task in stream.tasks.values()]
        blocks += [{"type": "plan", "title": stream.plan, "tasks": tasks}] if stream.plan else tasks
    if message.text:
        blocks.append({"type": "markdown", "text": message.text})
    return [*blocks, *stream.blocks]


def _task_card(task: JSON) -> JSON:
    card = {key: value for key, value in task.items() if key not in ("type", "id")}
    return {"task_id": task["id"], **card}


def _chunks(call: Call, before: str = "") -> list[JSON]:
    """What the call adds to a stream whose text is `before`; all of its text counts, not just what is added."""
    given: Any = call.structured("chunks", "invalid_chunks") or []
    markdown = call.text("markdown_text")
    if not isinstance(given, list) or not all(isinstance(chunk, dict) for chunk in given):
        raise SlackError("invalid_chunks")
    chunks: list[JSON] = given
    if markdown and chunks:
        raise SlackError("cannot_provide_both_markdown_text_and_chunks")
    if markdown:
        chunks = [{"type": "markdown_text", "text": markdown}]
    for chunk in chunks:
        _check_chunk(chunk)
    added = sum(len(chunk["text"]) for chunk in chunks if chunk["type"] == "markdown_text")
    if len(before) + added > MAX_MARKDOWN:
        raise SlackError("msg_too_long")
    return chunks


def _check_chunk(chunk: JSON) -> None:
    match chunk.get("type"):
        case "markdown_text" if isinstance(chunk.get("text"), str):
            return
        case "plan_update" if chunk.get("title"):
            return
        case "task_update" if chunk.get("id") and chunk.get("title") and chunk.get("status") in _TASK_STATES:
            return
        case "blocks":
            check_blocks(chunk.get("blocks"))
            return
    raise SlackError("invalid_chunks", response_metadata={"messages": [f"[ERROR] not a chunk: {chunk}"]})


def _apply(message: Message, stream: Stream, chunks: list[JSON]) -> None:
    for chunk in chunks:
        match chunk["type"]:
            case "markdown_text":
                message.text += chunk["text"]
            case "plan_update":
                stream.plan = chunk["title"]
            case "task_update":
                stream.tasks[chunk["id"]] = stream.tasks.get(chunk["id"], {}) | chunk
            case "blocks":
                stream.blocks += chunk["blocks"]


METHODS = {
    "chat.startStream": start_stream,
    "chat.appendStream": append_stream,
    "chat.stopStream": stop_stream,
}
