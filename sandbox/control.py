"""The control API under `/sandbox/`: people's side of the workspace, and what goes wrong on request."""

import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import Any

from aiohttp import web

from sandbox.models.server import ModelServer
from sandbox.slack import interactions, people
from sandbox.slack.chat import permalink
from sandbox.slack.faults import Fault
from sandbox.slack.files import new_file
from sandbox.slack.publish import send_event
from sandbox.slack.records import JSON, Message, SlackError
from sandbox.slack.render import render_channel, render_message, render_user
from sandbox.slack.state import Slack

Handler = Callable[[JSON], Awaitable[JSON]]


class Control:
    """Answers the control API.

    Args:
        slack: The Slack server.
        models: The model server.
    """

    def __init__(self, slack: Slack, models: ModelServer) -> None:
        self._slack = slack
        self._models = models

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        posts: dict[str, Handler] = {
            "say": self._say,
            "edit": self._edit,
            "delete": self._delete,
            "react": self._react,
            "command": self._command,
            "click": self._click,
            "submit": self._submit,
            "stop": self._stop,
            "home": self._home,
            "home/click": self._click_home,
            "dm": self._dm,
            "channels": self._channels,
            "members": self._members,
            "users": self._users,
            "channels/change": self._change_channel,
            "users/change": self._change_user,
            "event": self._event,
            "ledger/clear": self._clear_ledger,
            "faults": self._faults,
            "faults/clear": self._clear_faults,
            "disconnect": self._disconnect,
            "delivery": self._delivery,
            "limits": self._limits,
            "brain": self._brain,
            "script": self._script,
            "script/clear": self._clear_script,
        }
        gets: dict[str, Handler] = {
            "info": self._info,
            "messages": self._messages,
            "home": self._home_view,
            "ephemerals": self._ephemerals,
            "ledger": self._ledger,
            "models/calls": self._model_calls,
        }
        return [
            *(web.post(f"/sandbox/{path}", _answering(handler)) for path, handler in posts.items()),
            *(web.get(f"/sandbox/{path}", _answering(handler)) for path, handler in gets.items()),
            web.get("/sandbox/watch", self._watch),
        ]

    # What people do

    async def _say(self, body: JSON) -> JSON:
        files = [self._file(item, body.get("user")) for item in body.pop("files", None) or []]
        message = people.say(self._slack, **body, files=files or None)
        return {"ts": message.ts, "channel": message.channel_id, "permalink": permalink(self._slack, message)}

    async def _edit(self, body: JSON) -> JSON:
        message = people.edit(self._slack, **body)
        return {"ts": message.ts}

    async def _delete(self, body: JSON) -> JSON:
        people.delete(self._slack, **body)
        return {}

    async def _react(self, body: JSON) -> JSON:
        people.react(self._slack, **body)
        return {}

    async def _command(self, body: JSON) -> JSON:
        answer = await interactions.run_command(self._slack, **body)
        return {"ok": answer.ok, "body": answer.body}

    async def _click(self, body: JSON) -> JSON:
        answer = await interactions.click(self._slack, **body)
        return {"ok": answer.ok, "body": answer.body}

    async def _submit(self, body: JSON) -> JSON:
        answer = await interactions.submit_view(self._slack, **body)
        return {"ok": answer.ok, "body": answer.body}

    async def _stop(self, body: JSON) -> JSON:
        return {"streams": people.stop(self._slack, **body)}

    async def _home(self, body: JSON) -> JSON:
        people.open_home(self._slack, **body)
        return {}

    async def _click_home(self, body: JSON) -> JSON:
        answer = await interactions.click_home(self._slack, **body)
        return {"ok": answer.ok, "body": answer.body}

    async def _dm(self, body: JSON) -> JSON:
        return {"channel": people.open_dm(self._slack, **body).id}

    async def _channels(self, body: JSON) -> JSON:
        workspace = self._slack.workspace
        members = [workspace.user_named(name).id for name in body.pop("members", None) or []]
        if "creator" in body:
            body["creator"] = workspace.user_named(body["creator"]).id
        return {"channel": workspace.add_channel(**body, members=members).id}

    async def _members(self, body: JSON) -> JSON:
        action = body.pop("action")
        if action not in ("join", "leave"):
            raise SlackError("invalid_arguments", detail="action is join or leave")
        people.join(self._slack, **body, leave=action == "leave")
        return {}

    async def _users(self, body: JSON) -> JSON:
        return {"user": self._slack.workspace.add_user(**body).id}

    async def _change_channel(self, body: JSON) -> JSON:
        people.change_channel(self._slack, **body)
        return {}

    async def _change_user(self, body: JSON) -> JSON:
        people.change_user(self._slack, **body)
        return {}

    async def _event(self, body: JSON) -> JSON:
        return {"event_id": send_event(self._slack, body["event"], body.get("copies"))}

    # What can be seen

    async def _info(self, _body: JSON) -> JSON:
        workspace = self._slack.workspace
        bot = workspace.bot_user_id
        return {
            "team_id": workspace.team_id,
            "bot_user_id": bot,
            "bot_id": workspace.bot_id,
            "sockets": self._slack.sockets.connected,
            "waiting": self._slack.dispatcher.waiting,
            "users": [render_user(workspace, user) for user in workspace.users.values()],
            "channels": [render_channel(workspace, c, viewer=bot) for c in workspace.channels.values()],
            "views": list(self._slack.views.values()),
        }

    async def _messages(self, body: JSON) -> JSON:
        channel = self._slack.workspace.channel_named(body["channel"])
        thread_ts = body.get("thread_ts")
        if thread_ts:
            thread = channel.threads.get(thread_ts)
            wanted = [thread_ts, *(thread.replies if thread else ())]
        else:
            wanted = sorted(channel.messages)
        return {"messages": [self._stored(channel.messages[ts]) for ts in wanted if ts in channel.messages]}

    async def _home_view(self, body: JSON) -> JSON:
        user = self._slack.workspace.user_named(body["user"])
        prompts = self._slack.prompts.get(
            (self._slack.workspace.open_direct((user.id, self._slack.workspace.bot_user_id)).id, "")
        )
        return {"view": self._slack.homes.get(user.id), "prompts": (prompts or {}).get("prompts", [])}

    async def _ephemerals(self, _body: JSON) -> JSON:
        return {"messages": list(self._slack.ephemerals.values())}

    async def _ledger(self, _body: JSON) -> JSON:
        return self._slack.ledger.as_json()

    async def _clear_ledger(self, _body: JSON) -> JSON:
        self._slack.ledger.clear()
        return {}

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        with self._slack.feed.watch() as items, contextlib.suppress(ConnectionError):
            await response.prepare(request)
            await response.write(b'{"type": "hello"}\n')
            async for item in items:
                await response.write(json.dumps(item).encode() + b"\n")
        return response

    # What goes wrong, and how deliveries go

    async def _faults(self, body: JSON) -> JSON:
        self._slack.faults.add(Fault(**body))
        return {}

    async def _clear_faults(self, _body: JSON) -> JSON:
        self._slack.faults.clear()
        return {}

    async def _disconnect(self, body: JSON) -> JSON:
        return {"sockets": self._slack.sockets.disconnect(body.get("reason", "refresh_requested"))}

    async def _delivery(self, body: JSON) -> JSON:
        settings = self._slack.dispatcher.settings
        verify = body.pop("verify", False)
        for name, value in body.items():
            if name not in {field.name for field in fields(settings)}:
                raise SlackError("invalid_arguments", detail=f"unknown setting: {name}")
            setattr(settings, name, value)
        self._slack.dispatcher.pump()
        return asdict(settings) | ({"verified": await self._slack.http.verify()} if verify else {})

    async def _limits(self, body: JSON) -> JSON:
        if "rate_limits" in body:
            self._slack.rates.enabled = bool(body["rate_limits"])
        if "stream_seconds" in body:
            self._slack.stream_seconds = float(body["stream_seconds"])
        return {"rate_limits": self._slack.rates.enabled, "stream_seconds": self._slack.stream_seconds}

    # Models

    async def _brain(self, body: JSON) -> JSON:
        if body["brain"] not in ("script", "planner"):
            raise SlackError("invalid_arguments", detail="brain is script or planner")
        self._models.brain = body["brain"]
        return {}

    async def _script(self, body: JSON) -> JSON:
        self._models.script.replace(body["rules"])
        return {}

    async def _clear_script(self, _body: JSON) -> JSON:
        self._models.script.clear()
        return {}

    async def _model_calls(self, _body: JSON) -> JSON:
        return {"calls": [asdict(call) for call in self._models.calls]}

    def _stored(self, message: Message) -> JSON:
        workspace = self._slack.workspace
        author = workspace.users.get(message.user or "")
        return render_message(workspace, message, metadata=True) | {
            "channel": message.channel_id,
            "author": message.username or (author.name if author else None),
            "edits": message.edits,
            "permalink": permalink(self._slack, message),
        }

    def _file(self, item: JSON, user: str | None) -> JSON:
        content = base64.b64decode(item.get("content", ""))
        owner = self._slack.workspace.user_named(user or "").id
        return new_file(self._slack, item["name"], content, owner, item.get("mimetype")).info


def _answering(handler: Handler) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def answer(request: web.Request) -> web.Response:
        try:
            body: Any = dict(request.query)
            if request.can_read_body:
                body |= json.loads(await request.read())
            return web.json_response(await handler(body))
        except SlackError as error:
            return web.json_response({"error": error.code, **error.details}, status=400)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": "invalid_arguments", "detail": repr(error)}, status=400)

    return answer
