"""Versions, votes, and what a viewer is shown of a runbook."""

from dataclasses import replace

import pytest

from storage import messages, runbooks
from storage.access import Viewer
from storage.runbooks import NewRunbook, RunbookLine
from storage.triage import AlertName, audience_of, digest_of, list_names, load_triage, name_of

NAME = AlertName("checkout", "ErrorRateHigh")
PUBLIC, PRIVATE = Viewer.everyone_in("T1", "C1"), Viewer.everyone_in("T1", "G1")


@pytest.fixture
async def conn(database, memory):
    async with database.connection() as opened:
        yield opened


async def incident(memory, *replies, channel="C1", **fields):
    """An alert with replies in its thread; returns the ts of all."""
    options = {"alert": NAME.alert, "service": NAME.service, **fields}
    ts = await memory.say("[FIRING] ErrorRateHigh", channel=channel, bot=True, **options)
    return [ts, *[await memory.say(text, channel=channel, thread_ts=ts) for text in replies]]


async def store(conn, viewer=PUBLIC, name=NAME, texts=None):
    """A version with one step for each message; returns its id."""
    triage = await load_triage(conn, viewer, name)
    lines = [
        RunbookLine("step", texts or message.text, None, message.channel_id, message.ts, "", "", message.posted_at)
        for message in triage
    ]
    return await runbooks.add_version(
        conn,
        "T1",
        NewRunbook(
            service=name.service,
            alert=name.alert,
            audience=audience_of(triage),
            digest=digest_of(triage),
            channels=sorted({message.channel_id for message in triage}),
            messages=len(triage),
            model="m",
            lines=lines,
        ),
    )


async def test_triage_is_what_people_wrote_in_the_alerts_threads_newest_thread_first(conn, memory):
    first, one, two = await incident(memory, "looked at it", "restarted")
    second, three = await incident(memory, "again")
    await memory.say("a bot's remark", thread_ts=second, bot=True)
    await memory.say("asked of Ratchet", thread_ts=second, searchable=False)
    await memory.say("not in a thread")
    await incident(memory, "another service", service="search")
    await incident(memory, "no service", service=None)
    found = await load_triage(conn, PUBLIC, NAME)
    assert [(message.ts, message.thread_ts) for message in found] == [(three, second), (one, first), (two, first)]
    assert [m.ts for m in await load_triage(conn, PUBLIC, NAME, before_ts=second)] == [one, two]
    assert [m.text for m in await load_triage(conn, PUBLIC, replace(NAME, service=""))] == ["no service"]


async def test_of_a_long_thread_the_newest_replies_are_read_and_a_late_one_makes_the_version_outdated(conn, memory):
    old, *_ = await incident(memory, *(f"looked {n}" for n in range(250)))
    await incident(memory, "another")
    await store(conn)
    version = (await runbooks.latest(conn, PUBLIC, NAME)).version
    await memory.say("fixed it by a restart", thread_ts=old)
    found = await load_triage(conn, PUBLIC, NAME)
    assert [m.text for m in found] == ["another", *(f"looked {n}" for n in range(151, 250)), "fixed it by a restart"]
    assert await runbooks.is_outdated(conn, "T1", version)


async def test_later_threads_do_not_make_a_version_outdated_for_an_earlier_one(conn, memory):
    for n in range(4):
        await incident(memory, *(f"looked {n} {m}" for m in range(100)))
    await store(conn)
    version = (await runbooks.latest(conn, PUBLIC, NAME)).version
    ts, _ = await incident(memory, "looking")
    assert not await runbooks.is_outdated(conn, "T1", version, before_ts=ts)
    assert await runbooks.is_outdated(conn, "T1", version)


async def test_a_version_is_stored_once_for_the_same_messages(conn, memory):
    await incident(memory, "restarted")
    first = await store(conn)
    assert await store(conn) == first
    assert not await runbooks.is_outdated(conn, "T1", (await runbooks.latest(conn, PUBLIC, NAME)).version)
    await incident(memory, "scaled")
    assert await runbooks.is_outdated(conn, "T1", (await runbooks.latest(conn, PUBLIC, NAME)).version)
    await store(conn)
    found = await runbooks.latest(conn, PUBLIC, NAME)
    assert (found.version.version, [line.text for line in found.lines]) == (2, ["scaled", "restarted"])


async def test_votes_count_once_a_person_and_a_rejected_version_gives_way_with_its_lines_in_doubt(conn, memory):
    await incident(memory, "restarted")
    first = await store(conn)
    for user, worked in (("U1", True), ("U1", False), ("U2", False), ("U3", True)):
        await runbooks.vote(conn, "T1", str(first), user, worked=worked)
    for nothing in ("", "x", "999999", "1; drop table runbooks", f"{first} "):
        await runbooks.vote(conn, "T1", nothing, "U9", worked=True)
    await runbooks.vote(conn, "T2", str(first), "U9", worked=True)
    version = (await runbooks.latest(conn, PUBLIC, NAME)).version
    assert (version.worked, version.failed, version.rejected) == (1, 2, True)
    assert await store(conn) != first
    found = await runbooks.latest(conn, PUBLIC, NAME)
    assert (found.version.version, found.version.failed, found.lines[0].doubted) == (2, 0, True)
    await incident(memory, "scaled")
    await store(conn)
    found = await runbooks.latest(conn, PUBLIC, NAME)
    assert [(line.text, line.doubted) for line in found.lines] == [("scaled", False), ("restarted", True)]
    await runbooks.vote(conn, "T1", str(found.version.runbook_id), "U1", worked=True)
    await incident(memory, "drained")
    await store(conn)
    found = await runbooks.latest(conn, PUBLIC, NAME)
    assert [line.doubted for line in found.lines] == [False] * 3  # the version with it worked


async def test_a_runbook_with_private_words_is_shown_to_those_who_may_read_them_where_they_may(conn, memory):
    await memory.channel("G1", "private", name="secrets")
    await memory.channel("D1", "im", user_id="U1")
    await memory.channel("D2", "im", user_id="U2")
    await memory.member("U1", "G1")
    await incident(memory, "in public")
    await incident(memory, "in private", channel="G1")
    await store(conn, PUBLIC)
    await store(conn, PRIVATE)

    async def shown(viewer):
        found = await runbooks.latest(conn, viewer, NAME)
        triage = await load_triage(conn, viewer, NAME)
        texts = [line.text for line in found.lines] if found else None
        assert texts is None or sorted(texts) == sorted(message.text for message in triage)
        return texts

    both = ["in private", "in public"]
    assert await shown(PUBLIC) == ["in public"] and await shown(PRIVATE) == both
    assert await shown(Viewer("T1", "U1", "C1")) == ["in public"]
    assert await shown(Viewer("T1", "U1", "G1")) == await shown(Viewer("T1", "U1", "D1")) == both
    assert await shown(Viewer("T1", "U2", "G1")) == await shown(Viewer("T1", "U2", "D2")) == ["in public"]
    assert await shown(Viewer("T2", "U1", "D1")) is None
    await conn.execute("update channels set kind = 'private' where channel_id = 'C1'")  # closed since
    assert await shown(Viewer("T1", "U2", "D2")) is None
    assert {str(name) for name in await list_names(conn, Viewer("T1", "U2", "D2"))} == set()


async def test_a_line_goes_with_the_words_that_it_comes_from(conn, memory):
    _, kept, edited, deleted, purged = await incident(memory, "kept", "edited", "deleted", "purged")
    await store(conn)
    await conn.execute("update messages set attrs = '{}', permalink = 'https://x' where ts = %s", (kept,))
    await conn.execute("update messages set text = 'other' where ts = %s", (edited,))
    await messages.delete(conn, "T1", "C1", deleted)
    await conn.execute("delete from messages where ts = %s", (purged,))
    rows = await (await conn.execute("select text from runbook_lines")).fetchall()
    assert rows == [("kept",)]
    assert [line.text for line in (await runbooks.latest(conn, PUBLIC, NAME)).lines] == ["kept"]


async def test_copies_of_a_service_share_a_runbook(conn, memory):
    for service in ("ingest-0:9102", "ingest-12", "ingest-7d9f8b6c5-x2x4z", "ingest", "ingest:8080"):
        await incident(memory, f"restarted {service}", service=service)
    for service in ("ingest-eu", "ingest-v2", "9102"):
        await incident(memory, "another", service=service)
    found = await load_triage(conn, PUBLIC, AlertName("ingest", NAME.alert))
    assert len(found) == 5 and all("ingest" in message.text for message in found)
    assert await name_of(conn, "ingest-0:9102", "A") == AlertName("ingest", "A")
    assert await name_of(conn, None, "A") == AlertName("", "A")
