"""views.*: modals and the app's home."""

from typing import Any

from sandbox.slack.blocks import check_blocks
from sandbox.slack.call import Call, invalid
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.state import Slack
from sandbox.workspace import APP_ID

_MAX_BLOCKS = 100


def open_view(slack: Slack, call: Call) -> JSON:
    """views.open and views.push: needs a trigger id that is at most three seconds old."""
    view = _view(slack, call, "modal")
    slack.use_trigger(call.required("trigger_id"))
    return {"view": _stored(slack, view)}


def update_view(slack: Slack, call: Call) -> JSON:
    """views.update: by view_id or external_id; a stale hash is a `hash_conflict`."""
    view_id, external_id = call.text("view_id"), call.text("external_id")
    known = slack.views.get(view_id) or next(
        (v for v in slack.views.values() if external_id and v.get("external_id") == external_id), None
    )
    if known is None:
        raise SlackError("not_found")
    if call.text("hash") and call.text("hash") != known["hash"]:
        raise SlackError("hash_conflict")
    view = _view(slack, call, known["type"])
    return {"view": _stored(slack, view, known["id"])}


def publish_view(slack: Slack, call: Call) -> JSON:
    """views.publish: the home tab of one user."""
    user = slack.workspace.user(call.required("user_id"))
    view = _view(slack, call, "home")
    known = slack.homes.get(user.id)
    stored = _stored(slack, view, known["id"] if known else None)
    slack.homes[user.id] = stored
    return {"view": stored}


def _view(slack: Slack, call: Call, kind: str) -> JSON:
    view: Any = call.structured("view", "invalid_arguments")
    if not isinstance(view, dict):
        raise invalid("missing required field: view")
    if view.get("type") != kind:
        raise invalid(f"must be one of: {kind} [json-pointer:/view/type]")
    if kind == "modal" and not (view.get("title") or {}).get("text"):
        raise invalid("missing required field: title [json-pointer:/view]")
    check_blocks(view.get("blocks"), maximum=_MAX_BLOCKS)
    return view


def _stored(slack: Slack, view: JSON, view_id: str | None = None) -> JSON:
    number = slack.number()
    stored: JSON = {
        "private_metadata": "",
        "callback_id": "",
        **view,
        "id": view_id or slack.workspace.new_id("V"),
        "team_id": slack.workspace.team_id,
        "app_id": APP_ID,
        "bot_id": slack.workspace.bot_id,
        "hash": f"{int(slack.workspace.clock())}.{number}",
        "state": {"values": {}},
    }
    slack.views[stored["id"]] = stored
    slack.feed.publish("view", view=stored)
    return stored


METHODS = {
    "views.open": open_view,
    "views.push": open_view,
    "views.update": update_view,
    "views.publish": publish_view,
}
