import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncApp
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.client import SandboxClient
from sandbox.server import Sandbox, open_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with open_sandbox() as opened:
        person = opened.workspace.add_user("oncall-a")
        opened.workspace.add_channel("ops", members=[person.id, opened.bot_user_id])
        yield opened


@pytest.fixture
async def people(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with SandboxClient(sandbox.url) as client:
        yield client


class Receiver:
    """Takes requests and answers with the statuses given, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


async def serve(app: web.Application) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"


async def test_failed_requests_come_again_signed_and_numbered(sandbox: Sandbox, people: SandboxClient) -> None:
    receiver = Receiver(500, 302)
    app = web.Application()
    app.router.add_post("/slack/events", receiver.take)
    runner, url = await serve(app)
    await people.delivery(mode="http", request_url=url, retry_delays=[0, 0.05, 0.05])
    await people.say("ops", "disk full", user="oncall-a")
    async with asyncio.timeout(5):
        while not (sandbox.slack.ledger.deliveries and sandbox.slack.ledger.deliveries[-1].acked_at):
            await asyncio.sleep(0.01)
    await runner.cleanup()
    verifier = SignatureVerifier(sandbox.signing_secret)
    assert all(verifier.is_valid_request(body, headers) for headers, body in receiver.requests)
    assert not SignatureVerifier("other").is_valid_request(receiver.requests[0][1], receiver.requests[0][0])
    retries = [headers.get("X-Slack-Retry-Num") for headers, _ in receiver.requests]
    assert retries == [None, "1", "2"]
    assert receiver.requests[1][0]["X-Slack-Retry-Reason"] == "http_error"
    assert len({json.loads(body)["event_id"] for _, body in receiver.requests}) == 1
    assert [d.status for d in sandbox.slack.ledger.deliveries] == [500, 302, 200]


async def test_bolt_takes_events_commands_and_clicks_over_http(sandbox: Sandbox, people: SandboxClient) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url)
    app = AsyncApp(client=client, signing_secret=sandbox.signing_secret)
    clicked: list[str] = []

    @app.event("app_mention")
    async def on_mention(event: dict[str, Any], say: Any) -> None:
        button = {
            "type": "button",
            "text": {"type": "plain_text", "text": "Ack"},
            "action_id": "ack",
            "value": "7",
        }
        blocks = [{"type": "actions", "block_id": "buttons", "elements": [button]}]
        await say(text="Incident 7", blocks=blocks, thread_ts=event["ts"])

    @app.event("message")
    async def on_message() -> None:
        pass

    @app.command("/ratchet")
    async def on_command(ack: Any, command: dict[str, str]) -> None:
        await ack(f"{command['text']} in {command['channel_name']}")

    @app.action("ack")
    async def on_click(ack: Any, body: dict[str, Any], respond: Any) -> None:
        await ack()
        clicked.append(body["actions"][0]["value"])
        await respond("Acknowledged", replace_original=True)

    runner, url = await serve(app.web_app(path="/slack/events"))
    assert (await people.delivery(mode="http", request_url=url, verify=True))["verified"]
    async with people.watch() as items:
        ts = await people.say("ops", f"<@{sandbox.bot_user_id}> help", user="oncall-a")
        await anext(items)
        posted = await anext(items)
        assert posted["thread_ts"] == ts
        assert await people.click("ops", posted["ts"], "ack", user="oncall-a")
        update = await anext(items)
    assert (update["type"], update["text"], update["ts"]) == ("update", "Acknowledged", posted["ts"])
    assert clicked == ["7"]
    answer = await people.command("/ratchet", "status", user="oncall-a", channel="ops")
    assert answer == {"ok": True, "body": "status in ops"}
    assert (await people.ephemerals())[-1]["text"] == "status in ops"
    await runner.cleanup()


async def test_a_url_that_does_not_echo_the_challenge_is_not_verified(people: SandboxClient) -> None:
    app = web.Application()
    app.router.add_post("/slack/events", Receiver().take)
    runner, url = await serve(app)
    assert not (await people.delivery(request_url=url, verify=True))["verified"]
    await runner.cleanup()
    assert not (await people.delivery(verify=True))["verified"]
