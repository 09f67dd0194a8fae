"""response_url: up to five answers to a command or click within half an hour; and answers inside the ack."""

import json
import time
from typing import Any

from aiohttp import web

from sandbox.slack.chat import show_ephemeral
from sandbox.slack.messages import check_message
from sandbox.slack.publish import publish_edit, publish_message, remove_message
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.render import render_message
from sandbox.slack.state import ResponseUrl, Slack
from sandbox.workspace import APP_ID


async def receive_response(slack: Slack, request: web.Request) -> web.Response:
    """Take one answer; 404 with `used_url` or `expired_url` when the URL is spent."""
    key = f"{request.match_info['team_id']}/{request.match_info['number']}"
    target = slack.response_urls.get(key)
    try:
        if target is None or target.expires < time.monotonic():
            raise SlackError("expired_url")
        if target.uses_left <= 0:
            raise SlackError("used_url")
        target.uses_left -= 1
        body = json.loads(await request.read())
        respond(slack, target, body)
    except SlackError as error:
        status = 404 if error.code in ("expired_url", "used_url") else 400
        return web.json_response({"ok": False, "error": error.code}, status=status)
    except ValueError:
        return web.json_response({"ok": False, "error": "invalid_payload"}, status=400)
    return web.Response(text="ok")


def respond(slack: Slack, target: ResponseUrl, body: Any) -> None:
    """Show an answer: to the one who acted, in the channel, or in place of the original message.

    Raises:
        SlackError: `no_text`, `invalid_payload` or what is wrong with the blocks.
    """
    if not isinstance(body, dict):
        raise SlackError("invalid_payload")
    workspace = slack.workspace
    if target.message_ts in slack.ephemerals and (body.get("delete_original") or body.get("replace_original")):
        _replace_ephemeral(slack, target.message_ts, body)
        return
    original = None
    if target.message_ts:
        original = workspace.channels[target.channel_id].messages.get(target.message_ts)
    if body.get("delete_original"):
        if original:
            remove_message(slack, original)
        return
    content = check_message(body)
    if body.get("replace_original") and original:
        previous = render_message(workspace, original)
        original.edits.append({"text": original.text, "ts": workspace.new_ts()})
        original.text, original.blocks = content.text, content.blocks
        original.attachments = content.attachments
        original.edited = {"user": workspace.bot_user_id, "ts": workspace.new_ts()}
        publish_edit(slack, original, previous)
        return
    thread_ts = body.get("thread_ts") or target.thread_ts
    if body.get("response_type") != "in_channel":
        show_ephemeral(slack, target.channel_id, target.user, content, thread_ts)
        return
    message = workspace.add_message(
        target.channel_id,
        content.text,
        user=workspace.bot_user_id,
        thread_ts=thread_ts,
        bot_id=workspace.bot_id,
        app_id=APP_ID,
        blocks=content.blocks,
        attachments=content.attachments,
    )
    publish_message(slack, message)


def _replace_ephemeral(slack: Slack, ts: str, body: JSON) -> None:
    item = slack.ephemerals[ts]
    if body.get("delete_original"):
        del slack.ephemerals[ts]
        slack.feed.publish("delete", channel=item["channel"], ts=ts, thread_ts=item["thread_ts"])
        return
    content = check_message(body)
    item |= {"text": content.text, "blocks": content.blocks, "attachments": content.attachments}
    slack.feed.publish("ephemeral", **item)


def show_ack(slack: Slack, channel_id: str, user: str, body: JSON | str | None) -> None:
    """Show what a slash command's ack carries, as Slack does; an empty ack shows nothing."""
    if isinstance(body, str):
        body = {"text": body}
    if not body or not (body.get("text") or body.get("blocks") or body.get("attachments")):
        return
    respond(slack, ResponseUrl(channel_id, user, None, None, 0.0), body)
