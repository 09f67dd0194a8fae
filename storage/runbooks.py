"""Runbooks: their versions, and the votes on them. What they are distilled from: storage/triage.py.

A version draws on messages of public channels and, where its ``audience`` names a channel that is not public, on
those of that channel. It is shown to a viewer who may read all channels that it draws on, and of its lines those
whose message still stands. The access rule stands in every statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection
from storage.triage import AlertName, digest_of, load_triage

Section = Literal["overview", "root_cause", "step"]


@dataclass(frozen=True)
class RunbookLine:
    """One line with the message that it comes from. ``doubted``: it did not work, and nobody proved it since."""

    section: Section
    text: str
    command: str | None
    channel_id: str
    ts: str
    permalink: str
    author: str
    posted_at: datetime
    doubted: bool = False

    @property
    def content(self) -> tuple[str, str, str | None, str, str]:
        """What makes two lines the same."""
        return (self.section, self.text, self.command, self.channel_id, self.ts)


@dataclass(frozen=True)
class RunbookVersion:
    """A version of a runbook, with the votes of those who tried it."""

    runbook_id: int
    service: str
    alert: str
    audience: str
    version: int
    digest: str
    messages: int
    model: str
    created_at: datetime
    worked: int
    failed: int

    @property
    def rejected(self) -> bool:
        """Whether more people say that it did not work than that it did."""
        return self.failed > self.worked


@dataclass(frozen=True)
class Runbook:
    """A version with the lines of it that its reader may see."""

    version: RunbookVersion
    lines: list[RunbookLine]

    def section(self, section: Section) -> list[RunbookLine]:
        """The lines of one section."""
        return [line for line in self.lines if line.section == section]


@dataclass(frozen=True)
class NewRunbook:
    """A version to store."""

    service: str
    alert: str
    audience: str
    digest: str
    channels: Sequence[str]
    messages: int
    model: str
    lines: Sequence[RunbookLine]


async def latest(conn: Connection, viewer: Viewer, name: AlertName, *, audience: str | None = None) -> Runbook | None:
    """The newest version that a viewer may see here, with the lines whose messages still stand.

    Where there is one of the place's own, it goes before those for everyone.

    Args:
        conn: a connection.
        viewer: who reads.
        name: the alert.
        audience: only versions for this audience.
    """
    params: dict[str, Any] = {
        **viewer.params(),
        "service": name.service,
        "alert": name.alert,
        "audience": audience,
    }
    version = await db.fetch_one(
        conn,
        RunbookVersion,
        f"""select r.runbook_id, r.service, r.alert, r.audience, r.version, r.digest, r.messages, r.model, r.created_at,
                   (select count(*) from runbook_votes v where v.runbook_id = r.runbook_id and v.worked)::int as worked,
                   (select count(*) from runbook_votes v where v.runbook_id = r.runbook_id and not v.worked)::int
                     as failed
            from runbooks r
            where r.team_id = %(team_id)s and r.service = %(service)s and r.alert = %(alert)s
              and (%(audience)s::text is null or r.audience = %(audience)s)
              and not exists (
                  select 1 from unnest(r.channels) as used(channel_id)
                  where not exists (select 1 from channels c where c.channel_id = used.channel_id and {VISIBLE}))
            order by r.audience = %(asked_in)s desc, r.runbook_id desc limit 1""",
        params,
    )
    if version is None:
        return None
    lines = await db.fetch_all(
        conn,
        RunbookLine,
        f"""select l.section, l.text, l.command, l.channel_id, l.ts, s.permalink,
                   coalesce(u.name, s.author) as author, s.posted_at, l.doubted
            from runbook_lines l
            join messages s using (team_id, channel_id, ts)
            join channels c using (team_id, channel_id)
            left join users u on u.team_id = s.team_id and u.user_id = s.user_id
            where l.runbook_id = %(runbook_id)s and s.deleted_at is null and {VISIBLE} order by l.position""",
        {**params, "runbook_id": version.runbook_id},
    )
    return Runbook(version, lines)


async def add_version(conn: Connection, team_id: str, runbook: NewRunbook) -> int:
    """Store a version after those that there are, in one transaction; returns its id.

    Where another worker was faster with the same messages, that one's stands. A line is marked as doubted when the
    version before holds its command, or its text where it has none, and people say that this version did not work;
    or when it was doubted there already, and no majority says that it worked.
    """
    key = (team_id, runbook.service, runbook.alert, runbook.audience)
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", ("runbook:" + "\x1f".join(key),))
        before = await db.fetch_one(
            conn,
            _Former,
            """select r.runbook_id, r.version, r.digest, count(*) filter (where not v.worked) >
                      count(*) filter (where v.worked) as rejected,
                      count(*) filter (where v.worked) > count(*) filter (where not v.worked) as approved
               from runbooks r left join runbook_votes v using (runbook_id)
               where (r.team_id, r.service, r.alert, r.audience) = (%s, %s, %s, %s)
               group by r.runbook_id order by r.version desc limit 1""",
            key,
        )
        if before and before.digest == runbook.digest and not before.rejected:
            return before.runbook_id
        doubted = await _doubted(conn, before) if before else set()
        runbook_id: int = await db.fetch_value(
            conn,
            """insert into runbooks (team_id, service, alert, audience, version, digest, channels, messages, model)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s) returning runbook_id""",
            (
                *key,
                before.version + 1 if before else 1,
                runbook.digest,
                list(runbook.channels),
                runbook.messages,
                runbook.model,
            ),
        )
        async with conn.cursor() as cur:
            await cur.executemany(
                """insert into runbook_lines
                       (runbook_id, position, section, text, command, doubted, team_id, channel_id, ts)
                   select %(runbook_id)s, %(position)s, %(section)s, %(text)s, %(command)s, %(doubted)s, team_id,
                          channel_id, ts
                   from messages
                   where team_id = %(team_id)s and channel_id = %(channel_id)s and ts = %(ts)s
                     and deleted_at is null""",
                [
                    {
                        **line.__dict__,
                        "runbook_id": runbook_id,
                        "position": position,
                        "doubted": (line.command or line.text) in doubted,
                        "team_id": team_id,
                    }
                    for position, line in enumerate(runbook.lines)
                ],
            )
        return runbook_id


@dataclass(frozen=True)
class _Former:
    """The version before a new one."""

    runbook_id: int
    version: int
    digest: str
    rejected: bool
    approved: bool


async def _doubted(conn: Connection, before: _Former) -> set[str]:
    """The commands, and the texts without one, that a version leaves in doubt."""
    cur = await conn.execute(
        """select coalesce(nullif(command, ''), text) from runbook_lines
           where runbook_id = %s and (%s or doubted and not %s)""",
        (before.runbook_id, before.rejected, before.approved),
    )
    return {said for (said,) in await cur.fetchall()}


async def vote(conn: Connection, team_id: str, runbook_id: str, user_id: str, *, worked: bool) -> None:
    """Count one person's vote on a version; their last one stands. An id that no runbook has counts nothing."""
    await conn.execute(
        """insert into runbook_votes (runbook_id, user_id, worked)
           select runbook_id, %(user_id)s, %(worked)s from runbooks
           where team_id = %(team_id)s and runbook_id::text = %(runbook_id)s
           on conflict (runbook_id, user_id) do update set worked = excluded.worked, at = now()""",
        {"team_id": team_id, "runbook_id": runbook_id, "user_id": user_id, "worked": worked},
    )


async def is_outdated(conn: Connection, team_id: str, version: RunbookVersion, *, before_ts: str | None = None) -> bool:
    """Whether people wrote since in the alert's threads, or changed or deleted what the version was distilled from.

    With ``before_ts``, what they write in threads from that message on does not make it outdated.
    """
    viewer = Viewer.everyone_in(team_id, version.audience, "auto" if version.audience else "workspace")
    name = AlertName(version.service, version.alert)
    # Loaded apart: those of later threads count towards the most that is loaded.
    for limit in {None, before_ts}:
        if version.digest == digest_of(await load_triage(conn, viewer, name, before_ts=limit)):
            return False
    return True
