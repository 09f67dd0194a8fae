"""Socket Mode: tickets, sockets, envelopes and acks.

Up to ten sockets at once; each envelope goes to one of them, in turn. An event that is not acked in time, or whose
socket dies first, goes to another one.
"""

import asyncio
import contextlib
import json
import secrets
import time
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from sandbox.slack.delivery import Dispatcher, Envelope
from sandbox.slack.ledger import Delivery
from sandbox.slack.records import JSON
from sandbox.workspace import APP_ID

_MAX_SOCKETS = 10
_TICKET_SECONDS = 30.0
_HEARTBEAT_SECONDS = 30.0
_GOODBYE_SECONDS = 0.2


@dataclass(slots=True, eq=False)
class _Sent:
    envelope: Envelope
    delivery: Delivery
    timer: asyncio.TimerHandle


@dataclass(slots=True, eq=False)
class _Socket:
    ws: web.WebSocketResponse
    request: web.Request
    outbox: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    pending: dict[str, _Sent] = field(default_factory=dict)
    leaving: bool = False


class SocketMode:
    """The server's end of every socket.

    Args:
        dispatcher: Where envelopes come from and results go.
    """

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._tickets: dict[str, float] = {}
        self._sockets: list[_Socket] = []
        self._turn = 0
        self._goodbyes: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> int:
        """How many sockets receive envelopes."""
        return sum(not socket.leaving for socket in self._sockets)

    def new_ticket(self) -> str:
        """A ticket for one connection within 30 seconds."""
        now = time.monotonic()
        self._tickets = {ticket: until for ticket, until in self._tickets.items() if until > now}
        ticket = secrets.token_urlsafe(18)
        self._tickets[ticket] = now + _TICKET_SECONDS
        return ticket

    def is_open(self) -> bool:
        """Whether any socket can take an envelope."""
        return any(not socket.leaving for socket in self._sockets)

    def send(self, envelope: Envelope) -> None:
        """Send to the next socket in turn."""
        usable = [socket for socket in self._sockets if not socket.leaving]
        self._turn += 1
        socket = usable[self._turn % len(usable)]
        envelope_id = secrets.token_hex(16)
        message: JSON = {
            "envelope_id": envelope_id,
            "type": envelope.kind,
            "payload": envelope.payload,
            "accepts_response_payload": envelope.kind != "events_api",
        }
        if envelope.kind == "events_api":
            message |= {"retry_attempt": envelope.attempt, "retry_reason": envelope.reason}
        timer = asyncio.get_running_loop().call_later(
            self._dispatcher.settings.ack_timeout, self._timed_out, socket, envelope_id
        )
        socket.pending[envelope_id] = _Sent(envelope, self._dispatcher.sent(envelope), timer)
        socket.outbox.put_nowait(json.dumps(message))

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Serve one socket until it ends."""
        until = self._tickets.pop(request.query.get("ticket", ""), 0.0)
        if until < time.monotonic():
            return web.Response(status=403, text="the ticket is unknown, used or too old")
        ws = web.WebSocketResponse(heartbeat=_HEARTBEAT_SECONDS, max_msg_size=0)
        await ws.prepare(request)
        if len(self._sockets) >= _MAX_SOCKETS:
            await ws.send_json({"type": "disconnect", "reason": "too_many_websockets", "debug_info": {}})
            await ws.close()
            return ws
        socket = _Socket(ws, request)
        await ws.send_json(self._hello(self.connected + 1))
        self._sockets.append(socket)
        writer = asyncio.create_task(self._write(socket))
        self._dispatcher.pump()
        try:
            async for message in ws:
                if message.type == WSMsgType.TEXT:
                    self._ack(socket, message.data)
        finally:
            self._sockets.remove(socket)
            writer.cancel()
            self._orphan(socket)
        return ws

    def disconnect(self, reason: str) -> int:
        """End every socket as Slack does, and say how many.

        Args:
            reason: `refresh_requested` and `too_many_websockets` announce it and close; `warning` only announces;
                `abrupt` cuts the connection without a word.
        """
        sockets = [socket for socket in self._sockets if not socket.leaving]
        for socket in sockets:
            if reason == "abrupt":
                socket.leaving = True
                if socket.request.transport:
                    socket.request.transport.abort()
                continue
            goodbye = {"type": "disconnect", "reason": reason, "debug_info": {"host": "sandbox"}}
            socket.outbox.put_nowait(json.dumps(goodbye))
            if reason != "warning":
                socket.leaving = True
                task = asyncio.create_task(self._close_soon(socket))
                self._goodbyes.add(task)
                task.add_done_callback(self._goodbyes.discard)
        return len(sockets)

    async def close(self) -> None:
        """Close every socket for good."""
        for socket in list(self._sockets):
            socket.leaving = True
            for sent in socket.pending.values():
                sent.timer.cancel()
            socket.pending.clear()
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(socket.ws.close(), 1)

    @staticmethod
    def _hello(connections: int) -> JSON:
        return {
            "type": "hello",
            "num_connections": connections,
            "connection_info": {"app_id": APP_ID},
            "debug_info": {"host": "sandbox", "build_number": 1, "approximate_connection_time": 18060},
        }

    @staticmethod
    async def _write(socket: _Socket) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await socket.ws.send_str(await socket.outbox.get())

    @staticmethod
    async def _close_soon(socket: _Socket) -> None:
        await asyncio.sleep(_GOODBYE_SECONDS)
        with contextlib.suppress(ConnectionError):
            await socket.ws.close()

    def _ack(self, socket: _Socket, data: str) -> None:
        try:
            message = json.loads(data)
        except ValueError:
            return
        sent = socket.pending.pop(message.get("envelope_id", ""), None) if isinstance(message, dict) else None
        if sent:
            sent.timer.cancel()
            self._dispatcher.acked(sent.envelope, sent.delivery, message.get("payload"))

    def _timed_out(self, socket: _Socket, envelope_id: str) -> None:
        sent = socket.pending.pop(envelope_id, None)
        if sent:
            self._dispatcher.failed(sent.envelope, sent.delivery, "timeout")

    def _orphan(self, socket: _Socket) -> None:
        orphans = list(socket.pending.values())
        socket.pending.clear()
        for sent in orphans:
            sent.timer.cancel()
            self._dispatcher.failed(sent.envelope, sent.delivery, "connection_failed", at_once=True)
