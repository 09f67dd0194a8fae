"""Search by words, by vectors and by both: what is found, in which order, and what never is."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from agent.embeddings.indexing import embed_all
from storage import messages, search, vectors
from storage.access import Viewer
from storage.messages import MessageFilter, NewMessage
from storage.vectors import SpaceVector

VIEWER = Viewer("T1", "U1", "C1")


@pytest.fixture
async def conn(memory):
    async with memory.database.connection() as opened:
        yield opened


async def texts(conn, query, *, vector=None, by_words=True, limit=50, **where):
    filter_ = MessageFilter(query=query, **where)
    _, hits = await search.search(conn, VIEWER, filter_, limit=limit, vector=vector, by_words=by_words)
    return [hit.text for hit in hits]


async def embed(memory, model, query):
    """Embed what was said; the vector of a query."""
    space = await embed_all(memory.database, model, lambda done, total: None)
    return SpaceVector(space, await model.embed_query(query))


IDENTIFIERS = {
    "E1234": "the gateway answered E1234, twice",
    "HTTP 503": "checkout returned HTTP 503.",
    "db-3.eu-west-1.internal": "lost (db-3.eu-west-1.internal:5432) for a minute",
    "10.0.3.17": "connection refused: 10.0.3.17:5432",
    "OOMKilled": "container `OOMKilled`, restarted",
    "pod/x-7f9c": "Evicted *pod/x-7f9c*, node pressure",
    "0x7ffdeadbeef": "segfault at 0x7ffdeadbeef;",
    "550e8400-e29b-41d4-a716-446655440000": "request_id=550e8400-e29b-41d4-a716-446655440000 failed",
    "/var/log/syslog.1": "see /var/log/syslog.1!",
    "v1.2.3-rc1": "rolled out v1.2.3-rc1, then back",
    "ERR_CONN_RESET": '{"code":"ERR_CONN_RESET"}',
    "ORA-00060": "ORA-00060: deadlock detected",
    "KubePodCrashLooping": "[FIRING:1] KubePodCrashLooping (gateway)",
    "max_connections": "we raised max_connections=200",
    "ip-10-0-3-18.example.internal": "<https://ip-10-0-3-18.example.internal|node> is not ready",
    "user@example.com": "mail from user@example.com, again",
    "std::bad_alloc": "terminate called: std::bad_alloc.",
    "Überlauf-42": "Störung: »Überlauf-42« im Puffer",
}
ALIKE = [
    "E1235 E12 1234", "HTTP 500 from checkout", "db-4.eu-west-1.internal", "10.0.3.18 and 10.0.17.3", "killed it",
    "pod/x-8a01", "0x7ffdeadbee0", "550e8400-e29b-41d4-a716-446655440001", "/var/log/syslog.2", "v1.2.4-rc1 v1.2.3",
    "ERR_CONN_CLOSED", "ORA-00061", "KubePodNotReady", "max_wal connections", "ip-10-0-3-19.example.internal",
    "other@example.com", "std::runtime_error", "Überlauf-43",
]  # fmt: skip


@pytest.mark.parametrize("counted", [False, True])
async def test_an_identifier_finds_its_message_before_all_that_resemble_it(memory, conn, counted):
    for text in [*IDENTIFIERS.values(), *ALIKE]:
        await memory.say(text)
    if counted:
        assert await search.refresh_counts(conn)
    for query, text in IDENTIFIERS.items():
        for asked in (query, query.lower(), f"`{query}`", f"({query}),"):
            assert (await texts(conn, asked))[0] == text, asked


async def test_an_identifier_stays_first_where_vectors_are_near_to_others(memory, conn, concepts):
    model = concepts()
    await memory.say("latency-7f9c was here")
    for number in range(60):
        await memory.say(f"slow again, latency {number}")
    vector = await embed(memory, model, "latency-7f9c")
    assert (await texts(conn, "latency-7f9c", vector=vector))[0] == "latency-7f9c was here"


async def test_parts_and_other_forms_of_a_word_find_it_too(memory, conn):
    await memory.say("KubePodCrashLooping on gateway")
    await memory.say("max_connections was raised on db-3.eu-west-1.internal:5432")
    await memory.say("lunch is at noon")
    first, second = "KubePodCrashLooping on gateway", "max_connections was raised on db-3.eu-west-1.internal:5432"
    for query in ("crash loop", "crashes", "kubepodcrashlooping"):
        assert await texts(conn, query) == [first]
    for query in ("how do we raise the connection limit?", "db-3", "5432", "db-3.eu-west-1.internal"):
        assert await texts(conn, query) == [second]


async def test_a_rare_word_weighs_more_than_common_ones(memory, conn):
    for number in range(30):
        await memory.say(f"the deploy of checkout is done {number}")
    await memory.say("vault is sealed")
    await search.refresh_counts(conn)
    assert (await texts(conn, "is the deploy of vault done"))[0] == "vault is sealed"


async def test_of_equal_messages_the_newest_comes_first(memory, conn):
    for minutes in (3, 1, 2):
        await memory.say("disk full", at=datetime.now(UTC) - timedelta(minutes=minutes), thread_ts=str(minutes))
    _, hits = await search.search(conn, VIEWER, MessageFilter(query="disk full"), limit=5)
    assert [hit.thread_ts for hit in hits] == ["1", "2", "3"]


async def test_where_every_word_is_common_those_with_several_of_them_are_ranked(memory, conn, monkeypatch):
    monkeypatch.setattr(search, "RARE", 5)
    monkeypatch.setattr(search, "COMMON", 3)
    for _ in range(10):
        await memory.say("checkout")
        await memory.say("timeout")
    await memory.say("checkout timeout", at=datetime.now(UTC) - timedelta(days=9))
    await search.refresh_counts(conn)
    assert await texts(conn, "checkout timeout") == ["checkout timeout"]
    total, hits = await search.search(conn, VIEWER, MessageFilter(query="checkout"), limit=50)
    assert total == len(hits) == 3


async def test_words_are_counted_again_when_there_are_more_messages_or_a_day_has_passed(memory, conn):
    for _ in range(20):
        await memory.say("disk full")
    assert await search.refresh_counts(conn, grown=0.1, days=1)
    await memory.say("disk full")
    assert not await search.refresh_counts(conn, grown=0.1, days=1)
    await memory.say("disk full")
    await memory.say("disk full")
    assert await search.refresh_counts(conn, grown=0.1, days=1)
    assert not await search.refresh_counts(conn, grown=0.1, days=1)
    await conn.execute("update lexeme_totals set refreshed_at = now() - interval '25 hours'")
    assert await search.refresh_counts(conn, grown=0.1, days=1)
    rows = await (await conn.execute("select lexeme, messages from lexeme_counts order by 1")).fetchall()
    assert rows == [("disk", 23), ("full", 23)]


async def test_words_that_several_processes_count_at_once_are_counted_once(memory):
    await memory.say("disk full")

    async def count():
        async with memory.database.connection() as conn:
            await search.refresh_counts(conn)

    await asyncio.gather(*(count() for _ in range(5)))


async def test_meaning_is_found_without_a_common_word_and_both_together_are_best(memory, conn, concepts):
    for text in ("postgres is down", "the replica again: slow", "payments are fine", "lunch?"):
        await memory.say(text)
    vector = await embed(memory, concepts(), "sluggish database")
    assert await texts(conn, "sluggish database") == []
    assert (await texts(conn, "sluggish database", vector=vector, limit=2)) == [
        "the replica again: slow",
        "postgres is down",
    ]
    assert (await texts(conn, "sluggish database: lunch?", vector=vector, limit=1)) != ["payments are fine"]
    total, hits = await search.search(conn, VIEWER, MessageFilter(query="sluggish"), limit=1, vector=vector)
    assert (total, len(hits)) == (0, 1)


FILTERS = [
    {"channel_id": "C2"},
    {"author": "human"},
    {"author": "bot"},
    {"alerts": "only"},
    {"alerts": "none"},
    {"since": datetime(2024, 5, 17, tzinfo=UTC)},
    {"until": datetime(2024, 5, 17, tzinfo=UTC)},
    {"since": datetime(2024, 5, 16, tzinfo=UTC), "until": datetime(2024, 5, 18, tzinfo=UTC), "author": "bot"},
]


@pytest.mark.parametrize("one_by_one", [True, False])
@pytest.mark.parametrize("where", FILTERS, ids=str)
async def test_filters_narrow_every_way_of_searching(memory, conn, concepts, monkeypatch, where, one_by_one):
    monkeypatch.setattr(search, "EXACT_ROWS", 1000 if one_by_one else 0)
    await memory.channel("C2")
    for day in range(14, 20):
        for channel in ("C1", "C2"):
            for kind in ("human", "bot", "alert"):
                fields = {"alert": "DiskFull", "alert_action": "open_incident"} if kind == "alert" else {}
                at = datetime(2024, 5, day, 12, tzinfo=UTC)
                await memory.say(f"slow {channel} {day} {kind}", channel=channel, at=at, bot=kind != "human", **fields)
    vector = await embed(memory, concepts(), "slow")

    def expected(text):
        _, channel, day, kind = text.split()
        at = datetime(2024, 5, int(day), 12, tzinfo=UTC)
        return (
            where.get("channel_id", channel) == channel
            and where.get("author", "any") in {"any", "human" if kind == "human" else "bot"}
            and where.get("alerts", "any") in {"any", "only" if kind == "alert" else "none"}
            and where.get("since", at) <= at
            and (not where.get("until") or at < where["until"])
        )

    everything = set(await texts(conn, "slow"))
    right = {text for text in everything if expected(text)}
    assert len(everything) == 36 and 0 < len(right) < 36
    for ways in ({}, {"vector": vector}, {"vector": vector, "by_words": False}):
        assert set(await texts(conn, "slow", **ways, **where)) == right, ways


async def test_the_index_goes_on_until_enough_messages_may_be_seen(memory, conn, concepts, monkeypatch):
    monkeypatch.setattr(search, "EXACT_ROWS", 0)
    monkeypatch.setattr(search, "EF_SEARCH", 10)
    await memory.channel("G1", "private")
    for number in range(150):
        await memory.say(f"slow database {number}", channel="G1")
    for number in range(15):
        await memory.say(f"slow {number}")
    vector = await embed(memory, concepts(), "slow database")
    found = await texts(conn, "slow database", vector=vector, by_words=False, limit=10)
    assert len(found) == 10 and not any("database" in text for text in found)


async def test_an_edited_message_is_found_by_its_new_meaning_only_and_a_deleted_one_not_at_all(memory, conn, concepts):
    model = concepts()
    ts = await memory.say("the database is gone")
    vector = await embed(memory, model, "postgres")
    ways = {"vector": vector, "by_words": False}
    assert await texts(conn, "postgres", **ways) == ["the database is gone"]
    edit = NewMessage("T1", "C1", ts, None, "U1", None, "U1", False, "payments are slow", edited_ts="1900000000.0")
    await messages.apply_edit(conn, edit)
    assert await texts(conn, "postgres", **ways) == []
    await embed(memory, model, "postgres")
    assert await texts(conn, "postgres", **ways) == ["payments are slow"]
    await messages.delete(conn, "T1", "C1", ts)
    assert await vectors.count_waiting(conn) == 0
    assert (await (await conn.execute("select count(*) from message_embeddings")).fetchone()) == (0,)


def test_fusion_adds_reciprocal_ranks_and_prefers_the_newer():
    a, b, c, d = (("C1", f"{number}.0") for number in range(4))
    assert search.fuse([[a, b], [b, c]]) == [b, a, c]
    assert search.fuse([[a], [d]]) == [d, a]
    assert search.fuse([]) == []


async def test_a_query_of_any_length_is_answered(memory):
    await memory.say("the disk is full")
    async with memory.database.connection() as conn:
        for query in ("disk " + " ".join(f"a{number}b" for number in range(180_000)), "disk " + "x" * 1_200_000):
            total, found = await search.search(conn, VIEWER, MessageFilter(query=query), limit=5)
            assert total == len(found) <= 1  # of very many words only the rarest count
