"""What a tool call needs."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import uuid4

import pytest

from storage.access import Viewer
from tools.context import NoRules, ToolContext


@pytest.fixture
def ask(memory):
    """Calls a tool as U1 in C1, a moment after everything that was said."""

    async def call(tool, *, user="U1", asked_in="C1", asked_thread=None, now=None, embedder=None, rules=None, **args):
        context = ToolContext(
            turn_id=uuid4(),
            viewer=Viewer("T1", user, asked_in),
            thread_ts=asked_thread,
            database=memory.database,
            now=now or datetime.now(UTC) + timedelta(seconds=2),
            workspace_url="https://acme.slack.com/",
            embedder=embedder,
            rules=rules or NoRules(),
        )
        return await tool.coroutine(runtime=SimpleNamespace(context=context), **args)

    return call
