"""The HTTP side of Slack: `/api/METHOD`, the socket, files and response URLs."""

import asyncio
import json
import time

from aiohttp import web

from sandbox.slack import files
from sandbox.slack.call import Call
from sandbox.slack.faults import Fault
from sandbox.slack.ledger import ApiCall
from sandbox.slack.methods import METHODS
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.responses import receive_response
from sandbox.slack.state import Slack

SCOPES = (
    "app_mentions:read,assistant:write,chat:write,commands,channels:history,groups:history,im:history,"
    "mpim:history,channels:join,channels:read,groups:read,im:read,mpim:read,im:write,files:read,files:write,"
    "reactions:read,reactions:write,usergroups:read,users:read,users:read.email,team:read"
)
_APP_TOKEN_METHODS = ("apps.connections.open",)
_NO_TOKEN_METHODS = ("api.test",)


class WebApi:
    """Answers requests.

    Args:
        slack: The server.
    """

    def __init__(self, slack: Slack) -> None:
        self._slack = slack

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [
            web.post("/api/{method}", self.call),
            web.get("/api/{method}", self.call),
            web.get("/socket", self._slack.sockets.connect),
            web.post("/upload/{file_id}", self._upload),
            web.get("/files/{file_id}/{name}", self._download),
            web.post("/commands/{team_id}/{number}", self._respond),
        ]

    async def call(self, request: web.Request) -> web.StreamResponse:
        """One call: parse, authenticate, fail on request, limit, do, record."""
        started = time.perf_counter()
        method = request.match_info["method"]
        args, token = await _arguments(request)
        record = ApiCall(method, args, self._slack.workspace.clock())
        self._slack.ledger.calls.append(record)
        fault = self._slack.faults.take(method)
        if fault:
            record.fault = fault.kind
        try:
            early = await _fail_before(fault, request)
            if early is None:
                wait = self._limit(method, args)
                if wait:
                    early = _rate_limited(wait)
            if early is not None:
                record.error = "ratelimited" if early.status == 429 else f"http_{early.status}"
                return early
            answer = {"ok": True, **self._answer(method, token, args, fault)}
            record.ok = True
        except SlackError as error:
            record.error = error.code
            answer = {"ok": False, "error": error.code, **error.details}
        finally:
            record.ms = round((time.perf_counter() - started) * 1000, 3)
        if fault and fault.kind == "drop_after_accept":
            _cut(request)
        return web.Response(
            body=json.dumps(answer).encode(),
            content_type="application/json",
            charset="utf-8",
            headers={"X-OAuth-Scopes": SCOPES},
        )

    def _answer(self, method: str, token: str, args: JSON, fault: Fault | None) -> JSON:
        handler = METHODS.get(method)
        if handler is None:
            raise SlackError("unknown_method", req_method=method)
        self._authenticate(method, token)
        if fault and fault.kind == "error":
            raise SlackError(fault.error)
        return handler(self._slack, Call(method, args))

    def _authenticate(self, method: str, token: str) -> None:
        if method in _NO_TOKEN_METHODS:
            return
        if not token:
            raise SlackError("not_authed")
        if token not in (self._slack.bot_token, self._slack.app_token):
            raise SlackError("invalid_auth")
        right = self._slack.app_token if method in _APP_TOKEN_METHODS else self._slack.bot_token
        if token != right:
            raise SlackError("not_allowed_token_type")

    def _limit(self, method: str, args: JSON) -> int:
        return self._slack.rates.seconds_to_wait(method, str(args.get("channel", "")))

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        return await files.receive_upload(self._slack, request)

    async def _download(self, request: web.Request) -> web.StreamResponse:
        return await files.download(self._slack, request)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        return await receive_response(self._slack, request)


async def _arguments(request: web.Request) -> tuple[JSON, str]:
    args: JSON = dict(request.query)
    if request.can_read_body:
        if request.content_type == "application/json":
            try:
                body = json.loads(await request.read())
            except ValueError:
                body = {}
            args |= body if isinstance(body, dict) else {}
        else:
            args |= {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
    token = str(args.pop("token", ""))
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    return args, bearer if scheme == "Bearer" and bearer else token


async def _fail_before(fault: Fault | None, request: web.Request) -> web.Response | None:
    match fault:
        case Fault(kind="http"):
            return web.Response(status=fault.status, text="upstream error")
        case Fault(kind="ratelimited"):
            return _rate_limited(fault.retry_after)
        case Fault(kind="delay"):
            await asyncio.sleep(fault.seconds)
        case Fault(kind="drop_before_accept"):
            _cut(request)
            return web.Response(status=502)
        case _:
            pass
    return None


def _rate_limited(seconds: int) -> web.Response:
    body = json.dumps({"ok": False, "error": "ratelimited"})
    headers = {"Retry-After": str(seconds)}
    return web.Response(status=429, text=body, content_type="application/json", headers=headers)


def _cut(request: web.Request) -> None:
    if request.transport:
        request.transport.close()
