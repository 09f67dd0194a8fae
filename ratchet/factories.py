"""Builds the parts out of the settings: which model answers, what each part is given."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp

from agent.classifier import ModelClassifier
from agent.json_answers import JSONModel
from agent.models import (
    ModelChoice,
    build_chat_model,
    check_model,
    ensure_ollama_model,
    is_ollama_reachable,
)
from agent.redaction import Redactor
from agent.retries import ModelCaller, Price
from agent.runbooks import Distiller
from agent.runner import Limits, Runner
from ratchet.classifying import SecondReading
from ratchet.jobs.queue import Enqueuer
from ratchet.monitors.asking import ChannelMonitors
from ratchet.monitors.config import load_monitors
from ratchet.monitors.step import MonitorStep
from ratchet.policies import Policies, policies_of
from ratchet.program import Program
from ratchet.recent_activity import RecentActivityStep
from ratchet.runbooks import RunbookStep
from ratchet.settings import Settings, SettingsError
from ratchet.steps import Poster, Step
from slack_app.app import build_client
from slack_app.backfill import Backfill
from slack_app.directory import Directory
from slack_app.identity import Identity
from storage.db import Database
from tools.context import Embedder
from tools.registry import load_catalogue

TOKENLESS = "no Slack bot token: set RATCHET_SLACK_BOT_TOKEN (xoxb-…)"
BACKFILL_MESSAGES = 1000
BACKFILL_MESSAGES_DEV = 10
PullProgress = Callable[[str, int, int], None]


async def choose_model(settings: Settings) -> ModelChoice:
    """Which model answers: as configured, else OpenAI when a key or URL is set, else a reachable Ollama.

    Raises:
        SettingsError: there is none.
    """
    provider = settings.model.provider
    openai, ollama = settings.openai, settings.ollama
    if provider == "auto":
        if openai.api_key or openai.url:
            provider = "openai"
        elif await is_ollama_reachable(ollama.host):
            provider = "ollama"
        else:
            raise SettingsError(
                "no model: set OPENAI_API_KEY, or RATCHET_OPENAI_URL for a compatible server, "
                f"or start Ollama at {ollama.host} (OLLAMA_HOST)"
            )
    seconds = settings.model.timeout_seconds
    if provider == "openai":
        key = openai.api_key.get_secret_value() if openai.api_key else None
        return ModelChoice("openai", openai.model, openai.url, key, seconds)
    return ModelChoice("ollama", ollama.model, ollama.host, None, seconds)


async def prepare_model(choice: ModelChoice, progress: PullProgress) -> None:
    """Make sure that the model can answer: pull it where it is missing, and ask its server.

    Raises:
        ModelError: it cannot be had.
    """
    if choice.provider == "ollama" and choice.url:
        await ensure_ollama_model(choice.url, choice.model, progress)
    await check_model(choice)


def build_caller(settings: Settings, database: Database, choice: ModelChoice) -> ModelCaller:
    """What calls the model and records each call with its cost."""
    return ModelCaller(
        database,
        model=choice.model,
        tries=settings.model.tries,
        prices={name: Price(price.input, price.output) for name, price in settings.model.prices.items()},
        redactor=Redactor(settings.secrets()),
    )


def build_second_reading(
    settings: Settings, database: Database, identity: Identity, choice: ModelChoice, policies: Policies
) -> SecondReading | None:
    """Who reads bots' messages once more; None where nobody is configured to."""
    binary, model = settings.classifier.incident_classification_binary, settings.classifier.model == "on"
    if not binary and not model:
        return None
    return SecondReading(
        database,
        identity,
        policies,
        program=Program(binary) if binary else None,
        model=ModelClassifier(database, build_chat_model(choice), build_caller(settings, database, choice))
        if model
        else None,
    )


def build_monitors(settings: Settings, database: Database, choice: ModelChoice) -> ChannelMonitors:
    """The channel monitors, as configured.

    Raises:
        SettingsError: one is not as it must be.
    """
    path = settings.channel_monitor_config_file
    caller, redactor = build_caller(settings, database, choice), Redactor(settings.secrets())
    model = JSONModel(build_chat_model(choice), caller, database, redactor, choice.provider)
    return ChannelMonitors(load_monitors(path) if path else [], model)


def build_runner(
    settings: Settings,
    database: Database,
    choice: ModelChoice,
    embedder: Embedder | None = None,
    monitors: ChannelMonitors | None = None,
) -> Runner:
    """The agent on a database, a model and, to search by meaning, an embedding model.

    Raises:
        CatalogueError: a tool does not fit.
    """
    redactor = Redactor(settings.secrets())
    limits = settings.agent
    return Runner(
        database,
        build_chat_model(choice),
        load_catalogue(),
        caller=build_caller(settings, database, choice),
        limits=Limits(
            model_calls=limits.model_calls,
            tool_calls=limits.tool_calls,
            turn_seconds=limits.turn_seconds,
            tool_seconds=limits.tool_seconds,
            result_bytes=limits.tool_result_bytes,
            history_tokens=limits.history_tokens,
            keep_turns=limits.keep_turns,
        ),
        redactor=redactor,
        embedder=embedder,
        monitors=monitors,
    )


def build_policies(settings: Settings, runner: Runner) -> Policies:
    """The configured policies over the catalogue.

    Raises:
        PolicyError: one names a tool that does not exist, or limits what a model without a price may cost.
    """
    policies = policies_of(settings.policies, runner.catalogue)
    policies.check_prices(runner.model_name, settings.model.prices)
    return policies


def build_steps(
    settings: Settings,
    *,
    database: Database,
    runner: Runner,
    policies: Policies,
    poster: Poster,
    monitors: ChannelMonitors,
    directory: Directory,
) -> list[Step]:
    """What Ratchet does by itself with new messages, in this order (behaviour A8)."""
    redactor = Redactor(settings.secrets())
    judges = [
        MonitorStep(
            m, monitors, database=database, directory=directory, policies=policies, poster=poster, redactor=redactor
        )
        for m in monitors.all
    ]
    distiller = Distiller(database, runner.structured, redactor)
    return [
        *judges,
        RunbookStep(database, distiller, policies, poster),
        RecentActivityStep(database, policies, poster),
    ]


def backfill_limit(settings: Settings) -> int:
    """How many messages of a channel's past are read."""
    return BACKFILL_MESSAGES_DEV if settings.dev_mode else BACKFILL_MESSAGES


def build_backfill(
    settings: Settings, session: aiohttp.ClientSession, database: Database, identity: Identity, enqueue: Enqueuer
) -> Backfill:
    """The reader of the past; its client does not wait out rate limits itself.

    Raises:
        SettingsError: there is no bot token.
    """
    if settings.slack.bot_token is None:
        raise SettingsError(TOKENLESS)
    token = settings.slack.bot_token.get_secret_value()
    client = build_client(token, settings.slack.api_url, session, patient=False)
    return Backfill(
        client,
        database,
        identity,
        Directory(client, database, identity),
        enqueue,
        answer_seconds=settings.slack.answer_missed_seconds,
    )
