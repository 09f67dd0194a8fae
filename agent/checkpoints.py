"""The Postgres saver: without the shipped saver's lock, one statement a write, and fenced.

The shipped ``AsyncPostgresSaver`` takes one asyncio lock around every statement, even over a pool, so that
one saver object serialises a process. Here each call takes a connection of its own, writes blobs and
checkpoint in one statement, and carries the thread's lease: the statement writes nothing when the lease is
outdated, and the run ends with ``LeaseLost``.

What a step's task wrote waits a moment for the checkpoint that ends the step, and is committed with it: a step then
costs one commit. Where other tasks of the step still run, it is committed without it. Nothing but the work of that
moment is lost in a crash, and it is done again: a tool's effect has a ledger of its own (storage/effects.py).

Each write brings back what people did to the turn meanwhile (agent/signals.py): whatever begins after a checkpoint
knows of a stop that was stored before it.

Lease, records (agent/records.py) and signals travel in ``config["configurable"]``; keys that begin with two underscores
stay out of the stored metadata.
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    get_serializable_checkpoint_metadata,
)
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde import _msgpack
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Json

from agent.errors import AgentError
from agent.records import Records
from agent.signals import Signals
from storage import audit, purges, sources, usage
from storage.batches import GroupCommit
from storage.db import Connection, Database
from storage.leases import Lease, LeaseLost
from storage.steering import Seen

log = structlog.get_logger()
LEASE = "__lease"
RECORDS = "__records"
SIGNALS = "__signals"
HOLD_SECONDS = 0.02  # how long a task's writes wait for the end of their step
Row = dict[str, Any]
PUT_KEY = ("thread_id", "ns", "checkpoint_id")
WRITE_KEY = (*PUT_KEY, "task_id", "idx")
# Everything of a group in one statement; each row names the number of its lease, and rows of a lost one stay out.
WRITE = f"""
with calls as ({usage.INSERT}
), entries as ({audit.INSERT}
), shown as ({sources.INSERT}
), fence as materialized (
    select asked.n, asked.turn_id
    from json_to_recordset(%(leases)s) as asked (n int, thread_key text, epoch bigint, turn_id uuid)
    join thread_leases l on l.thread_key = asked.thread_key and l.epoch = asked.epoch
    for share of l
), blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select thread_id, ns, channel, version, type, decode(blob, 'base64')
    from fence join json_to_recordset(%(blobs)s)
        as new (n int, thread_id text, ns text, channel text, version text, type text, blob text) using (n)
    on conflict (thread_id, checkpoint_ns, channel, version) do nothing
), writes as (
    insert into checkpoint_writes
        as old (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
    select thread_id, ns, checkpoint_id, task_id, task_path, idx, channel, type, decode(blob, 'base64')
    from fence join json_to_recordset(%(writes)s)
        as new (n int, thread_id text, ns text, checkpoint_id text, task_id text, task_path text, idx int,
                channel text, type text, blob text) using (n)
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) do update
    set channel = excluded.channel, type = excluded.type, blob = excluded.blob
    where old.idx < 0  -- of a task's results the first ones stay; of errors, interrupts and resumes the last
), puts as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
    select thread_id, ns, checkpoint_id, parent_id, checkpoint, metadata
    from fence join json_to_recordset(%(puts)s)
        as new (n int, thread_id text, ns text, checkpoint_id text, parent_id text, checkpoint jsonb, metadata jsonb)
        using (n)
    on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
    set checkpoint = excluded.checkpoint, metadata = excluded.metadata
)
select n, t.turn_id, t.stopped_by, false
from fence left join turns t using (turn_id)"""
# The threads whose turns ended long ago. The index is walked from thread to thread: it holds only what is kept.
ENDED = """
with recursive threads (thread_id) as (
    (select thread_id from checkpoints order by thread_id limit 1)
    union all
    select (select next.thread_id from checkpoints next where next.thread_id > threads.thread_id
            order by next.thread_id limit 1)
    from threads where threads.thread_id is not null
)
select thread_id from threads join turns t on t.turn_id = split_part(thread_id, '#', 2)::uuid
where t.ended_at < now() - make_interval(days => %(days)s)"""
BATCH = 500  # threads that are deleted in one statement


def require_strict_msgpack() -> None:
    """Refuse to run where a poisoned checkpoint row could run code.

    Raises:
        AgentError: LANGGRAPH_STRICT_MSGPACK was not set before langgraph was imported.
    """
    if not _msgpack.STRICT_MSGPACK_ENABLED:
        raise AgentError(
            "LANGGRAPH_STRICT_MSGPACK=true must be set before langgraph is imported "
            f"(it is {os.environ.get('LANGGRAPH_STRICT_MSGPACK', 'not set')})"
        )


@dataclass(eq=False)
class Write:
    """What one call of the saver writes, under which lease; ``held`` says afterwards whether that was valid."""

    lease: Lease
    blobs: list[Row] = field(default_factory=list)
    writes: list[Row] = field(default_factory=list)
    puts: list[Row] = field(default_factory=list)
    records: Records = field(default_factory=Records)
    signals: Signals | None = None
    held: bool = False


def _ended() -> asyncio.Future[None]:
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    ended.set_result(None)
    return ended


@dataclass(eq=False)
class _Waiting:
    """What the tasks of a run's step have written, and the timer that will not wait longer."""

    timer: asyncio.Future[None] = field(default_factory=_ended)
    rows: list[Row] = field(default_factory=list)
    is_written: bool = False


_Run = tuple[str, Lease]  # a thread's id, and the lease under which it runs


def _run(configurable: dict[str, Any]) -> _Run:
    return configurable["thread_id"], configurable[LEASE]


class FencedSaver(AsyncPostgresSaver):
    """Checkpoints of turns, written only under a valid lease. Run ``migrate`` first."""

    def __init__(self, database: Database) -> None:
        require_strict_msgpack()
        super().__init__(database)
        self._database = database
        self._group = GroupCommit(self._write)
        self._waiting: dict[_Run, _Waiting] = {}

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        async with self._database.connection() as conn, conn.cursor(binary=True, row_factory=dict_row) as cur:
            yield cur

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Write one checkpoint with its blobs.

        Raises:
            LeaseLost: another worker took the thread.
        """
        configurable = config["configurable"]
        inline: dict[str, Any] = {}
        blobs: dict[str, Any] = {}
        for channel, value in checkpoint["channel_values"].items():
            is_plain = value is None or isinstance(value, str | int | float | bool)
            (inline if is_plain else blobs)[channel] = value
        rows = [
            {
                "thread_id": configurable["thread_id"],
                "ns": configurable["checkpoint_ns"],
                "channel": channel,
                "version": str(version),
                **self._dump(blobs[channel]),
            }
            for channel, version in new_versions.items()
            if channel in blobs
        ]
        put = {
            "thread_id": configurable["thread_id"],
            "ns": configurable["checkpoint_ns"],
            "checkpoint_id": checkpoint["id"],
            "parent_id": configurable.get("checkpoint_id"),
            "checkpoint": {**checkpoint, "channel_values": inline},
            "metadata": get_serializable_checkpoint_metadata(config, metadata),
        }
        write = Write(configurable[LEASE], blobs=rows, puts=[put])
        write.writes = await self._take(_run(configurable))
        await self._add(configurable, write)
        return {
            "configurable": {
                "thread_id": configurable["thread_id"],
                "checkpoint_ns": configurable["checkpoint_ns"],
                "checkpoint_id": checkpoint["id"],
            }
        }

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what one task produced, to be written with the step's checkpoint or a moment from now."""
        if not writes:
            return
        configurable = config["configurable"]
        rows = [
            {
                "thread_id": configurable["thread_id"],
                "ns": configurable["checkpoint_ns"],
                "checkpoint_id": configurable["checkpoint_id"],
                "task_id": task_id,
                "task_path": task_path,
                "idx": WRITES_IDX_MAP.get(channel, index),
                "channel": channel,
                **self._dump(value),
            }
            for index, (channel, value) in enumerate(writes)
        ]
        waiting = self._waiting.setdefault(_run(configurable), _Waiting())
        if waiting.timer.done():
            waiting.timer = asyncio.create_task(self._flush_later(configurable, waiting))
        waiting.rows += rows

    async def flush(self, configurable: dict[str, Any]) -> None:
        """Write what still waits: the end of a run that was interrupted or failed in the middle of a step.

        Raises:
            LeaseLost: another worker took the thread.
        """
        if rows := await self._take(_run(configurable)):
            await self._add(configurable, Write(configurable[LEASE], writes=rows))

    async def _flush_later(self, configurable: dict[str, Any], waiting: _Waiting) -> None:
        """Write what waits, a moment from now; what cannot be written waits on for the step's end."""
        await asyncio.sleep(HOLD_SECONDS)
        waiting.is_written = True
        while rows := waiting.rows:
            waiting.rows = []
            try:
                await self._add(configurable, Write(configurable[LEASE], writes=rows))
            except Exception as error:
                thread_id = configurable["thread_id"]
                log.warning("a task's writes were not stored early", thread_id=thread_id, error=str(error))
                waiting.rows = rows + waiting.rows
                waiting.is_written = False
                return
        if self._waiting.get(_run(configurable)) is waiting:
            del self._waiting[_run(configurable)]

    async def _take(self, run: _Run) -> list[Row]:
        """What waits to be written, once an early write that is under way has ended."""
        waiting = self._waiting.pop(run, None)
        if waiting is None:
            return []
        if waiting.is_written:
            await asyncio.wait([waiting.timer])
        else:
            waiting.timer.cancel()
        return waiting.rows

    def _dump(self, value: Any) -> Row:
        kind, blob = self.serde.dumps_typed(value)
        return {"type": kind, "blob": b64encode(blob).decode("ascii")}

    async def _add(self, configurable: dict[str, Any], write: Write) -> None:
        write.signals = configurable.get(SIGNALS)
        records: Records | None = configurable.get(RECORDS)
        if records:
            write.records = records.take()
        try:
            await self._group.add(write)
        except Exception:
            if records is not None:
                records.give_back(write.records)
            raise
        if not write.held:
            raise LeaseLost(f"thread {write.lease.thread_key}: lease {write.lease.epoch} is outdated")

    async def _write(self, group: list[Write]) -> None:
        """Commit what several puts brought, and mark those whose lease is valid."""
        numbers: dict[Lease, int] = {}
        blobs: list[Row] = []
        writes: dict[tuple[Any, ...], Row] = {}
        puts: dict[tuple[Any, ...], Row] = {}
        for write in group:
            number = numbers.setdefault(write.lease, len(numbers))
            blobs += [{"n": number, **row} for row in write.blobs]
            for row in write.writes:
                key = (number, *(row[name] for name in WRITE_KEY))
                if row["idx"] < 0 or key not in writes:
                    writes[key] = {"n": number, **row}
            puts |= {(number, *(row[name] for name in PUT_KEY)): {"n": number, **row} for row in write.puts}
        turns = {write.lease: str(write.signals.turn_id) for write in group if write.signals and write.signals.turn_id}
        leases = [
            {"n": n, "thread_key": lease.thread_key, "epoch": lease.epoch, "turn_id": turns.get(lease)}
            for lease, n in numbers.items()
        ]
        calls = [call for write in group for call in write.records.calls]
        entries = [entry for write in group for entry in write.records.entries]
        shown = [source for write in group for source in write.records.sources]
        values = {"leases": leases, "blobs": blobs, "writes": [*writes.values()], "puts": [*puts.values()]}
        async with self._database.connection() as conn:
            cur = await conn.execute(
                WRITE,
                {
                    **{name: Json(rows) for name, rows in values.items()},
                    "calls": usage.as_json(calls),
                    "entries": audit.as_json(entries),
                    "sources": sources.as_json(shown),
                },
            )
            held = {n: (turn_id, *seen) for n, turn_id, *seen in await cur.fetchall()}
        for write in group:
            number = numbers[write.lease]
            write.held = number in held
            if write.held and write.signals and held[number][0]:
                write.signals.tell(Seen(*held[number]))


async def prune(conn: Connection, *, days: int) -> int:
    """Delete the checkpoints of turns that ended more than ``days`` days ago; returns of how many turns."""
    cur = await conn.execute(ENDED, {"days": days})
    ended = [thread_id for (thread_id,) in await cur.fetchall()]
    for start in range(0, len(ended), BATCH):
        await purges.delete_checkpoints(conn, ended[start : start + BATCH])
    return len(ended)
