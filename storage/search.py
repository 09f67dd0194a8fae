"""Finds messages: by their words (BM25), by the vector of their meaning (cosine), or by both, fused by rank.

The access rule stands in every statement that chooses or counts rows; nothing is filtered afterwards.

BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009) over ``messages.search``. ``ts_rank`` of
one lexeme that occurs n times is (1 + 1/4 + … + 1/n²) / 1.645, a curve that saturates as tf / (tf + 0.645) does; it is
computed in C and turned into BM25's own curve here. How many messages hold a lexeme comes from ``lexeme_counts``.
Reciprocal rank fusion: Cormack, Clarke and Büttcher, 2009.
"""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg.rows import class_row

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection, Row
from storage.messages import FROM, HIT, MessageFilter, StoredMessage
from storage.vectors import SpaceVector, literal

K1, B = 1.2, 0.75
RANK_K1 = 0.645  # the curve of ts_rank
MOST_WORDS = 24  # the rarest words of a query; the others change no order
RARE = 3000  # as long as no more messages hold a query's rare words, all of them are ranked
COMMON = 1000  # where every word is common, so many of the newest messages are ranked
DEPTH = 40  # ranks of each list that are fused
FUSION_K = 60
LONGEST_QUERY = 2000  # characters that are looked at
EXACT_ROWS = 6000  # up to so many messages are compared one by one, which is exact, rather than by the index
EF_SEARCH = 64
SAMPLE = 200_000  # newest messages whose words are counted

# What of a query is an identifier: composed as in search_vector, or with a digit among letters, a long number, or a
# capital inside.
SEPARATOR = re.compile(r"[-_./:@]")
NAME = re.compile(r"[A-Za-z]\d|\d[A-Za-z]|^\d{3,}$|[a-z][A-Z]|[A-Z]{2}[a-z]")
AROUND = "-_./:@`'\"()[]{}<>,;!?*=#&|"

SEEN = f"(m.team_id, m.channel_id) in (select c.team_id, c.channel_id from channels c where {VISIBLE})"
Key = tuple[str, str]


@dataclass(frozen=True)
class Word:
    """A lexeme of the query; ``messages`` of the ``counted`` ones hold it, and 0 stands for few.

    ``whole`` marks an identifier of the query as it was written, not one of its parts.
    """

    lexeme: str
    whole: bool
    messages: int
    counted: int
    mean_length: float

    @property
    def weight(self) -> float:
        """Its inverse document frequency."""
        return math.log(1 + (max(self.counted, 1) - self.messages + 0.5) / (self.messages + 0.5))


@dataclass(frozen=True)
class Place:
    """Where a hit is; whether it holds every identifier of the query, and among how many it was ranked."""

    channel_id: str
    ts: str
    exact: bool | None = None
    ranked: int = 0

    @property
    def key(self) -> Key:
        """What identifies it in a workspace."""
        return (self.channel_id, self.ts)


async def search(
    conn: Connection,
    viewer: Viewer,
    where: MessageFilter,
    *,
    limit: int,
    vector: SpaceVector | Awaitable[SpaceVector | None] | None = None,
    by_words: bool = True,
) -> tuple[int, list[StoredMessage]]:
    """How many messages match, and the best ones; without words, the newest.

    Args:
        conn: a connection that is in no transaction.
        viewer: who asks; nothing else is seen or counted.
        where: the words and what narrows the search.
        limit: how many messages to return.
        vector: the query's vector, to also find what says the same in other words; it may still be in the making
            while words are searched.
        by_words: False leaves the words to the vector.

    Returns:
        How many messages hold any of the rarer words (up to 3,000), or stand in the window where no words are
        given; and the best ``limit`` ones, of which some may only be near in meaning.
    """
    if not where.query.strip():
        return await _newest(conn, viewer, where, limit=limit)
    depth = max(DEPTH, limit)
    lists: list[list[Key]] = []
    total = 0
    if by_words and (words := await query_words(conn, where.query)):
        places = await _by_words(conn, viewer, where, words, limit=depth)
        total = places[0].ranked if places else 0
        # An identifier is looked for itself, not for what resembles it: where it stands counts twice.
        lists += [[place.key for place in places], [place.key for place in places if place.exact]]
    if isinstance(vector, Awaitable):
        vector = await vector
    if vector:
        lists.append(await _by_vector(conn, viewer, where, vector, limit=depth))
    found = await _load(conn, viewer, fuse(lists)[:limit])
    return total, found


def fuse(lists: Sequence[Sequence[Key]], *, k: int = FUSION_K) -> list[Key]:
    """Reciprocal rank fusion: the sum of 1 / (k + rank) over the lists; of equals the newest first."""
    scores: dict[Key, float] = {}
    for ranked in lists:
        for rank, key in enumerate(ranked, start=1):
            scores[key] = scores.get(key, 0.0) + 1 / (k + rank)
    return sorted(scores, key=lambda key: (scores[key], float(key[1])), reverse=True)


async def _newest(
    conn: Connection, viewer: Viewer, where: MessageFilter, *, limit: int
) -> tuple[int, list[StoredMessage]]:
    params = {**viewer.params(), **where.params(), "limit": limit}
    total = await db.fetch_value(conn, f"select count(*) from messages m where {SEEN} and {where.where()}", params)
    places = await _fetch(
        conn,
        Place,
        f"""select m.channel_id, m.ts from messages m where m.team_id = %(team_id)s and {SEEN} and {where.where()}
            order by m.posted_at desc limit %(limit)s""",
        params,
    )
    return total, await _load(conn, viewer, [place.key for place in places])


async def query_words(conn: Connection, query: str) -> list[Word]:
    """The query's lexemes, the rarest first."""
    query = query[:LONGEST_QUERY]
    tokens = [token.strip(AROUND) for token in query.split()]
    words = await db.fetch_all(
        conn,
        Word,
        """select lexeme, lexeme = any(%(composed)s::text[]) or lexeme = any(tsvector_to_array(
                              to_tsvector('english', array_to_string(%(single)s::text[], ' ')))) as whole,
                  least(coalesce(counts.messages, 0), totals.messages) as messages,
                  coalesce(totals.messages, 0) as counted, coalesce(totals.mean_length, 20) as mean_length
           from unnest(search_vector(%(query)s)) as asked
           left join lexeme_counts counts using (lexeme) left join lexeme_totals totals on true""",
        {
            "query": query,
            "composed": [token.lower() for token in tokens if SEPARATOR.search(token)],
            "single": [token for token in tokens if not SEPARATOR.search(token) and NAME.search(token)],
        },
    )
    return sorted(words, key=lambda word: (word.messages, word.lexeme))[:MOST_WORDS]


def candidates(words: Sequence[Word]) -> str:
    """A tsquery that holds the likeliest best messages without matching half of the workspace.

    Those with a rare word, as long as there are not too many; where every word is common, those with two of them.
    """
    rare, matching = [words[0]], words[0].messages
    for word in words[1:]:
        matching += word.messages
        if matching > RARE:
            break
        rare.append(word)
    if words[0].messages > RARE and len(words) > 1:
        common = words[:4]
        pairs = [(a, b) for index, a in enumerate(common) for b in common[index + 1 :]]
        return " | ".join(f"({quote(a)} & {quote(b)})" for a, b in pairs)
    return " | ".join(map(quote, rare))


def quote(word: Word) -> str:
    """A word as a tsquery."""
    return f"'{word.lexeme}'"  # search_vector leaves neither quotes nor backslashes


async def _by_words(
    conn: Connection, viewer: Viewer, where: MessageFilter, words: Sequence[Word], *, limit: int
) -> list[Place]:
    narrowed = replace(where, query="")
    params: dict[str, Any] = {**viewer.params(), **narrowed.params(), "limit": limit}
    params |= {"mean": words[0].mean_length, "candidates": candidates(words)}
    params["whole"] = " & ".join(quote(word) for word in words if word.whole)  # an empty one matches nothing
    terms = []
    for number, word in enumerate(words):
        params |= {f"word{number}": quote(word), f"weight{number}": word.weight}
        rank = f"nullif(ts_rank('{{1,1,1,1}}', search, %(word{number})s::tsquery), 0)"
        terms.append(f"%(weight{number})s::float8 * coalesce(1 / (1 + length_factor * (1 / {rank} - 1)), 0)")
    return await _fetch(
        conn,
        Place,
        f"""with candidates as materialized (
                select m.channel_id, m.ts, m.posted_at, m.search,
                       {K1 / RANK_K1} * (1 - {B} + {B} * length(m.search) / %(mean)s::float8) as length_factor
                from messages m
                where m.team_id = %(team_id)s and {SEEN} and {narrowed.where()}
                  and m.search @@ %(candidates)s::tsquery
                order by m.posted_at desc limit {RARE if words[0].messages <= RARE else COMMON}
            )
            select channel_id, ts, search @@ %(whole)s::tsquery as exact, (select count(*) from candidates) as ranked
            from candidates
            order by {" + ".join(terms)} desc, posted_at desc limit %(limit)s""",
        params,
    )


async def _by_vector(
    conn: Connection, viewer: Viewer, where: MessageFilter, vector: SpaceVector, *, limit: int
) -> list[Key]:
    """The nearest messages. Few of them are compared one by one; of many the index gives the nearest."""
    narrowed, space = replace(where, query=""), vector.space
    params = {**viewer.params(), **narrowed.params(), "vector": literal(vector.values), "limit": limit}
    distance = f"e.embedding::halfvec({space.dimensions}) <=> %(vector)s::halfvec({space.dimensions})"
    source = f"""from message_embeddings e
                 join messages m on m.team_id = e.team_id and m.channel_id = e.channel_id and m.ts = e.ts
                 where e.space_id = {space.space_id} and e.team_id = %(team_id)s and {SEEN} and {narrowed.where()}"""
    few = f"""select count(*) from (
                select 1 from messages m where m.team_id = %(team_id)s and {SEEN} and {narrowed.where()}
                limit {EXACT_ROWS + 1}) as eligible"""
    exact = f"select m.channel_id, m.ts {source} order by ({distance}) + 0, m.posted_at desc limit %(limit)s"
    nearest = f"""with nearest as materialized (
                      select m.channel_id, m.ts, {distance} as distance {source} order by {distance} limit %(limit)s)
                  select channel_id, ts from nearest order by distance"""
    async with conn.transaction():
        cur = await conn.execute(few, params, prepare=False)
        eligible = (await cur.fetchone() or (0,))[0]
        if eligible > EXACT_ROWS:
            await conn.execute(SCAN_SETTINGS)
            places = await _fetch(conn, Place, nearest, params)
            if len(places) >= limit // 4:
                return [place.key for place in places]
        await conn.execute(EXACT_SETTINGS)
        return [place.key for place in await _fetch(conn, Place, exact, params)]


# Each for its transaction. By the index: go on past the first neighbours until enough of them may be seen, and walk it
# however cheap a sort may seem; pgvector before 0.8 knows no iterative scan. The first value loads pgvector, whose
# settings are unknown before. One by one: fetch the vectors of these messages, rather than read those of all.
SCAN_SETTINGS = f"""
select '[1]'::halfvec, set_config('enable_sort', 'off', true), set_config('hnsw.ef_search', '{EF_SEARCH}', true),
       (select set_config(name, 'relaxed_order', true) from pg_settings where name = 'hnsw.iterative_scan')"""
EXACT_SETTINGS = """
select set_config(name, 'off', true) from unnest(array['enable_seqscan', 'enable_hashjoin']) as name
union all select set_config('max_parallel_workers_per_gather', '0', true)"""


async def _load(conn: Connection, viewer: Viewer, keys: Sequence[Key]) -> list[StoredMessage]:
    """The messages of these keys, in their order."""
    if not keys:
        return []
    rows = await db.fetch_all(
        conn,
        StoredMessage,
        f"""select {HIT} {FROM}
            where {VISIBLE} and m.deleted_at is null
              and (m.channel_id, m.ts) in (select * from unnest(%(channels)s::text[], %(times)s::text[]))""",
        {**viewer.params(), "channels": [channel for channel, _ in keys], "times": [ts for _, ts in keys]},
    )
    by_key = {(row.channel_id, row.ts): row for row in rows}
    return [by_key[key] for key in keys if key in by_key]


async def _fetch(conn: Connection, row: type[Row], statement: str, params: dict[str, Any]) -> list[Row]:
    """As ``db.fetch_all``, planned anew: the best plan depends on the words and on who asks."""
    async with conn.cursor(row_factory=class_row(row)) as cur:
        await cur.execute(statement, params, prepare=False)
        return await cur.fetchall()


async def refresh_counts(conn: Connection, *, grown: float = 0.0, days: float = 0.0) -> bool:
    """Count in how many messages each word stands; words of fewer than 3 messages count as rare without a row.

    Args:
        conn: a connection that is in no transaction.
        grown: only when there are more messages by this share than at the last count,
        days: or when that count is so old.
    """
    due = await db.fetch_value(
        conn,
        """select stored from (select count(*) as stored from messages) as now
           where not exists (select 1 from lexeme_totals t
                             where now.stored <= t.stored * (1 + %(grown)s::float8)
                               and t.refreshed_at > now() - make_interval(secs => %(days)s * 86400))""",
        {"grown": grown, "days": days},
    )
    if due is None:
        return False
    sample = f"""select search from messages where searchable and deleted_at is null
                 order by posted_at desc limit {SAMPLE}"""
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(hashtext('lexeme_counts'))")
        await conn.execute("delete from lexeme_counts")
        await conn.execute(
            "insert into lexeme_counts select word, ndoc from ts_stat(%s) where ndoc >= 3 and length(word) <= 200",
            (sample,),
        )
        await conn.execute(
            f"""insert into lexeme_totals (messages, stored, mean_length)
                select count(*), %s, coalesce(greatest(avg(length(search)), 1), 20) from ({sample}) as sample
                on conflict (only_row) do update set messages = excluded.messages, stored = excluded.stored,
                    mean_length = excluded.mean_length, refreshed_at = now()""",
            (due,),
        )
    return True
