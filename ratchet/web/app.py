"""Builds the web application."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from slack_bolt.adapter.fastapi.async_handler import AsyncSlackRequestHandler
from slack_sdk.signature import SignatureVerifier

import ratchet
from ratchet.bootstrap import Services
from ratchet.health import check_services
from ratchet.web.documentation import mount_documentation
from slack_app.sockets import Sockets

MAX_BODY = 1024 * 1024


def create_app(services: Services, *, sockets: Sockets | None = None) -> FastAPI:
    """Health, metrics, version, and Slack's requests where a signing secret is set.

    Args:
        services: what the routes work on.
        sockets: the Socket Mode connections of this process, for readiness.
    """
    app = FastAPI(title="Ratchet", version=ratchet.__version__, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """What it depends on works."""
        checks = await check_services(services, sockets)
        ready = all(check.ok for check in checks)
        body = {"status": "ok" if ready else "unavailable", "checks": {c.name: c.detail for c in checks}}
        return JSONResponse(body, status_code=200 if ready else 503)

    @app.get("/version")
    async def version() -> dict[str, str]:
        """The running version and its model."""
        return {"version": ratchet.__version__, "model": services.model.model}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    mount_documentation(app, services)
    secret = services.settings.slack.signing_secret
    if secret:
        _mount_slack(app, services, SignatureVerifier(secret.get_secret_value()))
    return app


def _mount_slack(app: FastAPI, services: Services, verifier: SignatureVerifier) -> None:
    handler = AsyncSlackRequestHandler(services.slack.app)

    async def slack(request: Request) -> Response:
        """Events, commands and clicks; verified over the raw bytes before anything parses them."""
        body = await _verified(request, verifier)
        if isinstance(body, Response):
            return body
        payload = _payload(body, request.headers.get("content-type", ""))
        if payload is None:
            return _refusal(400, "Invalid JSON payload")
        if payload.get("type") == "event_callback":  # of an event nothing is answered: once it is stored, all is done
            await services.slack.inbox.record(payload)
            return Response()
        return await handler.handle(request)

    for path in ("/slack/events", "/slack/actions"):  # plain routes: an ack waits for no parameters to be resolved
        app.add_route(path, slack, methods=["POST"])


async def _verified(request: Request, verifier: SignatureVerifier) -> bytes | Response:
    """The body of a request that Slack signed, or what is answered to any other."""
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MAX_BODY:
        return _refusal(413, f"the body may have {MAX_BODY} bytes")
    timestamp = request.headers.get("x-slack-request-timestamp")
    signature = request.headers.get("x-slack-signature")
    if not timestamp or not signature:
        return _refusal(400, "missing X-Slack-Request-Timestamp or X-Slack-Signature")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12 and signature.isascii()):
        return _refusal(400, "malformed X-Slack-Request-Timestamp or X-Slack-Signature")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return _refusal(413, f"the body may have {MAX_BODY} bytes")
    request._body = body  # where Starlette itself keeps it: Bolt's adapter reads it again
    try:
        is_signed = verifier.is_valid(body, timestamp, signature)
    except UnicodeDecodeError:
        return _refusal(400, "the body is not UTF-8")
    if not is_signed:
        return _refusal(401, "the signature does not fit, or is older than five minutes")
    return body


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status)


def _payload(body: bytes, content_type: str) -> dict[str, Any] | None:
    """What Slack says: a JSON object, or a form whose payload is one; empty for a command, whose form is all."""
    try:
        if content_type.startswith("application/json"):
            payload = json.loads(body.decode("utf-8"))
        else:
            form = parse_qs(body.decode("utf-8"))
            (text,) = form.get("payload", ["{}"] if "command" in form else [""])
            payload = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None
