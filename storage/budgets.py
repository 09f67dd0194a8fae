"""What a channel may spend on model calls, and what is left of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from storage import db
from storage.db import Connection

RESERVED_MINUTES = 30  # a reservation outlives no turn, not even one that nobody ends
LAST_CALLS = 20  # how many of them tell what the next one may come to
UTC = ZoneInfo("UTC")


@dataclass(frozen=True)
class Budget:
    """A channel's budget: US dollars a calendar month, tokens (in and out) a day, both by the clock of ``zone``.

    ``contact`` says whom to ask for more.
    """

    monthly_usd: Decimal | None = None
    daily_tokens: int | None = None
    zone: ZoneInfo = UTC
    contact: str = ""

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return self.monthly_usd is not None or self.daily_tokens is not None


@dataclass(frozen=True)
class Balance:
    """How a budget stands; amounts in US dollars or tokens, ``reserved`` for calls that are being made."""

    unit: Literal["usd", "tokens"]
    period: Literal["month", "day"]
    limit: Decimal
    spent: Decimal
    reserved: Decimal
    renews_at: datetime

    @property
    def remaining(self) -> Decimal:
        """What may still be spent."""
        return max(Decimal(0), self.limit - self.spent - self.reserved)


@dataclass(frozen=True)
class _Sums:
    usd: Decimal
    tokens: Decimal
    reserved_usd: Decimal
    reserved_tokens: Decimal


@dataclass(frozen=True)
class Expense:
    """What a model call came to: tokens in and out, US dollars."""

    tokens: int
    cost: Decimal


def month_of(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Begin and end of the calendar month around a moment."""
    first = now.astimezone(zone).date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return datetime.combine(first, time(), zone), datetime.combine(following, time(), zone)


def day_of(now: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Begin and end of the day around a moment; it may have 23 or 25 hours."""
    today = now.astimezone(zone).date()
    return datetime.combine(today, time(), zone), datetime.combine(today + timedelta(days=1), time(), zone)


async def balances(
    conn: Connection, team_id: str, channel_id: str, budget: Budget, now: datetime, *, besides: UUID | None = None
) -> list[Balance]:
    """How each limit of a channel's budget stands; the reservation of the turn ``besides`` does not count."""
    if not budget.is_set:
        return []
    month, day = month_of(now, budget.zone), day_of(now, budget.zone)
    sums = await db.fetch_one(
        conn,
        _Sums,
        """with reserved as (
               select r.cost, r.tokens from budget_reservations r left join turns t using (turn_id)
               where r.team_id = %(team_id)s and r.channel_id = %(channel_id)s
                 and coalesce(t.status in ('queued', 'running'), true)  -- a call without a turn holds one of its own
                 and r.at > now() - make_interval(mins => %(minutes)s)
                 and r.turn_id is distinct from %(besides)s::uuid
           )
           select coalesce(sum(cost) filter (where at >= %(month)s), 0) as usd,
                  coalesce(sum(prompt_tokens::int8 + output_tokens) filter (where at >= %(day)s), 0)::numeric as tokens,
                  (select coalesce(sum(cost), 0) from reserved) as reserved_usd,
                  (select coalesce(sum(tokens), 0)::numeric from reserved) as reserved_tokens
           from model_usage where team_id = %(team_id)s and channel_id = %(channel_id)s and at >= %(since)s""",
        {
            "team_id": team_id,
            "channel_id": channel_id,
            "month": month[0],
            "day": day[0],
            "since": min(day[0], month[0]) if budget.monthly_usd is not None else day[0],
            "minutes": RESERVED_MINUTES,
            "besides": besides,
        },
    )
    if sums is None:
        raise db.StorageError("a sum has no row")
    found = []
    if budget.monthly_usd is not None:
        found.append(Balance("usd", "month", budget.monthly_usd, sums.usd, sums.reserved_usd, month[1]))
    if budget.daily_tokens is not None:
        limit = Decimal(budget.daily_tokens)
        found.append(Balance("tokens", "day", limit, sums.tokens, sums.reserved_tokens, day[1]))
    return found


async def dearest_of_last(conn: Connection, team_id: str, channel_id: str, module: str) -> Expense:
    """The most tokens and the highest cost among a module's last calls in a channel, within a day."""
    found = await db.fetch_one(
        conn,
        Expense,
        """select coalesce(max(tokens), 0)::int8 as tokens, coalesce(max(cost), 0) as cost
           from (select prompt_tokens::int8 + output_tokens as tokens, cost from model_usage
                 where team_id = %s and channel_id = %s and module = %s and at > now() - interval '1 day'
                 order by at desc limit %s) as last_calls""",
        (team_id, channel_id, module, LAST_CALLS),
    )
    return found or Expense(0, Decimal(0))


async def reserve(
    conn: Connection,
    *,
    team_id: str,
    channel_id: str,
    turn_id: UUID,
    budget: Budget,
    tokens: int,
    cost: Decimal,
    now: datetime,
) -> Balance | None:
    """Set aside what a turn's next model call may cost, in place of what it had set aside before.

    A call without a turn sets aside under an id of its own, until ``release``.

    Processes that reserve for one channel do so one after the other.

    Returns:
        None when it is reserved; else the balance that does not suffice, and nothing is reserved.
    """
    async with conn.transaction():
        await conn.execute(
            "select pg_advisory_xact_lock(hashtextextended(%s, 11))", (f"budget:{team_id}:{channel_id}",)
        )
        for balance in await balances(conn, team_id, channel_id, budget, now, besides=turn_id):
            needed = cost if balance.unit == "usd" else Decimal(tokens)
            if balance.remaining < needed or balance.remaining == 0:
                return balance
        await conn.execute(
            """with over as (
                   delete from budget_reservations r
                   where r.team_id = %(team_id)s and r.channel_id = %(channel_id)s and r.turn_id <> %(turn_id)s
                     and (r.at <= now() - make_interval(mins => %(minutes)s) or exists (
                         select 1 from turns t where t.turn_id = r.turn_id and t.status not in ('queued', 'running')))
               )
               insert into budget_reservations (turn_id, team_id, channel_id, tokens, cost)
               values (%(turn_id)s, %(team_id)s, %(channel_id)s, %(tokens)s, %(cost)s)
               on conflict (turn_id) do update set tokens = excluded.tokens, cost = excluded.cost, at = now()""",
            {
                "turn_id": turn_id,
                "team_id": team_id,
                "channel_id": channel_id,
                "tokens": tokens,
                "cost": cost,
                "minutes": RESERVED_MINUTES,
            },
        )
    return None


async def release(conn: Connection, turn_id: UUID) -> None:
    """Give back what a call without a turn had set aside, once it is recorded."""
    await conn.execute("delete from budget_reservations where turn_id = %s", (turn_id,))
