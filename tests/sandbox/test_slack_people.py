import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from sandbox.client import SandboxClient, SandboxRefused
from sandbox.server import Sandbox, open_sandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with open_sandbox() as opened:
        person = opened.workspace.add_user("oncall-a")
        opened.workspace.add_user("sre-1")
        opened.workspace.add_channel("ops", members=[person.id, opened.bot_user_id])
        yield opened


@pytest.fixture
async def people(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with SandboxClient(sandbox.url) as client:
        yield client


@pytest.fixture
def slack(sandbox: Sandbox) -> AsyncWebClient:
    return AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url, retry_handlers=[])


@pytest.fixture
def events(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every event that goes out, without a receiver."""
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(
        sandbox.slack.dispatcher, "send", lambda envelope, copies=None: seen.append(envelope.payload["event"])
    )
    return seen


async def test_alerts_of_other_apps_are_bot_messages_and_change_in_place(
    people: SandboxClient, events: list[dict[str, Any]]
) -> None:
    firing = [{"title": "[FIRING:1] DiskFull", "color": "danger"}]
    ts = await people.say("ops", "", bot_username="Alertmanager", attachments=firing)
    await people.edit("ops", ts, "", attachments=[{"title": "[RESOLVED] DiskFull", "color": "good"}])
    posted, changed = events
    assert (posted["subtype"], posted["username"]) == ("bot_message", "Alertmanager")
    assert posted["bot_id"].startswith("B")
    assert "user" not in posted
    assert changed["subtype"] == "message_changed"
    assert changed["previous_message"]["attachments"][0]["title"] == "[FIRING:1] DiskFull"
    assert changed["message"]["attachments"][0]["title"] == "[RESOLVED] DiskFull"
    stored = (await people.messages("ops"))[0]
    assert (stored["author"], len(stored["edits"])) == ("Alertmanager", 1)


async def test_an_edit_that_keeps_the_mention_mentions_again_as_edited(
    sandbox: Sandbox, people: SandboxClient, events: list[dict[str, Any]]
) -> None:
    ts = await people.say("ops", f"<@{sandbox.bot_user_id}> hepl", user="oncall-a")
    await people.edit("ops", ts, f"<@{sandbox.bot_user_id}> help")
    mentions = [event for event in events if event["type"] == "app_mention"]
    assert ["edited" in mention for mention in mentions] == [False, True]
    assert {mention["ts"] for mention in mentions} == {ts}


async def test_direct_messages_mention_nobody(
    sandbox: Sandbox, people: SandboxClient, events: list[dict[str, Any]]
) -> None:
    dm = await people.dm("oncall-a")
    await people.say(dm, f"<@{sandbox.bot_user_id}> hello", user="oncall-a")
    opened, message = events
    assert (opened["type"], opened["tab"], opened["channel"]) == ("app_home_opened", "messages", dm)
    assert (message["type"], message["channel_type"]) == ("message", "im")
    with pytest.raises(SandboxRefused, match="not_in_channel"):
        await people.say(dm, "me too", user="sre-1")


async def test_deleting_a_parent_leaves_a_tombstone(people: SandboxClient, events: list[dict[str, Any]]) -> None:
    parent = await people.say("ops", "parent", user="oncall-a")
    child = await people.say("ops", "child", user="oncall-a", thread_ts=parent)
    await people.delete("ops", parent)
    await people.delete("ops", child)
    assert [event.get("subtype") for event in events[2:]] == ["message_changed", "message_deleted"]
    assert events[2]["message"]["subtype"] == "tombstone"
    assert events[3]["deleted_ts"] == child
    assert [m["text"] for m in await people.messages("ops")] == ["This message was deleted."]


async def test_joining_leaving_and_reacting_are_events(
    sandbox: Sandbox, people: SandboxClient, events: list[dict[str, Any]]
) -> None:
    await people.join("ops", "sre-1")
    await people.leave("ops", "sre-1")
    ts = await people.say("ops", "fixed", user="oncall-a")
    await people.react("ops", ts, "oncall-a", "+1")
    await people.react("ops", ts, "oncall-a", "+1", remove=True)
    kinds = [event.get("subtype") or event["type"] for event in events]
    assert kinds == [
        "member_joined_channel",
        "channel_join",
        "member_left_channel",
        "channel_leave",
        "message",
        "reaction_added",
        "reaction_removed",
    ]
    assert events[5]["item"] == {"type": "message", "channel": events[4]["channel"], "ts": ts}


async def test_a_response_url_serves_five_times(sandbox: Sandbox, people: SandboxClient) -> None:
    app = AsyncApp(client=AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url))
    urls: list[str] = []

    @app.command("/ratchet")
    async def on_command(ack: Any, command: dict[str, str]) -> None:
        urls.append(command["response_url"])
        await ack(response_type="in_channel", text=f"asked: {command['text']}")

    handler = AsyncSocketModeHandler(app, sandbox.app_token)
    await handler.connect_async()
    assert (await people.command("/ratchet", "why?", user="oncall-a", channel="ops"))["ok"]
    await handler.close_async()
    webhook = AsyncWebhookClient(urls[0])
    statuses = [(await webhook.send(text=str(number))).status_code for number in range(6)]
    assert statuses == [200] * 5 + [404]
    assert [m["text"] for m in await people.messages("ops")] == ["asked: why?"]
    assert [e["text"] for e in await people.ephemerals()] == list("01234")


async def test_a_command_that_nobody_acks_fails(sandbox: Sandbox, people: SandboxClient) -> None:
    app = AsyncApp(client=AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url))
    handler = AsyncSocketModeHandler(app, sandbox.app_token)
    await handler.connect_async()
    await people.delivery(ack_timeout=0.1)
    answer = await people.command("/ratchet", "anyone?", user="oncall-a", channel="ops")
    assert answer == {"ok": False, "body": None}
    await handler.close_async()


async def test_a_stream_grows_and_ends(sandbox: Sandbox, people: SandboxClient, slack: AsyncWebClient) -> None:
    ts = await people.say("ops", "why?", user="oncall-a")
    ops = sandbox.workspace.channel_named("ops").id
    person = sandbox.workspace.user_named("oncall-a").id
    async with people.watch() as items:
        stream = await slack.chat_stream(
            channel=ops, thread_ts=ts, recipient_user_id=person, recipient_team_id=sandbox.team_id, buffer_size=1
        )
        await stream.append(chunks=[{"type": "task_update", "id": "1", "title": "Search", "status": "in_progress"}])
        await stream.append(markdown_text="Because ")
        await stream.append(markdown_text="of DNS.")
        await stream.stop(metadata={"event_type": "answer", "event_payload": {"turn": "7"}})
        states = []
        while "stopped" not in states:
            item = await anext(items)
            states += [item["state"]] if item["type"] == "stream" else []
    assert states == ["started", "appended", "appended", "stopped"]
    assert item["text"] == "Because of DNS."
    assert item["tasks"][0]["title"] == "Search"
    stored = (await people.messages("ops", ts))[1]
    assert stored["metadata"]["event_payload"] == {"turn": "7"}
    assert stored["streaming_state"] == "completed"
    assert [block["type"] for block in stored["blocks"]] == ["task_card", "markdown"]


async def test_a_stream_takes_as_much_as_a_message(people: SandboxClient, slack: AsyncWebClient) -> None:
    dm = await people.dm("oncall-a")
    ts = await people.say(dm, "why?", user="oncall-a")
    stream = await slack.chat_startStream(channel=dm, thread_ts=ts, markdown_text="x" * 7000)
    with pytest.raises(SlackApiError, match="msg_too_long"):
        await slack.chat_appendStream(channel=dm, ts=stream["ts"], markdown_text="y" * 6000)
    sections = [{"type": "section", "text": {"type": "mrkdwn", "text": "z" * 2500}}] * 3
    with pytest.raises(SlackApiError, match="msg_blocks_too_long"):
        await slack.chat_stopStream(channel=dm, ts=stream["ts"], blocks=sections)
    await slack.chat_stopStream(channel=dm, ts=stream["ts"], blocks=sections[:1])
    shown = (await people.messages(dm, ts))[1]
    assert shown["text"] == "x" * 7000 and [block["type"] for block in shown["blocks"]] == ["markdown", "section"]


async def test_a_stream_dies_of_age_and_can_be_edited_then(
    sandbox: Sandbox, people: SandboxClient, slack: AsyncWebClient
) -> None:
    await people.limits(stream_seconds=0.2)
    dm = await people.dm("oncall-a")
    ts = await people.say(dm, "why?", user="oncall-a")
    stream = await slack.chat_startStream(channel=dm, thread_ts=ts, markdown_text="Because")
    with pytest.raises(SlackApiError, match="streaming_state_conflict"):
        await slack.chat_update(channel=dm, ts=stream["ts"], text="too early")
    await asyncio.sleep(0.25)
    with pytest.raises(SlackApiError, match="message_not_in_streaming_state"):
        await slack.chat_appendStream(channel=dm, ts=stream["ts"], markdown_text=" of DNS")
    await slack.chat_update(channel=dm, ts=stream["ts"], text="Because of DNS")
    assert (await people.messages(dm, ts))[1]["text"] == "Because of DNS"


async def test_a_reader_stops_a_stream(
    sandbox: Sandbox, people: SandboxClient, slack: AsyncWebClient, events: list[dict[str, Any]]
) -> None:
    dm = await people.dm("oncall-a")
    ts = await people.say(dm, "why?", user="oncall-a")
    stream = await slack.chat_startStream(channel=dm, thread_ts=ts, markdown_text="Because")
    assert await people.stop(dm, ts, user="oncall-a") == [stream["ts"]]
    assert events[-1]["type"] == "agent_session_stopped"
    assert events[-1]["streaming_message_ts"] == [stream["ts"]]
    with pytest.raises(SlackApiError, match="stopped_by_user"):
        await slack.chat_appendStream(channel=dm, ts=stream["ts"], markdown_text=" of DNS")


async def test_channels_need_the_streams_recipient(sandbox: Sandbox, slack: AsyncWebClient) -> None:
    ops = sandbox.workspace.channel_named("ops").id
    parent = await slack.chat_postMessage(channel=ops, text="parent")
    with pytest.raises(SlackApiError, match="missing_recipient_user_id"):
        await slack.chat_startStream(channel=ops, thread_ts=parent["ts"], markdown_text="x")


async def test_a_modal_is_opened_by_a_fresh_trigger_and_submitted(sandbox: Sandbox, people: SandboxClient) -> None:
    app = AsyncApp(client=AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url))
    fixes: list[str] = []
    label = {"type": "plain_text", "text": "Fix"}
    field = {"type": "input", "block_id": "fix", "label": label}
    field["element"] = {"type": "plain_text_input", "action_id": "text"}

    @app.command("/ratchet")
    async def on_command(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        view = {"type": "modal", "callback_id": "resolve", "title": label, "submit": label, "blocks": [field]}
        await client.views_open(trigger_id=body["trigger_id"], view=view)

    @app.view("resolve")
    async def on_submit(ack: Any, view: dict[str, Any]) -> None:
        fixes.append(view["state"]["values"]["fix"]["text"]["value"])
        await ack()

    handler = AsyncSocketModeHandler(app, sandbox.app_token)
    await handler.connect_async()
    async with people.watch() as items:
        await people.command("/ratchet", "resolve 7", user="oncall-a", channel="ops")
        opened = await anext(items)
    values = {"fix": {"text": {"type": "plain_text_input", "value": "restarted DNS"}}}
    assert (await people.submit(opened["view"]["id"], user="oncall-a", values=values))["ok"]
    assert fixes == ["restarted DNS"]
    await handler.close_async()


async def test_a_private_message_can_be_clicked_and_replaced(sandbox: Sandbox, people: SandboxClient) -> None:
    client = AsyncWebClient(token=sandbox.bot_token, base_url=sandbox.slack_api_url)
    app = AsyncApp(client=client)

    @app.action("severity")
    async def on_choice(ack: Any, body: dict[str, Any], respond: Any) -> None:
        await ack()
        assert body["container"]["is_ephemeral"]
        await respond(body["actions"][0]["selected_option"]["value"], replace_original=True)

    options = [{"text": {"type": "plain_text", "text": name}, "value": name} for name in ("high", "low")]
    select = {"type": "static_select", "action_id": "severity", "options": options}
    await client.chat_postEphemeral(
        channel=sandbox.workspace.channel_named("ops").id,
        user=sandbox.workspace.user_named("oncall-a").id,
        text="How bad?",
        blocks=[{"type": "actions", "elements": [select]}],
    )
    handler = AsyncSocketModeHandler(app, sandbox.app_token)
    await handler.connect_async()
    shown = (await people.ephemerals())[0]
    async with people.watch() as items:
        assert await people.click("ops", shown["ts"], "severity", user="oncall-a", value="low")
        changed = await anext(items)
    assert (changed["type"], changed["ts"], changed["text"]) == ("ephemeral", shown["ts"], "low")
    with pytest.raises(SandboxRefused, match="action_not_found"):
        await people.click("ops", shown["ts"], "severity", user="oncall-a", value="low")
    await handler.close_async()


async def test_the_status_goes_when_the_bot_posts(
    sandbox: Sandbox, people: SandboxClient, slack: AsyncWebClient
) -> None:
    ts = await people.say("ops", "why?", user="oncall-a")
    ops = sandbox.workspace.channel_named("ops").id
    async with people.watch() as items:
        await slack.assistant_threads_setStatus(channel_id=ops, thread_ts=ts, status="is reading logs")
        await slack.chat_postMessage(channel=ops, thread_ts=ts, text="x" * 40_000 + "é")
        shown = [await anext(items) for _ in range(3)]
    assert [item.get("status") for item in shown] == ["is reading logs", None, ""]


async def test_the_models_are_scripted_through_the_same_client(sandbox: Sandbox, people: SandboxClient) -> None:
    await people.script([{"match": "broke", "steps": [{"text": "DNS."}]}])
    question = {"model": "gpt-4o", "messages": [{"role": "user", "content": "what broke?"}]}
    async with people.session().post(f"{sandbox.openai_url}/chat/completions", json=question) as response:
        assert (await response.json())["choices"][0]["message"]["content"] == "DNS."
    calls = await people.model_calls()
    assert (calls[0]["kind"], calls[0]["model"]) == ("chat", "gpt-4o")
    with pytest.raises(SandboxRefused, match="script rule 0"):
        await people.script([{"match": "x", "steps": [{"nonsense": 1}]}])
    with pytest.raises(SandboxRefused, match="brain is script or planner"):
        await people.brain("oracle")  # type: ignore[arg-type]
    await people.brain("planner")
    await people.clear_script()
    assert (sandbox.models.brain, sandbox.models.script.rules) == ("planner", [])
