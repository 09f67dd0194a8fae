"""Evaluations that need a model: the configured one, or the offline demo model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import typer
from langchain_core.messages import BaseMessage

from agent.models import ModelChoice, build_chat_model
from agent.redaction import Redactor
from agent.runbooks import RunbookDraft
from agent.structured import invoke, read
from evals.runbooks import Report, Thread, evaluate
from ratchet.factories import choose_model, prepare_model
from ratchet.progress import pull_progress
from ratchet.settings import Settings, SettingsError, load_settings
from sandbox.server import SandboxConfig, open_sandbox
from sandbox.workspace import Workspace


async def judge_runbooks(threads: Sequence[Thread]) -> tuple[str, Report]:
    """Distil a runbook from each thread; returns the model's name and how good they are.

    Raises:
        SettingsError, ModelError: the configured model cannot be had.
    """
    settings = load_settings()
    async with _open_model(settings) as choice:
        model = build_chat_model(choice)

        async def ask(messages: list[BaseMessage]) -> RunbookDraft:
            return read(RunbookDraft, await invoke(model, RunbookDraft, messages))

        return choice.model, await evaluate(threads, ask, redactor=Redactor(settings.secrets()))


@asynccontextmanager
async def _open_model(settings: Settings) -> AsyncIterator[ModelChoice]:
    """The configured model; where there is none, the demo's, which says so on stderr."""
    try:
        choice = await choose_model(settings)
    except SettingsError:
        typer.echo(
            "note: no OPENAI_API_KEY and no Ollama found: the offline demo model answers. It picks sentences and does "
            "not reason.",
            err=True,
        )
        async with open_sandbox(SandboxConfig(rate_limits=False, brain="planner"), Workspace()) as sandbox:
            yield ModelChoice("openai", "offline-demo", sandbox.openai_url, "offline")
        return
    with pull_progress() as progress:
        await prepare_model(choice, progress)
    yield choice
