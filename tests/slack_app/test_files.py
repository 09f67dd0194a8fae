"""The beginnings of text files: fetched from Slack only, bounded, and never in the way of anything."""

import aiohttp
import pytest

from slack_app.files import BEGINNING, FileReader
from slack_app.payloads import parse_message
from slack_app.remember import remember


@pytest.fixture
async def reader(sandbox, database):
    async with aiohttp.ClientSession() as session:
        yield FileReader(session, database, token=sandbox.bot_token, api_url=sandbox.slack_api_url)


@pytest.fixture
def shared(people, sandbox, channel, database, identity, memory):
    """Shares a file in #ops and stores its message; returns what its job is given."""

    async def share(name, content, **changed):
        ts = await people.say("ops", "see", user="oncall-a", files=[(name, content)], silent=True)
        [raw] = [message for message in await people.messages("ops") if message["ts"] == ts]
        raw["files"][0] |= changed
        message = parse_message("T1", raw, "C1", "channel")
        async with database.connection() as conn, conn.transaction():
            await remember(conn, identity, [message])
        [file] = message.files
        assert file.is_unread
        return {
            "team_id": "T1", "channel_id": "C1", "ts": ts,
            "file_id": file.file_id, "name": file.name, "mimetype": file.mimetype, "url": file.url,
        }  # fmt: skip

    return share


TEXT = "select text from messages"


async def test_the_beginning_of_a_text_is_part_of_its_message_once(reader, shared, rows):
    job = await shared("runbook.md", b"# Restart\nkubectl rollout restart deploy/api\n")
    assert await reader.read(**job)
    assert not await reader.read(**job)
    assert await rows(TEXT) == [
        ("see\n[file: runbook.md (text/markdown)]\n# Restart\nkubectl rollout restart deploy/api",)
    ]


async def test_of_a_long_text_only_whole_lines_of_its_beginning_are_kept(reader, shared, rows):
    await reader.read(**await shared("log.txt", b"0123456789 is a line\n" * 5000))
    [(text,)] = await rows(TEXT)
    assert BEGINNING - 100 < len(text) < BEGINNING + 100 and text.endswith("0123456789 is a line")


async def test_bytes_that_are_no_text_do_no_harm(reader, shared, rows):
    await reader.read(**await shared("odd.txt", b"good \xff\xfe\x00 bad"))
    [(text,)] = await rows(TEXT)
    assert "good" in text and "bad" in text


@pytest.mark.parametrize(
    "url",
    [
        "https://files.slack.com.evil.example/files/F1/a.txt",
        "http://127.0.0.1:9/files/F1/a.txt",
        "https://files.slack.com@evil.example/a.txt",
        "file:///etc/passwd",
        "http://[broken",
    ],
)
async def test_the_token_goes_to_no_other_host(reader, shared, rows, url):
    job = await shared("a.txt", b"text")
    assert not await reader.read(**{**job, "url": url})  # 127.0.0.1:9 would refuse the connection
    assert await rows(TEXT) == [("see\n[file: a.txt (text/plain)]",)]


def test_slack_itself_serves_its_files_from_a_host_of_their_own():
    reader = FileReader(None, None, token="xoxb-1", api_url="https://slack.com/api/")
    assert ("https", "files.slack.com") in reader._origins and ("http", "files.slack.com") not in reader._origins


async def test_slacks_sign_in_page_is_not_taken_for_the_file(shared, database, sandbox, rows):
    job = await shared("a.txt", b"text")
    async with aiohttp.ClientSession() as session:
        stranger = FileReader(session, database, token="xoxb-wrong", api_url=sandbox.slack_api_url)
        assert not await stranger.read(**job)
    assert await rows(TEXT) == [("see\n[file: a.txt (text/plain)]",)]


async def test_the_text_of_a_file_whose_message_is_gone_is_not_kept(reader, shared, database, rows):
    from storage import messages

    job = await shared("a.txt", b"the canary")
    async with database.connection() as conn:
        await messages.delete(conn, "T1", "C1", job["ts"])
    assert not await reader.read(**job)
    assert await rows(TEXT) == [("",)]
