"""A runner on a real database, with a model that is scripted in process."""

import re
from typing import Any
from uuid import UUID, uuid4

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

from agent.context import Requester
from agent.question import Limits, Question
from agent.redaction import Redactor
from agent.retries import ModelCaller
from agent.runner import Runner
from storage import channels, leases, turns
from storage.turns import Turn
from tools.registry import CatalogueEntry, build_catalogue, load_catalogue


class Scripted(BaseChatModel):
    """Answers by a function of the messages; it is given tools' results without their references."""

    answer: Any
    seen: list[list[BaseMessage]] = []
    tools: list[str] = []

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools, **_):
        self.tools.clear()
        self.tools.extend(entry.name for entry in tools)
        return self

    def _generate(self, messages, stop=None, run_manager=None, **_):
        raise AssertionError("sync")

    async def _agenerate(self, messages, stop=None, run_manager=None, **_):
        self.seen.append(list(messages))
        answer = self.answer([unreferenced(message) for message in messages])
        if isinstance(answer, Exception):
            raise answer
        return ChatResult(generations=[ChatGeneration(message=answer)])


class Quiet:
    """A reply that keeps what it was told."""

    def __init__(self):
        self.steps: list[str] = []
        self.shown: list[Any] = []
        self.posted: list[str] = []
        self.titles: list[str] = []
        self.notes: list[str] = []
        self.said: list[str | None] = []  # None: what came before is void

    def started(self): ...

    def tool_started(self, call_id, name, args, *, title):
        self.steps.append(f"{name}…")
        self.shown.append(args)
        self.titles.append(title)

    def tool_finished(self, call_id, name, *, ok, note):
        self.steps.append(f"{name} {'ok' if ok else 'failed'}")
        self.notes.append(note)

    def text(self, delta):
        self.said.append(delta)

    def restarted(self):
        self.said.append(None)

    def steered(self, text):
        self.steps.append(f"steered: {text}")

    async def record(self, conn, outcome):
        self.posted.append(outcome.text)

    async def refresh(self, team_id, user_id):
        return True


@tool(extras={"effect": "read"})
async def lookup(word: str) -> str:
    """Look a word up.

    Args:
        word: the word.
    """
    return f"{word} is known"


def call(name, call_id=None, **args):
    return AIMessage(
        "", tool_calls=[{"name": name, "args": args, "id": call_id or f"c{uuid4().hex[:8]}", "type": "tool_call"}]
    )


def unreferenced(message):
    """A tool's result without the reference in front of it; other messages as they are."""
    if not isinstance(message, ToolMessage):
        return message
    return message.model_copy(update={"content": re.sub(r"\A\[e\d+\]\n", "", message.text)})


def this_turn(messages):
    """Messages after the last human one."""
    last = max(i for i, message in enumerate(messages) if isinstance(message, HumanMessage))
    return messages[last + 1 :]


@pytest.fixture
def arrange(database):
    """Builds a runner and a way to ask it in one thread."""

    def build(answer, *, extra=(lookup,), limits=Limits(), allowed=None, tries=3, redactor=Redactor(), kind=Scripted):
        catalogue: list[CatalogueEntry] = [*load_catalogue(), *build_catalogue(("test", entry) for entry in extra)]
        model = kind(answer=answer, seen=[], tools=[])
        caller = ModelCaller(database, model="scripted", tries=tries, prices={}, redactor=redactor, wait=lambda _: 0.0)
        runner = Runner(database, model, catalogue, caller=caller, limits=limits, redactor=redactor)
        names = frozenset(entry.name for entry in catalogue) if allowed is None else frozenset(allowed)

        async def question(text, *, thread_ts="100.000001", ts=None, turn_id: UUID | None = None, restricted=False):
            turn_id = turn_id or uuid4()
            ts = ts or f"{100 + len(model.seen)}.{uuid4().int % 10**6:06}"
            async with database.connection() as conn:
                await channels.insert_unknown(conn, [channels.NewChannel("T1", "C1", "public")])
                await turns.insert(
                    conn,
                    turns.NewTurn(
                        turn_id=turn_id,
                        team_id="T1",
                        channel_id="C1",
                        thread_ts=thread_ts,
                        message_ts=ts,
                        requester_id="U1",
                        source="mention",
                        question=text,
                    ),
                )
                turn = await turns.begin(conn, turn_id)
                assert turn
                lease = await leases.take(conn, turn.thread_key)
            return Question(
                turn=turn,
                lease=lease,
                requester=Requester("U1", "oncall-a", restricted),
                channel_label="#ops",
                workspace_url="https://x.slack.com/",
                allowed_tools=names,
            )

        return runner, model, question

    return build


async def stored(database, turn_id) -> Turn:
    async with database.connection() as conn:
        turn = await turns.get(conn, turn_id)
    assert turn
    return turn
