"""Slash commands, clicks and submitted modals: what waits for the app's ack."""

from typing import Any

from sandbox.slack.delivery import Answer, Envelope
from sandbox.slack.records import JSON, Channel, SlackError
from sandbox.slack.render import render_message
from sandbox.slack.responses import show_ack
from sandbox.slack.state import Slack
from sandbox.workspace import APP_ID

_SELECTS = ("static_select", "radio_buttons", "overflow")


async def run_command(slack: Slack, command: str, text: str, user: str, channel: str) -> Answer:
    """Run a slash command; what the app acks with is shown as Slack shows it."""
    workspace = slack.workspace
    where = workspace.channel_named(channel)
    person = workspace.user_named(user)
    payload: JSON = {
        "token": "sandbox",
        "team_id": workspace.team_id,
        "team_domain": workspace.domain,
        "channel_id": where.id,
        "channel_name": _shown_name(where),
        "user_id": person.id,
        "user_name": person.name,
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "is_enterprise_install": "false",
        "response_url": slack.new_response_url(where.id, person.id),
        "trigger_id": slack.new_trigger(),
    }
    envelope = Envelope("slash_commands", "slash_commands", payload["trigger_id"], payload)
    answer = await slack.dispatcher.ask(envelope)
    if answer.ok:
        show_ack(slack, where.id, person.id, answer.body)
    return answer


async def click(slack: Slack, channel: str, ts: str, user: str, action_id: str, value: str | None = None) -> Answer:
    """Press a button or use another element of a message's blocks, ephemeral or not.

    Args:
        slack: The server.
        channel: An id or a name.
        ts: The message.
        user: An id or a name.
        action_id: The element.
        value: For selects the chosen option's value; for buttons another value than their own.

    Raises:
        SlackError: `message_not_found`, or `action_not_found` when the message has no such element.
    """
    workspace = slack.workspace
    where = workspace.channel_named(channel)
    person = workspace.user_named(user)
    ephemeral = slack.ephemerals.get(ts)
    shown = ephemeral or render_message(workspace, workspace.message(where.id, ts))
    element, block_id = _find_element(shown, action_id)
    container: JSON = {
        "type": "message",
        "message_ts": ts,
        "channel_id": where.id,
        "is_ephemeral": ephemeral is not None,
    }
    thread_ts = shown.get("thread_ts")
    if thread_ts and thread_ts != ts:
        container["thread_ts"] = thread_ts
    payload = _interaction(slack, "block_actions", person.id) | {
        "container": container,
        "channel": {"id": where.id, "name": _shown_name(where)},
        "state": {"values": {}},
        "response_url": slack.new_response_url(where.id, person.id, ts, container.get("thread_ts")),
        "actions": [_action(slack, element, action_id, block_id, value)],
    }
    if ephemeral is None:
        payload["message"] = shown
    return await slack.dispatcher.ask(Envelope("interactive", "block_actions", payload["trigger_id"], payload))


async def click_home(slack: Slack, user: str, action_id: str, value: str | None = None) -> Answer:
    """Press a button of somebody's home tab.

    Args:
        slack: The server.
        user: An id or a name.
        action_id: The button; several blocks may have one of this id.
        value: That button's value, to tell them apart.

    Raises:
        SlackError: `action_not_found` when the home has no such button, or there is no home yet.
    """
    person = slack.workspace.user_named(user)
    view = slack.homes.get(person.id) or {"blocks": []}
    for block in view["blocks"]:
        for element in block.get("elements", []) if block["type"] == "actions" else []:
            if element.get("action_id") == action_id and value in (None, element.get("value")):
                payload = _interaction(slack, "block_actions", person.id) | {
                    "container": {"type": "view", "view_id": view["id"]},
                    "view": view,
                    "actions": [_action(slack, element, action_id, str(block.get("block_id", "b")), None)],
                }
                return await slack.dispatcher.ask(
                    Envelope("interactive", "block_actions", payload["trigger_id"], payload)
                )
    raise SlackError("action_not_found")


async def submit_view(slack: Slack, view_id: str, user: str, values: JSON) -> Answer:
    """Submit an open modal; `values` maps block ids to action ids to values."""
    if view_id not in slack.views:
        raise SlackError("not_found")
    person = slack.workspace.user_named(user)
    view = slack.views[view_id] | {"state": {"values": values}}
    payload = _interaction(slack, "view_submission", person.id) | {"view": view, "response_urls": []}
    return await slack.dispatcher.ask(Envelope("interactive", "view_submission", payload["trigger_id"], payload))


def _interaction(slack: Slack, kind: str, user: str) -> JSON:
    workspace = slack.workspace
    person = workspace.users[user]
    return {
        "type": kind,
        "user": {
            "id": person.id,
            "username": person.name,
            "name": person.name,
            "team_id": person.team_id,
        },
        "api_app_id": APP_ID,
        "token": "sandbox",
        "trigger_id": slack.new_trigger(),
        "team": {"id": workspace.team_id, "domain": workspace.domain},
        "enterprise": None,
        "is_enterprise_install": False,
    }


def _action(slack: Slack, element: JSON, action_id: str, block_id: str, value: str | None) -> JSON:
    kind = element.get("type", "button")
    action: JSON = {
        "action_id": action_id,
        "block_id": block_id,
        "type": kind,
        "action_ts": slack.workspace.new_ts(),
    }
    if kind in _SELECTS:
        options = [option for option in element.get("options", []) if option.get("value") == value]
        if not options:
            raise SlackError("invalid_arguments", detail=f"no option has the value {value}")
        return action | {"selected_option": options[0]}
    if "text" in element:
        action["text"] = element["text"]
    chosen = element.get("value") if value is None else value
    if kind == "feedback_buttons" and chosen is None:
        chosen = element["positive_button"]["value"]
    return action if chosen is None else action | {"value": chosen}


def _shown_name(channel: Channel) -> str:
    return "directmessage" if channel.kind == "im" else channel.name


def _find_element(shown: JSON, action_id: str) -> tuple[JSON, str]:
    """The element of this action id in a message's blocks, and its block's id."""
    blocks: list[JSON] = [*(shown.get("blocks") or [])]
    for attachment in shown.get("attachments") or []:
        blocks += attachment.get("blocks", [])
    for at, block in enumerate(blocks):
        candidates: list[Any] = [*block.get("elements", []), block.get("accessory")]
        for element in candidates:
            if isinstance(element, dict) and element.get("action_id") == action_id:
                return element, str(block.get("block_id", f"b{at}"))
    raise SlackError("action_not_found")
