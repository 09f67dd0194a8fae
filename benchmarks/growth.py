"""What a long thread costs: bytes stored and time of a turn as the conversation grows."""

from __future__ import annotations

from collections import defaultdict

import psycopg

from benchmarks.model import ANSWER_CHARS, QUESTION_CHARS, RESULT_CHARS, text
from benchmarks.report import Outcome, Table, Target, median, ms
from benchmarks.subjects import RATCHET, SHIPPED, open_subjects

CHECKPOINTS = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")
TABLES = {
    SHIPPED: CHECKPOINTS,
    RATCHET: (
        *CHECKPOINTS,
        "conversations",
        "conversation_messages",
        "turns",
        "posts",
        "effects",
        "model_usage",
        "audit_logs",
        "thread_leases",
    ),
}
NEIGHBOURS = 2


async def measure_growth(url: str, *, points: tuple[int, int, int]) -> Outcome:
    """One thread of ``points[-1]`` turns for each subject; figures around each point, the first being turn 1."""
    wanted = {point: _around(point, points[-1]) for point in points}
    measured = {turn for turns in wanted.values() for turn in turns}
    seconds: dict[str, dict[int, float]] = defaultdict(dict)
    stored: dict[str, dict[int, int]] = defaultdict(dict)
    async with (
        open_subjects(url) as subjects,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as conn,
    ):
        for subject in subjects:  # imports, prepared statements
            await (await subject.prepare(0, "warm up"))()
        for turn in range(1, points[-1] + 1):
            for subject in subjects:
                mark = await _mark(conn)
                run = await subject.prepare(1, text(turn, QUESTION_CHARS))
                seconds[subject.name][turn] = (await run()).runner
                if turn in measured:
                    stored[subject.name][turn] = await _stored_since(conn, mark, TABLES[subject.name])
    time_at = {name: {p: median([by[t] for t in wanted[p]]) for p in points} for name, by in seconds.items()}
    bytes_at = {name: {p: median([by[t] for t in wanted[p]]) for p in points} for name, by in stored.items()}
    rows = [
        (
            name,
            *(ms(time_at[name][point]) for point in points),
            *(f"{bytes_at[name][point] / 1024:.1f}" for point in points),
            f"{bytes_at[name][points[-1]] / bytes_at[name][points[0]]:.2f}",
        )
        for name in (SHIPPED, RATCHET)
    ]
    last, first = points[-1], points[0]
    return Outcome(
        [
            Table(
                "One long thread",
                (
                    "subject",
                    *(f"ms at {point}" for point in points),
                    *(f"KB at {point}" for point in points),
                    f"KB {last}/{first}",
                ),
                rows,
                f"questions of {QUESTION_CHARS}, 2 results of {RESULT_CHARS}, answers of {ANSWER_CHARS} characters; "
                f"runner only; KB stored by a turn in all its tables; medians of turns "
                f"{', '.join(f'{turns[0]}-{turns[-1]}' for turns in wanted.values())}; default limits, compaction on",
            )
        ],
        {name: {"seconds": time_at[name], "bytes": bytes_at[name]} for name in (SHIPPED, RATCHET)},
        [
            Target(
                f"turn at turn {last} against the shipped saver", 0.25, time_at[RATCHET][last] / time_at[SHIPPED][last]
            ),
            Target(
                f"bytes stored by turn {last} against turn {first}",
                1.2,
                bytes_at[RATCHET][last] / bytes_at[RATCHET][first],
            ),
        ],
    )


def _around(point: int, last: int) -> list[int]:
    begin = max(1, min(point - NEIGHBOURS, last - 2 * NEIGHBOURS))
    return list(range(begin, min(last, begin + 2 * NEIGHBOURS) + 1))


async def _mark(conn: psycopg.AsyncConnection) -> int:
    """The next transaction's number."""
    row = await (await conn.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")).fetchone()
    return int(row[0]) if row else 0


async def _stored_since(conn: psycopg.AsyncConnection, mark: int, tables: tuple[str, ...]) -> int:
    """Bytes of the rows written since a mark, as they are stored: headers included, compressed values compressed."""
    parts = " union all ".join(
        f"select coalesce(sum(pg_column_size(t)), 0) as size from {table} t where t.xmin::text::bigint >= %(mark)s"
        for table in tables
    )
    row = await (await conn.execute(f"select sum(size)::bigint from ({parts}) as sizes", {"mark": mark})).fetchone()
    return int(row[0]) if row else 0
