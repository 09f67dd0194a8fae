"""How a turn asks people for approval in Slack: who they are in its channel, and what is posted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from agent.context import ApproversUnknown
from ratchet.policies import Policies
from slack_app import approval_messages as looks
from slack_app.approvals import Approvals
from slack_app.approvers import ApproverDirectory, ApproverLookupError
from slack_app.identity import Identity
from slack_app.jobs import Enqueue, Job
from slack_app.uploads import Uploads
from storage import approvals, posts
from storage.approvals import PARTS, Approval
from storage.db import Connection, Database
from storage.leases import Lease
from storage.turns import Turn

NOBODY = "Slack knows none of the approvers that are configured for this channel as a full member of the workspace."
NO_READER = (
    "None of the approvers can read this conversation, so nobody could decide here. Tell the user to ask in a channel "
    "that they share with an approver, such as a public one."
)


class ChannelApproving:
    """Implements ``agent.context.Approving`` for one channel."""

    def __init__(self, desk: ApprovalDesk, channel_id: str, names: Sequence[str], *, self_approval: bool) -> None:
        self._desk = desk
        self._channel_id = channel_id
        self._names = names
        self._self_approval = self_approval

    @property
    def minutes(self) -> float:
        """How long a request is open."""
        return self._desk.minutes

    @property
    def self_approval(self) -> bool:
        """Whether an approver may approve what they asked for themselves."""
        return self._self_approval

    async def approvers(self) -> Sequence[str]:
        """The user ids of the channel's approvers who can read it.

        Raises:
            ApproversUnknown: Slack does not say who they are, knows none of them, or lets none of them read there.
        """
        if not self._names:
            return []
        try:
            found = await self._desk.directory.resolve(self._names)
            readers = await self._desk.directory.readers(self._channel_id)
        except ApproverLookupError as error:
            raise ApproversUnknown(f"{error}. Try again later.") from error
        found = [user_id for user_id in found if user_id != self._desk.identity.bot_user_id]
        if not found:
            raise ApproversUnknown(NOBODY)
        able = [user_id for user_id in found if readers is None or user_id in readers]
        if not able:
            raise ApproversUnknown(NO_READER)
        return able

    def permalink(self, channel_id: str, ts: str, thread_ts: str | None) -> str:
        """The address of a message."""
        return self._desk.identity.permalink(channel_id, ts, thread_ts)

    def show(self, text: str) -> str:
        """A request's text as the approvers see it, which may be longer."""
        return looks.summary(text)

    async def ask(self, conn: Connection, approval: Approval) -> None:
        """Inside the transaction that has the turn wait: note the request's post, and when it ends."""
        await posts.insert(
            conn,
            turn_id=approval.turn_id,
            part=approval.part,
            channel_id=approval.channel_id,
            thread_ts=approval.thread_ts,
            text=looks.ask_text(approval),
            module=looks.MODULE,
            blocks=looks.buttons(approval),
        )
        end = approval.expires_at + timedelta(seconds=1)
        await self._desk.enqueue(conn, [Job("expire", f"expire:{approval.approval_id}", at=end)])

    async def tell(self, conn: Connection, approval: Approval) -> None:
        """Inside a transaction: what stands in Slack of a request is to say how it ended."""
        await self._desk.enqueue(conn, await self._desk.decisions.tell(conn, approval))


class ApprovalDesk:
    """What asking for approval needs, for all channels."""

    def __init__(
        self,
        database: Database,
        *,
        policies: Policies,
        directory: ApproverDirectory,
        identity: Identity,
        decisions: Approvals,
        uploads: Uploads,
        enqueue: Enqueue,
        minutes: float,
    ) -> None:
        self._database = database
        self._policies = policies
        self._uploads = uploads
        self.directory = directory
        self.identity = identity
        self.decisions = decisions
        self.enqueue = enqueue
        self.minutes = minutes

    def of(self, channel_id: str, channel_name: str) -> ChannelApproving:
        """How a channel's turns ask."""
        names, self_approval = self._policies.approvers(channel_id, channel_name)
        return ChannelApproving(self, channel_id, names, self_approval=self_approval)

    async def show_files(self, turn: Turn, lease: Lease) -> None:
        """Share the files of a turn's requests before their buttons appear, as messages where Slack takes no file.

        Raises:
            LeaseLost: another worker has the thread.
            PostUnsettled: Slack is away; call again later.
        """
        async with self._database.connection() as conn:
            asked = [approval for approval in await approvals.list_open(conn, turn.turn_id) if approval.attachment_name]
            known = (
                {post.post_id: post.state for post in await posts.list_for_turn(conn, turn.turn_id)} if asked else {}
            )
        for approval in asked:
            if known.get(approval.post_id) != "pending" or turn.thread_ts is None:
                continue
            shared = await self._uploads.share(
                turn.turn_id,
                lease,
                channel_id=turn.channel_id,
                thread_ts=turn.thread_ts,
                name=approval.attachment_name or "",
                title=approval.attachment_name or "",
                content=looks.attachment(approval).encode() or b"\n",
                part=approval.approval_id,
            )
            if not shared:
                await self._spell_out(approval)

    async def _spell_out(self, approval: Approval) -> None:
        first = approval.part - PARTS + 1
        async with self._database.connection() as conn, conn.transaction():
            for number, text in enumerate(looks.attachment_parts(approval), first):
                await posts.insert(
                    conn,
                    turn_id=approval.turn_id,
                    part=number,
                    channel_id=approval.channel_id,
                    thread_ts=approval.thread_ts,
                    text=text,
                    module=looks.MODULE,
                )
