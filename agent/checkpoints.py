"""The Postgres saver: without the shipped saver's lock, one statement a write, and fenced.

The shipped ``AsyncPostgresSaver`` takes one asyncio lock around every statement, even over a pool, so that
one saver object serialises a process. Here each call takes a connection of its own, writes blobs and
checkpoint in one statement, and carries the thread's lease: the statement writes nothing when the lease is
outdated, and the run ends with ``LeaseLost``.

The lease travels in ``config["configurable"]["__lease"]``; keys that begin with two underscores stay out of
the stored metadata.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

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
from psycopg.types.json import Jsonb

from agent.errors import AgentError
from storage.db import Connection, Database
from storage.leases import Lease, LeaseLost

LEASE = "__lease"
FENCE = """
with fence as materialized (
    select 1 from thread_leases where thread_key = %(lease_key)s and epoch = %(epoch)s for share
)"""
PUT = f"""{FENCE}, blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(thread_id)s, %(ns)s, channel, version, type, blob
    from fence, unnest(%(channels)s::text[], %(versions)s::text[], %(types)s::text[], %(blobs)s::bytea[])
        as new (channel, version, type, blob)
    on conflict (thread_id, checkpoint_ns, channel, version) do nothing
)
insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, checkpoint, metadata)
select %(thread_id)s, %(ns)s, %(checkpoint_id)s, %(parent_id)s, %(checkpoint)s, %(metadata)s from fence
on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
set checkpoint = excluded.checkpoint, metadata = excluded.metadata"""
PUT_WRITES = f"""{FENCE}
insert into checkpoint_writes
    (thread_id, checkpoint_ns, checkpoint_id, task_id, task_path, idx, channel, type, blob)
select %(thread_id)s, %(ns)s, %(checkpoint_id)s, %(task_id)s, %(task_path)s, idx, channel, type, blob
from fence, unnest(%(indices)s::int[], %(channels)s::text[], %(types)s::text[], %(blobs)s::bytea[])
    as new (idx, channel, type, blob)
on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) do """
KEEP_FIRST = PUT_WRITES + "update set idx = checkpoint_writes.idx"
KEEP_LAST = PUT_WRITES + "update set channel = excluded.channel, type = excluded.type, blob = excluded.blob"
PRUNE = """
with old as (
    select turn_id from turns where ended_at < now() - make_interval(days => %(days)s)
), gone as (
    select distinct c.thread_id from checkpoints c join old on split_part(c.thread_id, '#', 2) = old.turn_id::text
), blobs as (
    delete from checkpoint_blobs where thread_id in (select thread_id from gone)
), writes as (
    delete from checkpoint_writes where thread_id in (select thread_id from gone)
)
delete from checkpoints where thread_id in (select thread_id from gone)"""


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


class FencedSaver(AsyncPostgresSaver):
    """Checkpoints of turns, written only under a valid lease. Run ``migrate`` first."""

    def __init__(self, database: Database) -> None:
        require_strict_msgpack()
        super().__init__(database)
        self._database = database

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
        written = [(channel, version) for channel, version in new_versions.items() if channel in blobs]
        dumped = [self.serde.dumps_typed(blobs[channel]) for channel, _ in written]
        await self._write(
            PUT,
            configurable,
            {
                "channels": [channel for channel, _ in written],
                "versions": [str(version) for _, version in written],
                "types": [kind for kind, _ in dumped],
                "blobs": [blob for _, blob in dumped],
                "checkpoint_id": checkpoint["id"],
                "parent_id": configurable.get("checkpoint_id"),
                "checkpoint": Jsonb({**checkpoint, "channel_values": inline}),
                "metadata": Jsonb(get_serializable_checkpoint_metadata(config, metadata)),
            },
        )
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
        """Write what one task produced.

        Raises:
            LeaseLost: another worker took the thread.
        """
        if not writes:
            return
        configurable = config["configurable"]
        dumped = [self.serde.dumps_typed(value) for _, value in writes]
        await self._write(
            KEEP_LAST if all(channel in WRITES_IDX_MAP for channel, _ in writes) else KEEP_FIRST,
            configurable,
            {
                "checkpoint_id": configurable["checkpoint_id"],
                "task_id": task_id,
                "task_path": task_path,
                "indices": [WRITES_IDX_MAP.get(channel, index) for index, (channel, _) in enumerate(writes)],
                "channels": [channel for channel, _ in writes],
                "types": [kind for kind, _ in dumped],
                "blobs": [blob for _, blob in dumped],
            },
        )

    async def _write(self, statement: str, configurable: dict[str, Any], values: dict[str, Any]) -> None:
        lease: Lease = configurable[LEASE]
        params = {
            **values,
            "thread_id": configurable["thread_id"],
            "ns": configurable["checkpoint_ns"],
            "lease_key": lease.thread_key,
            "epoch": lease.epoch,
        }
        async with self._database.connection() as conn:
            cur = await conn.execute(statement, params)
            if cur.rowcount == 0:
                raise LeaseLost(f"thread {lease.thread_key}: lease {lease.epoch} is outdated")


async def prune(conn: Connection, *, days: int) -> int:
    """Delete the checkpoints of turns that ended more than ``days`` days ago; returns how many went."""
    cur = await conn.execute(PRUNE, {"days": days})
    return cur.rowcount
