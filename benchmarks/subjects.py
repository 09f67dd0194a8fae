"""What is compared: plain ``create_agent``, the same with the shipped saver, and Ratchet."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from agent.context import Requester
from agent.question import Limits, Question
from agent.redaction import Redactor
from agent.retries import ModelCaller
from agent.runner import Runner
from agent.signals import Signals
from benchmarks.model import FakeModel, lookup
from slack_app.parts import split
from storage import leases, posts, turns
from storage.db import Connection, Database, open_database
from tools.registry import CatalogueEntry, build_catalogue, load_catalogue

POOL_SIZE = 20
PLAIN, SHIPPED, RATCHET = "create_agent, no saver", "AsyncPostgresSaver", "Ratchet"
TEAM, USER = "T0BENCH", "U0BENCH"


@dataclass(frozen=True)
class Timing:
    """Seconds of one turn: of the runner alone, and with what the job does before it (turn row, lease)."""

    runner: float
    job: float


Run = Callable[[], Awaitable[Timing]]


class Subject(Protocol):
    """One way to answer a turn. ``prepare`` does what is not measured and returns what is."""

    name: str

    async def prepare(self, thread: int, question: str) -> Run:
        """Accept a question in a conversation."""


class Agent:
    """``create_agent`` as LangChain ships it."""

    def __init__(self, name: str, model: FakeModel, tools: list[BaseTool], saver: BaseCheckpointSaver[Any] | None):
        self.name = name
        self._graph: Any = create_agent(model, tools, checkpointer=saver)
        self._run = uuid4().hex
        self._durability = "sync" if saver else None

    async def prepare(self, thread: int, question: str) -> Run:
        """Nothing is to be prepared."""
        config: RunnableConfig = {"configurable": {"thread_id": f"{self._run}-{thread}"}}

        async def run() -> Timing:
            began = time.perf_counter()
            await self._graph.ainvoke({"messages": [HumanMessage(question)]}, config, durability=self._durability)
            taken = time.perf_counter() - began
            return Timing(taken, taken)

        return run


class _Reply:
    """A reply without Slack: the answer goes to the outbox, as Slack's does, and progress goes nowhere."""

    def __init__(self, turn: turns.Turn) -> None:
        self._turn = turn

    def started(self) -> None:
        pass

    def tool_started(self, call_id: str, name: str, args: Mapping[str, Any], *, title: str) -> None:
        pass

    def tool_finished(self, call_id: str, name: str, *, ok: bool, note: str) -> None:
        pass

    def text(self, delta: str) -> None:
        pass

    def restarted(self) -> None:
        pass

    def steered(self, text: str) -> None:
        pass

    async def record(self, conn: Connection, outcome: turns.Outcome) -> None:
        for number, part in enumerate(split(outcome.text), 1):
            await posts.insert(
                conn,
                turn_id=self._turn.turn_id,
                part=number,
                channel_id=self._turn.channel_id,
                thread_ts=self._turn.thread_ts,
                text=part,
                module="agent",
                model="fake",
            )


class _Members:
    async def refresh(self, team_id: str, user_id: str) -> bool:
        return True


class RatchetAgent:
    """Ratchet from the turn's row on, with real storage and default limits."""

    name = RATCHET

    def __init__(self, database: Database, model: FakeModel, catalogue: list[CatalogueEntry]) -> None:
        redactor = Redactor()
        self._database = database
        self._allowed = frozenset(entry.name for entry in catalogue)
        self._ids = count(1)
        self._channel_id = f"C{uuid4().hex[:10].upper()}"  # several may be measured on one database
        self._base = int(time.time())
        caller = ModelCaller(database, model="fake", tries=3, prices={}, redactor=redactor)
        self._runner = Runner(database, model, catalogue, caller=caller, limits=Limits(), redactor=redactor)

    async def prepare(self, thread: int, question: str) -> Run:
        """What the inbox does before the ack: the turn's row."""
        turn_id, number = uuid4(), next(self._ids)
        async with self._database.connection() as conn:
            await turns.insert(
                conn,
                turns.NewTurn(
                    turn_id=turn_id,
                    team_id=TEAM,
                    channel_id=self._channel_id,
                    thread_ts=f"{self._base + thread}.000000",
                    message_ts=f"{self._base + 1_000_000 + number}.000000",
                    requester_id=USER,
                    source="mention",
                    question=question,
                ),
            )

        async def run() -> Timing:
            began = time.perf_counter()
            async with self._database.connection() as conn:
                turn = await turns.begin(conn, turn_id)
                if turn is None:
                    raise LookupError(f"turn {turn_id} is gone")
                lease = await leases.take(conn, turn.thread_key)
            begun = time.perf_counter()
            asked = Question(
                turn=turn,
                lease=lease,
                requester=Requester(USER, "oncall-a"),
                channel_label="#ops",
                workspace_url="https://acme.slack.com/",
                allowed_tools=self._allowed,
                signals=Signals(turn.turn_id),
            )
            await self._runner.answer(asked, _Reply(turn), _Members())
            ended = time.perf_counter()
            return Timing(ended - begun, ended - began)

        return run


@asynccontextmanager
async def open_subjects(url: str, *, latency: float = 0.0, plain: bool = False) -> AsyncIterator[list[Subject]]:
    """The subjects on one database, each with a pool of its own of the same size and with the same tools.

    Args:
        url: a migrated database.
        latency: seconds of each model call.
        plain: also the agent without a saver, first.
    """
    catalogue = [*load_catalogue(), *build_catalogue([("benchmark", lookup)])]
    tools = [entry.tool for entry in catalogue]
    model = FakeModel(latency=latency)
    pool: AsyncConnectionPool[AsyncConnection[DictRow]] = AsyncConnectionPool(
        url,
        min_size=2,
        max_size=POOL_SIZE,
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        open=False,
    )
    async with pool, open_database(url, max_size=POOL_SIZE) as database:
        await pool.wait()
        subjects: list[Subject] = [
            Agent(SHIPPED, model, tools, AsyncPostgresSaver(pool)),
            RatchetAgent(database, model, catalogue),
        ]
        yield [Agent(PLAIN, model, tools, None), *subjects] if plain else subjects
