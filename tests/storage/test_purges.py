"""What rests on a message loses its words, in every table and through every step of the way there."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import uuid4

from storage import alerts, conversations, holdings, leases, messages, posts, purges, reports, runbooks, search, sources
from storage.messages import NewAlert, NewMessage
from storage.purges import MessageKey
from storage.runbooks import NewRunbook, RunbookLine
from storage.sources import Source
from tests.dumps import places

CANARY = "canary7f9cq"


async def purge(database, *keys, reason="deleted"):
    async with database.connection() as conn:
        await purges.ask(conn, [MessageKey("T1", channel, ts) for channel, ts in keys], reason)
    return await purges.run(database)


async def answers(database):
    async with database.connection() as conn:
        return dict(await (await conn.execute("select turn_id, answer from turns")).fetchall())


async def test_a_turn_that_was_shown_a_message_keeps_its_question_and_a_note(database, memory, turn):
    one = await turn(shown=[("C1", "50.000001")], posted="101.000001", answer=CANARY)
    other = await turn("200.000001", answer="nothing")
    done = await purge(database, ("C1", "50.000001"))
    assert (done.turns, done.left) == (1, 0)
    assert await places(database, CANARY) == {}
    note = purges.NOTES["deleted"]
    assert await answers(database) == {one: note, other: "nothing"}
    async with database.connection() as conn:
        kept = await conversations.list_messages(conn, "T1:C1:100.000001", after_seq=0)
        left = await (await conn.execute("select count(*) from purges")).fetchone()
    assert [row.message["data"]["content"] for row in kept] == ["why?", note] and left == (0,)


async def test_later_turns_of_the_thread_had_it_in_their_history_and_earlier_ones_had_not(database, memory, turn):
    before = await turn(ts="100.000002", answer="early")
    await turn(ts="100.000003", shown=[("C2", "50.000001")], answer=CANARY)
    await turn(ts="100.000004", answer=CANARY)
    await purge(database, ("C2", "50.000001"))
    assert await places(database, CANARY) == {}
    assert (await answers(database))[before] == "early"


async def test_turns_that_read_an_answer_that_rested_on_it_lose_it_too_however_far(database, memory, turn):
    shown = ("C1", "50.000001")
    for number in range(1, 5):
        post = f"{number}01.000001"
        await turn(f"{number}00.000001", shown=[shown], posted=post, answer=CANARY)
        await memory.say(CANARY, ts=post, bot=True, searchable=False)
        shown = ("C1", post)
    assert (await purge(database, ("C1", "50.000001"))).turns == 4
    assert await places(database, CANARY) == {}


async def test_a_turn_that_runs_loses_it_when_it_is_over(database, memory, turn):
    running = await turn(shown=[("C1", "50.000001")], over=False)
    assert (await purge(database, ("C1", "50.000001"))).left
    await turn.finish(running, CANARY, "101.000001")
    following = await turn(ts="100.000004", over=False)  # it began with what the first one left in its history
    assert (await purges.run(database)).left
    await turn.finish(following, CANARY)
    assert (await purges.run(database)).left == 0
    assert await places(database, CANARY) == {}


async def test_what_a_running_turn_has_not_said_yet_is_waited_for(database, memory, turn):
    running = await turn(over=False)
    assert (await purge(database, ("C1", "50.000001"))).left
    async with database.connection() as conn:
        await sources.record(conn, [Source(running, "T1", "C1", "50.000001")])
    await turn.finish(running, CANARY, "101.000001")
    assert (await purges.run(database)).left == 0
    assert await places(database, CANARY) == {}


async def test_a_turn_that_began_after_an_edit_saw_the_new_words_and_keeps_them(database, memory, turn):
    await turn(over=False)
    await purge(database, ("C1", "50.000001"), reason="edited")
    new = await turn("200.000001", shown=[("C1", "50.000001")], answer="new words", posted="201.000001")
    await purges.run(database)
    assert (await answers(database))[new] == "new words"


async def test_no_turn_of_a_thread_begins_while_it_is_purged(database, memory, turn):
    await turn(shown=[("C1", "50.000001")], posted="101.000001", answer=CANARY)
    async with database.connection() as conn, database.connection() as other:
        await purges.ask(conn, [MessageKey("T1", "C1", "50.000001")], "deleted")
        async with conn.transaction():
            await conn.execute("update purges set begun_at = now()")
            await purges._hold_tainted(conn)
            taking = asyncio.create_task(leases.take(other, "T1:C1:100.000001"))
            assert not (await asyncio.wait([taking], timeout=0.2))[0]
        await taking


async def test_purging_twice_changes_nothing_the_second_time(database, memory, turn):
    await turn(shown=[("C1", "50.000001")], posted="101.000001", answer=CANARY)
    assert (await purge(database, ("C1", "50.000001"))).turns == 1
    assert (await purge(database, ("C1", "50.000001"))).turns == 0


async def test_a_summary_that_covered_it_is_dropped(database, memory, turn):
    await turn(shown=[("C1", "50.000001")], posted="101.000001", answer=CANARY)
    async with database.connection() as conn:
        lease = await leases.take(conn, "T1:C1:100.000001")
        await conversations.set_summary(conn, lease, f"all about {CANARY}", 4)
    await purge(database, ("C1", "50.000001"))
    async with database.connection() as conn:
        kept = await conversations.get(conn, "T1:C1:100.000001")
    assert (kept.summary, kept.summarised_upto, kept.seen_upto_ts) == ("", 0, "0")


async def test_a_late_delivery_of_an_own_post_does_not_bring_the_words_back(database, memory, turn):
    ts = f"{time.time():.6f}"
    await turn(shown=[("C1", "50.000001")], posted=ts, answer=CANARY)
    await purge(database, ("C1", "50.000001"))
    await memory.say(CANARY, ts=ts, bot=True, searchable=False)
    assert await places(database, CANARY) == {}


async def test_every_table_is_known_to_hold_words_or_none(database):
    async with database.connection() as conn:
        cur = await conn.execute(
            """select table_name from information_schema.tables
               where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')"""
        )
        tables = {name for (name,) in await cur.fetchall()}
        of_messages = {table.as_string().strip('"') for table in await holdings.of_messages(conn)}
    assert tables - holdings.WORDS - holdings.NO_WORDS - holdings.OWN_WAY - of_messages == set()
    assert not holdings.WORDS & holdings.NO_WORDS and "message_steps" in of_messages


async def test_rows_of_any_table_that_belong_to_a_message_go_with_it(database, memory):
    async with database.connection() as conn:
        await conn.execute("create table drawings (team_id text, channel_id text, ts text, drawn text)")
        await conn.execute(
            "insert into drawings values ('T1', 'C1', '50.000001', %s), ('T1', 'C1', '51.0', 'x')", (CANARY,)
        )
        await messages.delete(conn, "T1", "C1", "50.000001")
    await purge(database, ("C1", "50.000001"))
    async with database.connection() as conn:
        assert await (await conn.execute("select drawn from drawings")).fetchall() == [("x",)]


async def test_words_that_no_message_holds_any_more_are_not_counted_any_more(database, memory):
    said = [await memory.say(f"the {CANARY} rotated disk") for _ in range(4)]
    for _ in range(3):
        await memory.say("rotated disk")
    async with database.connection() as conn:
        await search.refresh_counts(conn)
        await messages.delete(conn, "T1", "C1", said[0])
        edit = NewMessage("T1", "C1", said[1], None, "U1", None, "one", False, "the disk", edited_ts="9999999999")
        await messages.apply_edit(conn, edit)
        await conn.execute("delete from messages where ts = any(%s)", (said[2:],))
    await purges.run(database)
    assert await places(database, CANARY) == {}
    async with database.connection() as conn:
        rows = await (await conn.execute("select lexeme, messages from lexeme_counts order by 1")).fetchall()
    assert rows == [("disk", 4), ("rotat", 3)]


async def test_a_post_that_links_to_a_message_rests_on_it_whoever_wrote_it(database, memory):
    turn_id = uuid4()
    async with database.connection() as conn:
        await reports.open_turn(conn, turn_id, "T1", "C1", CANARY)
        text = f"<https://acme.slack.com/archives/C2/p50000001|{CANARY}>"
        post = await posts.insert(
            conn, turn_id=turn_id, part=0, channel_id="C1", thread_ts=None, text=text, module="report",
            blocks=[{"type": "section", "text": {"type": "mrkdwn", "text": CANARY}}],
        )  # fmt: skip
        await posts.set_posted(conn, post, "60.000001")
    await purge(database, ("C2", "50.000001"))
    assert await places(database, CANARY) == {}


async def test_a_runbook_goes_with_the_last_alert_of_its_name(database, memory):
    alert = NewAlert("f1", "open_incident", CANARY, None, None, None, "test", 1.0)
    for ts in ("50.000001", "51.000001"):
        async with database.connection() as conn:
            message = NewMessage("T1", "C1", ts, None, None, "B1", "monitor", True, CANARY, alerts=(alert,))
            await alerts.insert_all(conn, [message], await messages.insert_new(conn, [message]))
    line = RunbookLine("step", CANARY, None, "C1", "50.000001", "", "", datetime.now(UTC))
    async with database.connection() as conn:
        await runbooks.add_version(conn, "T1", NewRunbook("", CANARY, "", "d", ["C1"], 1, "m", [line]))
    for ts, left in (("50.000001", {"runbooks.alert": 1}), ("51.000001", {})):
        async with database.connection() as conn:
            await messages.delete(conn, "T1", "C1", ts)
        await purges.run(database)
        found = await places(database, CANARY)
        assert {place: n for place, n in found.items() if place.startswith("runbook")} == left
    assert found == {}


async def test_a_turn_that_begins_in_the_middle_of_its_questions_purge_is_purged_when_it_is_over(database, turn):
    """The worker begins the turn once the purge has begun: what was asked must still be known when the turn ends."""
    asked = await turn(question=CANARY, over=False)
    async with database.connection() as conn:
        await conn.execute("update turns set status = 'queued', started_at = null")
        await conn.execute(
            """create function begin_turn() returns trigger language plpgsql as $$ begin
                   update turns set status = 'running', started_at = clock_timestamp() where status = 'queued';
                   return null;
               end $$"""
        )
        await conn.execute(
            "create trigger begin_turn after update of begun_at on purges for each row execute function begin_turn()"
        )
    assert (await purge(database, ("C1", "100.000001"))).left
    await turn.finish(asked, CANARY, "101.000001")
    assert (await purges.run(database)).left == 0
    assert await places(database, CANARY) == {}
