"""What each table holds of what people said, so that nothing is overlooked when their words must go.

A table whose rows are keyed by ``team_id``, ``channel_id`` and ``ts`` belongs to messages: its rows go with them, and
it need not be listed. Every other table stands in one of the two lists; a test insists on it.
"""

from __future__ import annotations

from psycopg import sql

from storage.db import Connection

# Hold words; purges.py, retention.py and forgetting.py name each of them.
WORDS = frozenset({
    "channels", "checkpoint_blobs", "checkpoint_writes", "checkpoints", "conversation_messages", "conversations",
    "effects", "inbox_events", "messages", "model_usage", "posts", "runbooks", "turns", "users",
})  # fmt: skip
# Hold ids, numbers and states, or words that are counted in the messages (lexeme_*): those of no message go in a purge.
# Documents (documents, chunk_*) are the team's files, of which nothing was said in Slack.
NO_WORDS = frozenset({
    "answer_votes", "audit_logs", "backfills", "budget_reservations", "channel_switches", "checkpoint_migrations",
    "chunk_embedding_queue", "chunk_embeddings", "chunk_lexemes", "chunk_totals", "doc_sources", "document_chunks",
    "documents", "embedding_spaces", "forgotten", "lexeme_counts", "lexeme_removals", "lexeme_totals", "mcp_failures",
    "mcp_tools", "memberships", "private_offers", "procrastinate_events", "procrastinate_jobs",
    "procrastinate_periodic_defers", "procrastinate_workers", "purges", "report_pictures", "report_runs",
    "runbook_votes", "schema_migrations", "streams", "thread_leases", "turn_sources",
})  # fmt: skip
OWN_WAY = WORDS | {"purges", "turn_sources"}


async def keyed_by(conn: Connection, *columns: str) -> list[sql.Identifier]:
    """The tables with all of these columns, without those that lose their rows in their own way."""
    cur = await conn.execute(
        """select c.table_name from information_schema.columns c
           join information_schema.tables t using (table_schema, table_name)
           where t.table_schema = current_schema() and t.table_type = 'BASE TABLE' and c.column_name = any(%s)
           group by c.table_name having count(*) = %s order by c.table_name""",
        (list(columns), len(columns)),
    )
    return [sql.Identifier(name) for (name,) in await cur.fetchall() if name not in OWN_WAY]


async def of_messages(conn: Connection) -> list[sql.Identifier]:
    """The tables whose rows belong to messages and go with them."""
    return await keyed_by(conn, "team_id", "channel_id", "ts")
