"""Requests for approval: what a tool would do, who may say yes, and what was said. The row is the truth.

Each change of a row is one conditional statement, so that of two clicks, two replicas or a click and the clock only
one decides. Times are the database's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from psycopg.types.json import Json

from storage import db
from storage.access import VISIBLE, Viewer
from storage.db import Connection
from storage.leases import Lease, hold

Status = Literal["pending", "approved", "rejected", "expired", "superseded", "void"]


@dataclass(frozen=True)
class NewApproval:
    """A request to make.

    Attributes:
        approval_id: the same for the same turn, call and revision.
        turn_id: the turn that waits for it.
        tool_call_id: the model's call.
        revision: 0 for what the model asked, 1 and more for what people made of it.
        team_id: the workspace.
        channel_id: where it is asked.
        ts: the message of the question.
        thread_ts: the thread that it is asked in.
        tool: the tool's name.
        arguments: what it would be called with.
        bound: facts that the approval fixes besides, such as a file's version.
        digest: SHA-256 of tool, arguments, bound and thread.
        call_digest: SHA-256 of the arguments of the model's own call.
        summary: Markdown for the approvers.
        attachment_name: the name of the file that goes with it.
        attachment: that file's text.
        requester_id: who asked the question.
        approvers: ids of those who may decide.
        self_approval: whether the requester may, being one of them.
        edited_by: who changed the arguments.
    """

    approval_id: str
    turn_id: UUID
    tool_call_id: str
    revision: int
    team_id: str
    channel_id: str
    ts: str
    thread_ts: str | None
    tool: str
    arguments: Mapping[str, Any]
    bound: Mapping[str, str]
    digest: str
    call_digest: str
    summary: str
    attachment_name: str | None
    attachment: str | None
    requester_id: str
    approvers: list[str]
    self_approval: bool
    edited_by: str | None


@dataclass(frozen=True)
class Approval(NewApproval):
    """A request as stored. ``void``: whatever people decided, or would have, its call was refused.

    ``part`` is the number of its post with the buttons; ``edit`` are the arguments that take its arguments' place.
    """

    part: int
    status: Status
    decided_by: str | None
    reason: str | None
    edit: dict[str, Any] | None
    expires_at: datetime
    created_at: datetime
    decided_at: datetime | None
    used_at: datetime | None

    @property
    def post_id(self) -> str:
        """The post with its buttons."""
        return f"{self.turn_id}/{self.part}"


@dataclass(frozen=True)
class Pending:
    """A request that waits, with names; ``post_ts`` is None until it stands in Slack."""

    approval_id: str
    tool: str
    summary: str
    requester: str
    approvers: list[str]
    channel_id: str
    channel_name: str
    channel_kind: str
    post_ts: str | None
    thread_ts: str | None
    created_at: datetime
    expires_at: datetime

    def permalink(self, workspace_url: str) -> str:
        """The address of the message with its buttons; empty until it stands in Slack."""
        if not self.post_ts:
            return ""
        link = f"{workspace_url}archives/{self.channel_id}/p{self.post_ts.replace('.', '')}"
        return f"{link}?thread_ts={self.thread_ts}&cid={self.channel_id}" if self.thread_ts else link


PARTS = 100  # of the turn's posts for one request; the last one has the buttons
FIRST_PART = 1000  # an answer's parts come before
COLUMNS = """approval_id, turn_id, tool_call_id, revision, team_id, channel_id, ts, thread_ts, tool, arguments, bound,
             digest, call_digest, summary, attachment_name, attachment, requester_id, approvers, self_approval,
             edited_by, part, status, decided_by, reason, edit, expires_at, created_at, decided_at, used_at"""
# A decision that a waiting turn has not been told of. Needs an alias ``t`` for turns.
UNTOLD = """exists (
    select 1 from approvals a where a.turn_id = t.turn_id and a.used_at is null and a.status <> 'pending')"""


async def insert(conn: Connection, lease: Lease, new: NewApproval, *, minutes: float) -> None:
    """Make a request, open for so many minutes; one that is there already stays as it is.

    Raises:
        LeaseLost: another worker has the thread.
    """
    async with conn.transaction():
        await hold(conn, lease)
        # A step's calls run at once; their posts are numbered one after the other.
        await conn.execute("select 1 from turns where turn_id = %s for update", (new.turn_id,))
        await conn.execute(
            f"""insert into approvals (
                    approval_id, turn_id, tool_call_id, revision, team_id, channel_id, ts, thread_ts, tool, arguments,
                    bound, digest, call_digest, summary, attachment_name, attachment, requester_id, approvers,
                    self_approval, edited_by, part, expires_at)
                values (
                    %(approval_id)s, %(turn_id)s, %(tool_call_id)s, %(revision)s, %(team_id)s, %(channel_id)s, %(ts)s,
                    %(thread_ts)s, %(tool)s, %(arguments)s, %(bound)s, %(digest)s, %(call_digest)s, %(summary)s,
                    %(attachment_name)s, %(attachment)s, %(requester_id)s, %(approvers)s, %(self_approval)s,
                    %(edited_by)s,
                    {FIRST_PART} - 1 + {PARTS}
                        * (1 + (select count(*)::int from approvals where turn_id = %(turn_id)s)),
                    now() + make_interval(secs => %(seconds)s))
                on conflict do nothing""",
            {
                **new.__dict__,
                "arguments": Json(new.arguments),
                "bound": Json(dict(new.bound)),
                "seconds": minutes * 60,
            },
        )


async def get(conn: Connection, approval_id: str) -> Approval | None:
    """One request by id."""
    return await db.fetch_one(conn, Approval, f"select {COLUMNS} from approvals where approval_id = %s", (approval_id,))


async def newest(conn: Connection, turn_id: UUID, tool_call_id: str) -> Approval | None:
    """The newest request for a call."""
    return await db.fetch_one(
        conn,
        Approval,
        f"""select {COLUMNS} from approvals where turn_id = %s and tool_call_id = %s
            order by revision desc limit 1""",
        (turn_id, tool_call_id),
    )


async def list_open(conn: Connection, turn_id: UUID) -> list[Approval]:
    """A turn's requests that nobody decided, in the order of their posts."""
    return await db.fetch_all(
        conn,
        Approval,
        f"select {COLUMNS} from approvals where turn_id = %s and status = 'pending' order by part",
        (turn_id,),
    )


async def decide(
    conn: Connection,
    approval_id: str,
    digest: str,
    user_id: str,
    status: Literal["approved", "rejected", "superseded"],
    *,
    reason: str | None = None,
    edit: Mapping[str, Any] | None = None,
) -> Approval | None:
    """Somebody decides a request, and nobody did before; None where it is not theirs, or not open any more.

    Args:
        conn: in a transaction.
        approval_id: the request.
        digest: of what that person was shown.
        user_id: who decides.
        status: how.
        reason: why, in their words.
        edit: the arguments to ask for instead.
    """
    return await db.fetch_one(
        conn,
        Approval,
        f"""update approvals a
            set status = %(status)s, decided_by = %(user_id)s, reason = %(reason)s, edit = %(edit)s, decided_at = now()
            where approval_id = %(approval_id)s and status = 'pending' and digest = %(digest)s
              and expires_at > clock_timestamp() and %(user_id)s = any(approvers)
              and (self_approval or requester_id <> %(user_id)s)
              and (self_approval or edited_by is distinct from %(user_id)s or %(status)s <> 'approved')
              and not exists (select 1 from users u where u.team_id = a.team_id and u.user_id = %(user_id)s
                              and (u.is_bot or u.is_guest or u.is_stranger))
              and exists (select 1 from turns t where t.turn_id = a.turn_id and t.status in ('running', 'waiting'))
            returning {COLUMNS}""",
        {
            "approval_id": approval_id,
            "digest": digest,
            "user_id": user_id,
            "status": status,
            "reason": reason,
            "edit": None if edit is None else Json(edit),
        },
    )


async def is_waited_for(conn: Connection, approval: Approval) -> bool:
    """Whether the turn of a request still needs it."""
    return bool(
        await db.fetch_value(
            conn,
            "select 1 from turns where turn_id = %s and status in ('running', 'waiting')",
            (approval.turn_id,),
        )
    )


async def use(conn: Connection, approval_id: str) -> bool:
    """The decision reaches its turn; False when it did so before."""
    return bool(
        await db.execute(
            conn,
            "update approvals set used_at = now() where approval_id = %s and used_at is null and status <> 'pending'",
            (approval_id,),
        )
    )


async def void(conn: Connection, approval_id: str, reason: str, *, used: bool = False) -> Approval | None:
    """Its call was refused in spite of what people decided, or without asking them further; the turn knows.

    A decision that reached the turn before stays as it is, unless ``used`` is given.
    """
    return await db.fetch_one(
        conn,
        Approval,
        f"""update approvals set status = 'void', reason = %s, used_at = now()
            where approval_id = %s and (used_at is null or %s) and status in ('pending', 'approved', 'superseded')
            returning {COLUMNS}""",
        (reason, approval_id, used),
    )


async def void_all(conn: Connection, turn_id: UUID, reason: str) -> list[Approval]:
    """End all requests of a turn that ends without them: nothing of them runs any more, whatever people decided.

    Of those that had ended already, there is nothing any more to tell the turn.
    """
    return await db.fetch_all(
        conn,
        Approval,
        f"""with ended as (
                update approvals set used_at = now()
                where turn_id = %(turn_id)s and used_at is null and status in ('rejected', 'expired', 'void')
            )
            update approvals set status = 'void', reason = %(reason)s, used_at = now()
            where turn_id = %(turn_id)s and used_at is null and status in ('pending', 'approved', 'superseded')
            returning {COLUMNS}""",
        {"turn_id": turn_id, "reason": reason},
    )


async def void_unseen(conn: Connection, turn_id: UUID, reason: str) -> list[Approval]:
    """End a turn's open requests whose messages Slack does not take; the turn is still to be told."""
    return await db.fetch_all(
        conn,
        Approval,
        f"""update approvals a set status = 'void', reason = %s, decided_at = now()
            where turn_id = %s and status = 'pending' and exists (
                select 1 from posts p where p.post_id = a.turn_id || '/' || a.part and p.state = 'rejected')
            returning {COLUMNS}""",
        (reason, turn_id),
    )


async def expire(conn: Connection, *, limit: int = 50) -> list[Approval]:
    """Inside a transaction: end requests whose time is over, and return them."""
    return await db.fetch_all(
        conn,
        Approval,
        f"""update approvals set status = 'expired', decided_at = now()
            where approval_id in (
                select approval_id from approvals where status = 'pending' and expires_at <= clock_timestamp()
                order by expires_at limit %s for update skip locked)
            returning {COLUMNS}""",
        (limit,),
    )


PENDING = """
select a.approval_id, a.tool, a.summary, coalesce(u.name, a.requester_id) as requester,
       array(select coalesce(w.name, x.id) from unnest(a.approvers) as x (id)
             left join users w on w.team_id = a.team_id and w.user_id = x.id order by 1) as approvers,
       a.channel_id, coalesce(c.name, '') as channel_name, coalesce(c.kind, 'private') as channel_kind,
       p.ts as post_ts, a.thread_ts, a.created_at, a.expires_at
from approvals a
{channels} channels c on c.team_id = a.team_id and c.channel_id = a.channel_id
left join users u on u.team_id = a.team_id and u.user_id = a.requester_id
left join posts p on p.post_id = a.turn_id || '/' || a.part
where a.status = 'pending' and a.expires_at > now() and {condition}
order by a.expires_at, a.approval_id limit %(limit)s"""


async def list_pending(
    conn: Connection, viewer: Viewer, *, channel_id: str | None = None, limit: int = 25
) -> list[Pending]:
    """What waits in the channels that the viewer may read here, the most urgent first.

    Only what stands in Slack: by its message it is found when its words must go.
    """
    condition = f"{VISIBLE} and p.ts is not null and (%(channel_id)s::text is null or a.channel_id = %(channel_id)s)"
    return await db.fetch_all(
        conn,
        Pending,
        PENDING.format(channels="join", condition=condition),
        {**viewer.params(), "channel_id": channel_id, "limit": limit},
    )


async def list_all_pending(conn: Connection, *, limit: int = 1000) -> list[Pending]:
    """All that waits, whoever may see it; for operators."""
    return await db.fetch_all(conn, Pending, PENDING.format(channels="left join", condition="true"), {"limit": limit})


async def is_overdue(conn: Connection, approval_id: str) -> bool:
    """Whether a request's time is over."""
    return bool(
        await db.fetch_value(
            conn, "select 1 from approvals where approval_id = %s and expires_at <= clock_timestamp()", (approval_id,)
        )
    )
