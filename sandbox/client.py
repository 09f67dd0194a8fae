"""A client of the control API, for tests, benchmarks and other processes."""

import base64
import json
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Literal, Self

import aiohttp

JSON = dict[str, Any]

_LONGEST_LINE = 4 * 1024 * 1024


class SandboxRefused(Exception):
    """The control API refused a request; the message is its reason, such as `channel_not_found`."""


class Watch:
    """Items of `/sandbox/watch`, as an async iterator and an async context manager.

    Entering it waits until the server listens, so that nothing done afterwards is missed. Iterating without
    entering connects with the first item asked for.
    """

    def __init__(self, client: "SandboxClient") -> None:
        self._client = client
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=None)
        self._response = await self._client.session().get(f"{self._client.url}/sandbox/watch", timeout=timeout)
        await self._response.content.readline()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._response:
            self._response.close()

    def __aiter__(self) -> AsyncIterator[JSON]:
        return self

    async def __anext__(self) -> JSON:
        if self._response is None:
            await self.__aenter__()
        line = await self._response.content.readline() if self._response else b""
        if not line:
            raise StopAsyncIteration
        item: JSON = json.loads(line)
        return item


class SandboxClient:
    """One method per control endpoint; users and channels go by id or by name.

    Use it as an async context manager, or call `close`.

    Args:
        url: The sandbox's `url`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._session:
            await self._session.close()

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session, opened with the first request."""
        if self._session is None:
            self._session = aiohttp.ClientSession(read_bufsize=_LONGEST_LINE)
        return self._session

    async def say(
        self,
        channel: str,
        text: str,
        *,
        user: str | None = None,
        thread_ts: str | None = None,
        blocks: list[JSON] | None = None,
        attachments: list[JSON] | None = None,
        files: Sequence[tuple[str, bytes]] = (),
        bot_username: str | None = None,
        ts: str | None = None,
        copies: int | None = None,
        silent: bool = False,
        broadcast: bool = False,
    ) -> str:
        """Write a message as `user`, or as another app under `bot_username`; returns its ts.

        A person who is not in a public channel joins it silently by writing. `files` are (name, content); `ts`
        places it in the past, `copies` delivers each event that often, `silent` sends none.
        """
        answer = await self._post(
            "say",
            channel=channel,
            text=text,
            user=user,
            thread_ts=thread_ts,
            blocks=blocks,
            attachments=attachments,
            files=[{"name": name, "content": base64.b64encode(data).decode()} for name, data in files],
            bot_username=bot_username,
            ts=ts,
            copies=copies,
            silent=silent,
            broadcast=broadcast,
        )
        return str(answer["ts"])

    async def edit(
        self,
        channel: str,
        ts: str,
        text: str,
        *,
        user: str | None = None,
        attachments: list[JSON] | None = None,
        blocks: list[JSON] | None = None,
    ) -> None:
        """Change a message's text, and its attachments if given."""
        await self._post("edit", channel=channel, ts=ts, text=text, user=user, attachments=attachments, blocks=blocks)

    async def delete(self, channel: str, ts: str) -> None:
        """Delete a message."""
        await self._post("delete", channel=channel, ts=ts)

    async def react(self, channel: str, ts: str, user: str, name: str, *, remove: bool = False) -> None:
        """Give a reaction, or take it back."""
        await self._post("react", channel=channel, ts=ts, user=user, name=name, remove=remove)

    async def command(self, command: str, text: str, *, user: str, channel: str) -> JSON:
        """Run a slash command; `{ok, body}` with the body of the ack."""
        return await self._post("command", command=command, text=text, user=user, channel=channel)

    async def click(self, channel: str, ts: str, action_id: str, *, user: str, value: str | None = None) -> bool:
        """Press a message's button; whether the app acked."""
        answer = await self._post("click", channel=channel, ts=ts, action_id=action_id, user=user, value=value)
        return bool(answer["ok"])

    async def submit(self, view_id: str, *, user: str, values: JSON) -> JSON:
        """Submit a modal; `values` maps block ids to action ids to `{"type", "value"}`; `{ok, body}`."""
        return await self._post("submit", view_id=view_id, user=user, values=values)

    async def stop(self, channel: str, thread_ts: str, *, user: str) -> list[str]:
        """Press Stop in an agent's thread; the ts of the streams that ended."""
        answer = await self._post("stop", channel=channel, thread_ts=thread_ts, user=user)
        return list(answer["streams"])

    async def home(self, user: str, tab: Literal["home", "messages"] = "home") -> None:
        """Open the app's home."""
        await self._post("home", user=user, tab=tab)

    async def home_view(self, user: str) -> JSON | None:
        """What stands in somebody's home tab; None before anything was published."""
        view: JSON | None = (await self._get("home", {"user": user}))["view"]
        return view

    async def prompts(self, user: str) -> list[JSON]:
        """What is suggested in somebody's direct messages with the bot."""
        return list((await self._get("home", {"user": user}))["prompts"])

    async def click_home(self, user: str, action_id: str, value: str | None = None) -> bool:
        """Press a button of somebody's home tab, the one of this value if given; whether the app acked."""
        answer = await self._post("home/click", user=user, action_id=action_id, value=value)
        return bool(answer["ok"])

    async def dm(self, user: str) -> str:
        """Open the bot's direct messages with `user`; the conversation's id."""
        return str((await self._post("dm", user=user))["channel"])

    async def create_channel(
        self, name: str, *, is_private: bool = False, members: Sequence[str] = (), creator: str | None = None
    ) -> str:
        """Create a channel with these members, without events; its id."""
        answer = await self._post("channels", name=name, is_private=is_private, members=list(members), creator=creator)
        return str(answer["channel"])

    async def join(self, channel: str, user: str) -> None:
        """Let somebody (or the bot) join a channel."""
        await self._post("members", channel=channel, user=user, action="join")

    async def leave(self, channel: str, user: str) -> None:
        """Let somebody (or the bot) leave a channel."""
        await self._post("members", channel=channel, user=user, action="leave")

    async def create_user(self, name: str, **fields: Any) -> str:
        """Add a person (`Workspace.add_user` names the fields); the user's id."""
        return str((await self._post("users", name=name, **fields))["user"])

    async def change_channel(
        self,
        channel: str,
        *,
        name: str | None = None,
        archived: bool | None = None,
        private: bool | None = None,
        shared: bool | None = None,
    ) -> None:
        """Rename, archive or unarchive a channel, make it private or public, share it with another organization."""
        await self._post(
            "channels/change", channel=channel, name=name, archived=archived, private=private, shared=shared
        )

    async def change_user(
        self, user: str, *, name: str | None = None, is_restricted: bool | None = None, is_admin: bool | None = None
    ) -> None:
        """Change somebody's short name, or whether they are a guest or an admin."""
        await self._post("users/change", user=user, name=name, is_restricted=is_restricted, is_admin=is_admin)

    async def event(self, event: JSON, *, copies: int | None = None) -> str:
        """Deliver any event as it is; its event id."""
        return str((await self._post("event", event=event, copies=copies))["event_id"])

    async def info(self) -> JSON:
        """`{team_id, bot_user_id, bot_id, sockets, waiting, users, channels, views}`."""
        return await self._get("info")

    async def messages(self, channel: str, thread_ts: str | None = None) -> list[JSON]:
        """A channel's or a thread's messages, oldest first, with metadata, author, edits and permalink."""
        query = {"channel": channel} | ({"thread_ts": thread_ts} if thread_ts else {})
        return list((await self._get("messages", query))["messages"])

    async def ephemerals(self) -> list[JSON]:
        """What was shown to single persons."""
        return list((await self._get("ephemerals"))["messages"])

    async def ledger(self) -> JSON:
        """`{calls, deliveries, statuses}` since the start or `clear_ledger`."""
        return await self._get("ledger")

    async def clear_ledger(self) -> None:
        """Forget calls, deliveries and statuses."""
        await self._post("ledger/clear")

    def watch(self) -> Watch:
        """Everything a person would see, as it happens: `async with client.watch() as items: async for …`."""
        return Watch(self)

    async def fault(self, method: str, kind: str, *, times: int = 1, **fields: Any) -> None:
        """Let the next calls of a method fail (`sandbox.slack.faults.Fault` names the fields)."""
        await self._post("faults", method=method, kind=kind, times=times, **fields)

    async def clear_faults(self) -> None:
        """Let nothing fail any more."""
        await self._post("faults/clear")

    async def disconnect(self, reason: str = "refresh_requested") -> int:
        """End every socket: `refresh_requested`, `warning`, `too_many_websockets` or `abrupt`; how many."""
        return int((await self._post("disconnect", reason=reason))["sockets"])

    async def delivery(self, **settings: Any) -> JSON:
        """Change how events are delivered (`sandbox.slack.delivery.Settings`); the settings as they are now.

        `verify=True` sends the URL verification challenge and adds `verified`.
        """
        return await self._post("delivery", **settings)

    async def limits(self, **settings: Any) -> JSON:
        """Set `rate_limits` (on or off) or `stream_seconds` (how long a stream lives); as they are now."""
        return await self._post("limits", **settings)

    async def brain(self, brain: Literal["script", "planner"]) -> None:
        """Choose what the models answer from."""
        await self._post("brain", brain=brain)

    async def script(self, rules: list[JSON]) -> None:
        """Give the models rules to answer from."""
        await self._post("script", rules=rules)

    async def clear_script(self) -> None:
        """Forget the rules."""
        await self._post("script/clear")

    async def model_calls(self) -> list[JSON]:
        """Every request to the model server."""
        return list((await self._get("models/calls"))["calls"])

    async def _post(self, path: str, **body: Any) -> JSON:
        given = {key: value for key, value in body.items() if value is not None}
        async with self.session().post(f"{self.url}/sandbox/{path}", json=given) as response:
            return await _checked(response)

    async def _get(self, path: str, query: dict[str, str] | None = None) -> JSON:
        async with self.session().get(f"{self.url}/sandbox/{path}", params=query) as response:
            return await _checked(response)


async def _checked(response: aiohttp.ClientResponse) -> JSON:
    body: JSON = await response.json()
    if response.status != 200:
        raise SandboxRefused(f"{body.get('error')}: {body.get('detail', '')}".rstrip(": "))
    return body
