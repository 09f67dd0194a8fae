"""Who may read what. Every read that takes a viewer is held to the same table."""

from datetime import UTC, datetime, timedelta

import pytest

from storage import alerts, channels, messages, runbooks, search, usage, vectors
from storage.access import EVERYONE, HIDDEN, Viewer
from storage.messages import MessageFilter
from storage.triage import AlertName, earlier_threads, list_names, load_triage
from storage.vectors import SpaceVector

LONG_AGO, SOON = datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)
THREAD = "1700000000.000001"
EVERY = {"CPUB", "GPRIV", "GOTHER", "GMULTI", "DM1", "DM2"}
ALL = EVERY | {"COPEN"}


async def by_search(conn, viewer):
    total, hits = await search.search(conn, viewer, MessageFilter(query="incident"), limit=50)
    assert total == len(hits)
    return {hit.channel_id for hit in hits}


async def by_browsing(conn, viewer):
    return {hit.channel_id for hit in (await search.search(conn, viewer, MessageFilter(), limit=50))[1]}


async def by_vector(conn, viewer):
    return await _by_vector(conn, viewer, by_words=False)


async def by_the_vector_index(conn, viewer):
    kept, search.EXACT_ROWS = search.EXACT_ROWS, 0
    try:
        return await _by_vector(conn, viewer, by_words=False)
    finally:
        search.EXACT_ROWS = kept


async def by_words_and_vector(conn, viewer):
    return await _by_vector(conn, viewer)


async def _by_vector(conn, viewer, **ways):
    space = await vectors.find_space(conn, "one/2")
    where = MessageFilter(query="incident")
    _, hits = await search.search(conn, viewer, where, limit=50, vector=SpaceVector(space, [1.0, 0.0]), **ways)
    return {hit.channel_id for hit in hits}


async def by_one_channel(conn, viewer):
    return {
        channel
        for channel in ALL
        if (await search.search(conn, viewer, MessageFilter(channel_id=channel), limit=50))[0]
    }


async def by_alerts(conn, viewer):
    rows = await alerts.count_alerts(conn, viewer, MessageFilter(), limit=50)
    return {row.alert for row in rows}


async def by_thread(conn, viewer):
    return {channel for channel in ALL if await messages.read_thread(conn, viewer, channel, THREAD, limit=5)}


async def by_list(conn, viewer):
    return {row.channel_id for row in await channels.list_visible(conn, viewer)}


async def by_id(conn, viewer):
    return {channel for channel in ALL if await channels.find_visible(conn, viewer, channel)}


async def by_name(conn, viewer):
    return {channel for channel in ALL if await channels.find_visible(conn, viewer, f"#{channel.lower()}")}


async def by_usage(conn, viewer):
    return {row.channel_id for row in await usage.sum_channels(conn, viewer, LONG_AGO, SOON)}


async def by_triage(conn, viewer):
    """What people wrote below an alert; the alert of each channel bears the channel's name."""
    return {
        message.channel_id for channel in ALL for message in await load_triage(conn, viewer, AlertName("", channel))
    }


async def by_runbook(conn, viewer):
    """Runbooks whose only line stands in the channel that the alert bears the name of."""
    found = [await runbooks.latest(conn, viewer, AlertName("", channel)) for channel in ALL]
    return {line.channel_id for runbook in found if runbook for line in runbook.lines}


async def by_alert_names(conn, viewer):
    return {name.alert for name in await list_names(conn, viewer)}


async def by_earlier_threads(conn, viewer):
    return {
        thread.channel_id
        for channel in ALL
        for thread in await earlier_threads(conn, viewer, AlertName("", channel), before_ts="1800000000.0", limit=9)
    }


READS = [
    by_search,
    by_browsing,
    by_vector,
    by_the_vector_index,
    by_words_and_vector,
    by_one_channel,
    by_alerts,
    by_thread,
    by_list,
    by_id,
    by_name,
    by_usage,
    by_triage,
    by_runbook,
    by_alert_names,
    by_earlier_threads,
]

RUNBOOK = """
    with runbook as (
             insert into runbooks (team_id, alert, version, digest, channels, messages, model)
             values ('T1', %(channel)s, 1, '', array[%(channel)s], 1, '') returning runbook_id)
    insert into runbook_lines (runbook_id, position, section, text, team_id, channel_id, ts)
    select runbook_id, 0, 'step', 'restarted', 'T1', %(channel)s, %(ts)s from runbook"""


@pytest.fixture
async def conn(database, memory):
    """U1 is in GPRIV and GMULTI, U2 nowhere, U3 was in GPRIV 61 s ago; DM1 is U1's and DM2 is U2's."""
    async with database.connection() as opened:
        await opened.execute("delete from channels")
        for channel, kind, user in (
            ("CPUB", "public", None),
            ("GPRIV", "private", None),
            ("GOTHER", "private", None),
            ("GMULTI", "mpim", None),
            ("DM1", "im", "U1"),
            ("DM2", "im", "U2"),
        ):
            await memory.channel(channel, kind, user_id=user)
            await memory.say("incident", channel=channel, ts=THREAD, bot=True, alert=channel)
            reply = await memory.say("restarted", channel=channel, thread_ts=THREAD)
            await opened.execute(RUNBOOK, {"channel": channel, "ts": reply})
        await opened.execute(
            "insert into channels (team_id, channel_id, name, kind) values ('T2', 'CPUB2', 'cpub2', 'public')"
        )
        space = await vectors.open_space(opened, "one/2", 2)
        waiting = await vectors.claim(opened, space, limit=50)
        assert await vectors.store(opened, space, [(message, [1.0, 0.0]) for message in waiting]) == 2 * len(EVERY)
        for user, channel, age in (("U1", "GPRIV", 0), ("U1", "GMULTI", 50), ("U3", "GPRIV", 61)):
            await memory.member(user, channel, seconds_ago=age)
        yield opened


SEES = {  # (who, asked in): what
    ("U1", "CPUB"): {"CPUB"},  # not from a public channel, member or not
    ("U1", "GPRIV"): {"CPUB", "GPRIV"},
    ("U1", "GMULTI"): {"CPUB", "GMULTI"},
    ("U1", "DM1"): {"CPUB", "GPRIV", "GMULTI", "DM1"},
    ("U1", "DM2"): {"CPUB"},  # another person's DM
    ("U1", "GOTHER"): {"CPUB"},  # asked where the requester is no member
    ("U1", "CNEW"): set(),  # nothing is known of who reads there
    ("U2", "GPRIV"): {"CPUB"},
    ("U2", "DM2"): {"CPUB", "DM2"},
    ("U3", "GPRIV"): {"CPUB"},  # the membership is stale
    ("U3", "DM1"): {"CPUB"},
    ("", "DM1"): {"CPUB"},
    ("", "GPRIV"): {"CPUB"},
    (EVERYONE, "CPUB"): {"CPUB"},  # what is posted unasked
    (EVERYONE, "GPRIV"): {"CPUB", "GPRIV"},
    (EVERYONE, "DM1"): {"CPUB"},
}


@pytest.mark.parametrize("read", READS)
async def test_a_viewer_sees_what_the_rule_allows_and_nothing_else(conn, read):
    seen = {(user, place): await read(conn, Viewer("T1", user, place)) for user, place in SEES}
    assert seen == SEES


SHARED = {  # (who, asked in, the policy's audience): what, where other organizations read CPUB and GPRIV
    ("U1", "CPUB", "auto"): {"CPUB"},
    ("U1", "CPUB", "workspace"): {"CPUB", "COPEN"},
    ("U1", "CPUB", "channel"): {"CPUB"},
    ("U1", "GPRIV", "auto"): {"GPRIV"},
    ("U1", "GPRIV", "workspace"): {"GPRIV", "CPUB", "COPEN"},
    ("U1", "COPEN", "auto"): {"CPUB", "COPEN"},
    ("U1", "COPEN", "channel"): {"COPEN"},
    ("U1", "CNEW", "auto"): set(),
    ("U1", "CNEW", "workspace"): {"CPUB", "COPEN"},
    ("U1", "DM1", "channel"): {"CPUB", "COPEN", "GPRIV", "GMULTI", "DM1"},  # nobody else reads it
    (EVERYONE, "CPUB", "auto"): {"CPUB"},
    (EVERYONE, "GPRIV", "auto"): {"GPRIV"},
    (EVERYONE, "GPRIV", "workspace"): {"GPRIV", "CPUB", "COPEN"},
    ("", "CPUB", "auto"): {"CPUB"},
}


@pytest.mark.parametrize("read", READS)
async def test_where_other_organizations_read_along_only_the_channel_itself_is_seen(conn, memory, read):
    await share(conn, memory)
    seen = {key: await read(conn, Viewer("T1", key[0], key[1], audience=key[2])) for key in SHARED}
    assert seen == SHARED


async def share(conn, memory):
    """Another public channel, COPEN; CPUB and GPRIV are shared."""
    await memory.channel("COPEN")
    await memory.say("incident", channel="COPEN", ts=THREAD, bot=True, alert="COPEN")
    reply = await memory.say("restarted", channel="COPEN", thread_ts=THREAD)
    await conn.execute(RUNBOOK, {"channel": "COPEN", "ts": reply})
    space = await vectors.open_space(conn, "one/2", 2)
    waiting = await vectors.claim(conn, space, limit=50)
    await vectors.store(conn, space, [(message, [1.0, 0.0]) for message in waiting])
    await channels.mark_shared(conn, "T1", ["CPUB", "GPRIV"])


OUTSIDERS = {  # (a guest who is in COPEN and GPRIV, asked in): what
    ("G1", "COPEN"): {"COPEN"},
    ("G1", "CPUB"): {"CPUB", "COPEN"},  # whoever asks there reads it
    ("G1", "GPRIV"): {"GPRIV", "COPEN"},
    ("G1", "DMG"): {"COPEN", "GPRIV"},
    ("G2", "DMG"): set(),
    ("G2", ""): set(),
}


@pytest.mark.parametrize("read", READS)
async def test_a_guest_sees_only_the_channels_that_they_are_in(conn, memory, read):
    await share(conn, memory)
    await conn.execute("update channels set shared = false")
    await memory.channel("DMG", "im", user_id="G1")
    for channel in ("COPEN", "GPRIV"):
        await memory.member("G1", channel)
    seen = {key: await read(conn, Viewer("T1", *key, outsider=True)) for key in OUTSIDERS}
    assert {key: found - {"DMG"} for key, found in seen.items()} == OUTSIDERS


async def test_what_is_hidden_here_is_what_the_requester_would_see_in_their_dm(conn, memory):
    await share(conn, memory)

    async def hidden(*viewer, **more):
        cur = await conn.execute(
            f"select c.channel_id from channels c where {HIDDEN}", Viewer("T1", *viewer, **more).params()
        )
        return {channel_id for (channel_id,) in await cur.fetchall()}

    assert await hidden("U1", "COPEN") == {"GPRIV", "GMULTI"}
    assert await hidden("U1", "GPRIV") == {"CPUB", "COPEN", "GMULTI"}
    assert await hidden("U1", "CPUB", audience="workspace") == {"GPRIV", "GMULTI"}
    assert await hidden("U1", "DM1") == set()
    assert await hidden("U2", "COPEN") == set() == await hidden("U3", "COPEN")
    assert await hidden("U2", "CPUB") == {"COPEN"}
    assert await hidden("U1", "CPUB", outsider=True) == {"GPRIV", "GMULTI"}
    assert await hidden(EVERYONE, "CPUB", audience="workspace") == set()


async def test_nothing_of_another_workspace_is_seen(conn):
    for read in READS:
        assert await read(conn, Viewer("T2", "U1", "DM1")) <= {"CPUB2"}, read


async def test_a_right_ends_when_someone_leaves_and_comes_with_a_refresh(conn):
    async def readers():
        return [read for read in READS if "GPRIV" in await read(conn, Viewer("T1", "U1", "GPRIV"))]

    assert await readers() == READS
    await channels.remove_membership(conn, "T1", "U1", "GPRIV")
    assert await readers() == []
    await channels.replace_memberships(conn, "T1", "U1", ["GPRIV"])
    assert await readers() == READS
    await channels.replace_memberships(conn, "T1", "U1", [])
    assert await readers() == []


async def test_a_refresh_makes_a_stale_membership_fresh(conn):
    await channels.replace_memberships(conn, "T1", "U3", ["GPRIV"])
    assert await by_search(conn, Viewer("T1", "U3", "GPRIV")) == {"CPUB", "GPRIV"}
