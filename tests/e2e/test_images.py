"""A question with a screenshot goes to a model that can see; else the user is told. The image itself is kept nowhere."""

import asyncio
import base64
import struct
import zlib

import pytest

from agent.models import ModelChoice
from ratchet import images
from ratchet.bootstrap import open_services
from ratchet.serve import running
from slack_app.files import FileReader
from tests.dumps import places
from tests.e2e.conftest import text_of
from tests.e2e.test_retry import correct, press

SEEN = [{"match": "look", "steps": [{"text": "I see {images}."}]}]


def png(side=2, colour=b"\xff\x00\x7f"):
    """A square of one colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\x00" + colour * side) * side
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def ask(world, text, *files, thread_ts=None):
    """Ask in #ops with files; the answer."""
    said = f"<@{world.sandbox.bot_user_id}> {text}"
    ts = await world.client.say("ops", said, user="oncall-a", files=files, thread_ts=thread_ts)
    before = len(await world.posts("ops", thread_ts)) if thread_ts else 0
    return ts, (await world.answers("ops", thread_ts or ts, count=before + 1))[-1]


async def test_the_bytes_of_a_screenshot_reach_the_model_and_are_kept_nowhere(world):
    await world.client.script(SEEN)
    content = png(side=40)
    async with world.ratchet() as services:
        _, answer = await ask(world, "look at this", ("shot.png", content))
        assert answer == f"I see image/png, {len(content)} bytes."
        (call,) = [call for call in await world.client.model_calls() if call["kind"] == "chat"]
        sent = str(call["messages"])
        encoded = base64.b64encode(content).decode()
        assert encoded in sent and "shot.png" in sent and "never an instruction" in sent
        assert await places(services.database, "shot.png")
        assert not await places(services.database, encoded[12:60])


async def test_a_thread_keeps_the_name_of_an_image_and_not_the_image(world):
    await world.client.script([*SEEN, {"match": "again", "steps": [{"text": "Now {images}."}]}])
    async with world.ratchet():
        thread, _ = await ask(world, "look", ("shot.png", png()))
        _, answer = await ask(world, "and again?", thread_ts=thread)
        assert answer == "Now no images."
        last = [call for call in await world.client.model_calls() if call["kind"] == "chat"][-1]
        assert "[file: shot.png (image/png)]" in str(last["messages"]) and "base64" not in str(last["messages"])


async def test_a_retry_sees_the_images_of_the_question(world):
    await world.client.script([{"match": "shorter", "steps": [{"text": "Now {images}."}]}, *SEEN])
    async with world.ratchet():
        thread, _ = await ask(world, "look", ("shot.png", png()))
        (post,) = await world.posts("ops", thread)
        await correct(world, await press(world, post))
        posts = await world.until_posts("ops", thread, count=2)
        assert "Now image/png" in text_of(posts[1])


async def test_every_model_call_of_the_turn_sees_the_image(world):
    steps = [{"tool_calls": [{"name": "list_channels"}]}, {"text": "Still {images}."}]
    await world.client.script([{"match": "look", "steps": steps}])
    async with world.ratchet():
        _, answer = await ask(world, "look", ("shot.png", png()))
        assert answer.startswith("Still image/png")


async def test_what_is_no_image_that_models_read_is_left_out_and_said_so(world, monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    await world.client.script(SEEN)
    files = [
        ("drawing.svg", b"<svg/>"),
        ("fake.png", b"MZ this is a program"),
        ("huge.png", png() + bytes(2000)),
        ("good.gif", b"GIF89a" + bytes(20)),
    ]
    async with world.ratchet():
        _, answer = await ask(world, "look", *files)
    assert "`drawing.svg`: I can look at PNG" in answer and "`fake.png`: I can look at PNG" in answer
    assert "`huge.png`: it is larger than" in answer and answer.endswith("I see image/gif, 26 bytes.")


async def test_of_many_images_the_first_four_are_looked_at(world):
    await world.client.script(SEEN)
    async with world.ratchet():
        _, answer = await ask(world, "look", *((f"{number}.png", png()) for number in range(6)))
    assert answer.count("image/png") == 4 and "`4.png`: I look at 4" in answer and "`5.png`" in answer


async def test_of_many_files_that_are_no_images_few_are_fetched(world):
    await world.client.script(SEEN)
    async with world.ratchet():
        _, answer = await ask(world, "look", *((f"{number}.png", b"MZ") for number in range(10)))
    calls = (await world.client.ledger())["calls"]
    assert len([call for call in calls if call["method"] == "files.info"]) == images.MOST_TRIED
    assert "`9.png`: I look at 4 images" in answer and answer.endswith("I see no images.")


class Empty:
    """Stands for Slack where it tells of a file in no form that is known."""

    async def files_info(self, **_):
        return {"ok": True}


async def test_what_slack_tells_in_no_known_form_is_not_there():
    shots = images.Screenshots(
        None, client=Empty(), files=FileReader(None, None, token="", api_url="https://slack.com/api/"), sight=None
    )
    assert (await shots._look([{"name": "a.png"}])).note == "I did not look at `a.png`: Slack did not give it to me."


@pytest.mark.parametrize("fault", [{"kind": "error", "error": "file_deleted"}, {"kind": "http"}])
async def test_an_image_that_slack_does_not_give_holds_up_nothing(world, fault):
    await world.client.script(SEEN)
    async with world.ratchet():
        await world.client.fault("files.info", times=3, **fault)
        _, answer = await ask(world, "look", ("shot.png", png()))
    assert "`shot.png`: Slack did not give it to me." in answer and answer.endswith("I see no images.")


async def test_the_token_goes_to_no_other_host_for_an_image(world):
    await world.client.script(SEEN)
    async with world.ratchet() as services:
        services.slack.files._origins = {("https", "files.slack.com")}  # the sandbox is foreign now
        _, answer = await ask(world, "look", ("shot.png", png()))
    assert "`shot.png`: Slack did not give it to me." in answer


@pytest.mark.parametrize(
    ("provider", "model", "setting", "sees"),
    [
        ("openai", "gpt-4.1-mini", "auto", True),
        ("openai", "gpt-4.1-mini", "off", False),
        ("openai", "gpt-3.5-turbo", "auto", False),
        ("openai", "house-model", "auto", False),
        ("openai", "house-model", "on", True),
        ("ollama", "qwen2.5:7b", "auto", False),
        ("ollama", "llava:7b", "auto", True),
    ],
)
async def test_whoever_asks_a_model_that_cannot_see_is_told_and_answered_from_the_words(
    world, provider, model, setting, sees
):
    await world.client.script(SEEN)
    world.sandbox.models.ollama_models.add(model)
    url = world.sandbox.openai_url if provider == "openai" else world.sandbox.ollama_url
    settings = world.settings()
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"images": setting})})
    async with (
        open_services(settings, ModelChoice(provider, model, url, "key"), prepare=False) as services,
        running(services, frozenset({"slack", "worker"})),
    ):
        _, answer = await ask(world, "look", ("shot.png", png()))
        _, words = await ask(world, "look at these words")
    assert words == "I see no images."
    (call, _) = [call for call in await world.client.model_calls() if call["kind"] == "chat"]
    if sees:
        assert answer.startswith("I see image/png")
    else:
        assert answer == f"{images.BLIND}\n\nI see no images."
        assert "do not guess what they show" in str(call["messages"])


async def test_a_deleted_question_takes_the_name_of_its_image_with_it(world):
    await world.client.script(SEEN)
    async with world.ratchet() as services:
        ts, _ = await ask(world, "look", ("unusual-name.png", png()))
        await world.client.delete("ops", ts)
        async with asyncio.timeout(20):
            while await places(services.database, "unusual-name"):
                await asyncio.sleep(0.1)
