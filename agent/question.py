"""A question with all that the agent needs to know around it, and what answering it may use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.context import Approving, Requester
from agent.history import History
from agent.images import Images
from agent.middleware import TAKEN_IN
from agent.signals import Signals
from storage.access import Audience
from storage.budgets import Budget
from storage.leases import Lease
from storage.messages import StoredMessage
from storage.turns import Turn
from tools.context import ChannelRules, NoRules


@dataclass(frozen=True)
class Limits:
    """What one turn may use; seconds, bytes and approximate tokens."""

    model_calls: int = 25
    tool_calls: int = 40
    turn_seconds: float = 600.0
    tool_seconds: float = 60.0
    result_bytes: int = 65536
    history_tokens: int = 16000
    keep_turns: int = 3


@dataclass(frozen=True)
class Question:
    """A turn to answer, with all that the agent needs to know around it.

    ``alert`` tells of the alert that the thread began with, if it did (agent/alert_threads.py).
    ``thread`` holds the Slack thread's messages before the question, oldest first; those that the
    conversation has not seen yet are put in front of it. ``budget`` is the channel's, ``rules`` what is set for
    any channel. ``approving`` asks people where a tool changes something; None: there is no way to ask. ``signals``
    tell what people do to the turn while it runs. ``model`` and ``language`` are what the channel has instead of the
    configured model and the question's language. ``audience``: whose messages the channel's policy lets the answer
    show. ``images`` are those that came with the question.
    """

    turn: Turn
    lease: Lease
    requester: Requester
    channel_label: str
    workspace_url: str
    allowed_tools: frozenset[str]
    thread: Sequence[StoredMessage] = field(default=())
    budget: Budget = field(default=Budget())
    rules: ChannelRules = field(default=NoRules())
    alert: str = ""
    approving: Approving | None = None
    signals: Signals = field(default_factory=Signals)
    model: str = ""
    language: str = ""
    audience: Audience = "auto"
    images: Images = field(default=Images())

    def unseen(self, history: History) -> list[StoredMessage]:
        """Those messages of the question's Slack thread that the conversation has not seen."""
        seen = {self.turn.message_ts, *(message.additional_kwargs.get(TAKEN_IN) for message in history.messages)}
        return [m for m in self.thread if float(m.ts) > float(history.seen_upto_ts) and m.ts not in seen]


def with_thread(question: str, unseen: Sequence[StoredMessage]) -> str:
    """The question, after what was said in its thread."""
    if not unseen:
        return question
    lines = [f"[{m.posted_at.strftime('%Y-%m-%dT%H:%M:%SZ')}] {m.author}: {_one_line(m.text)}" for m in unseen]
    return "Earlier in this thread:\n" + "\n".join(lines) + "\n\n" + question


def _one_line(text: str) -> str:
    return " ".join(text.split())[:1500]
