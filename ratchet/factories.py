"""Builds the parts out of the settings: which model answers, what each part is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from agent.approvals import describe_problem
from agent.classifier import ModelClassifier
from agent.errors import ModelError
from agent.json_answers import JSONModel
from agent.models import (
    ModelChoice,
    build_chat_model,
    check_model,
    ensure_ollama_model,
    is_ollama_reachable,
)
from agent.question import Limits
from agent.redaction import Redactor
from agent.retries import ModelCaller, Price
from agent.runbooks import Distiller
from agent.runner import Runner
from ratchet.classifying import SecondReading
from ratchet.help_channels.answering import DocsAnswerStep
from ratchet.help_channels.documents import StoredDocuments
from ratchet.help_channels.sweep import Sweep
from ratchet.jobs.queue import Enqueuer
from ratchet.monitors.asking import ChannelMonitors
from ratchet.monitors.config import load_monitors
from ratchet.monitors.step import MonitorStep
from ratchet.policies import Policies, Switched, policies_of
from ratchet.program import Program
from ratchet.recent_activity import RecentActivityStep
from ratchet.runbooks import RunbookStep
from ratchet.settings import Settings, SettingsError
from ratchet.steps import Poster, Step
from slack_app.app import build_client
from slack_app.approvals import Approvals
from slack_app.backfill import Backfill
from slack_app.directory import Directory
from slack_app.follow_ups import FollowUps
from slack_app.identity import Identity
from storage.db import Database
from tools.context import Documentation, Embedder
from tools.registry import load_catalogue

if TYPE_CHECKING:
    from tools.mcp.servers import McpServers

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


def channel_models(settings: Settings, choice: ModelChoice) -> dict[ModelChoice, str]:
    """The models that channels have instead of the configured one, each with the first setting that names it."""
    channels = {f"policies.channels.{name}.model": policy for name, policy in settings.policies.channels.items()}
    places: dict[str, str] = {}
    for place, policy in {"policies.default.model": settings.policies.default, **channels}.items():
        if policy.model not in {"", choice.model}:
            places.setdefault(policy.model, place)
    return {replace(choice, model=name): place for name, place in sorted(places.items())}


async def prepare_model(choice: ModelChoice, progress: PullProgress) -> None:
    """Make sure that the model can answer: pull it where it is missing, and ask its server.

    Raises:
        ModelError: it cannot be had.
    """
    if choice.provider == "ollama" and choice.url:
        await ensure_ollama_model(choice.url, choice.model, progress)
    await check_model(choice)


async def prepare_models(settings: Settings, choice: ModelChoice, progress: PullProgress) -> None:
    """The same for the configured model and those that channels have instead.

    Raises:
        ModelError: one of them cannot be had.
    """
    await prepare_model(choice, progress)
    for each, place in channel_models(settings, choice).items():
        with naming(place):
            await prepare_model(each, progress)


@contextmanager
def naming(place: str) -> Iterator[None]:
    """Have what is wrong with a model say which setting names it."""
    try:
        yield
    except ModelError as error:
        raise type(error)(f"{place}: {error}") from error


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
    mcp: McpServers | None = None,
    documentation: Documentation | None = None,
) -> Runner:
    """The agent on a database, a model and, where there are any, an embedding model, monitors and MCP servers.

    Raises:
        CatalogueError: a tool does not fit.
    """
    redactor = Redactor(settings.secrets())
    limits = settings.agent
    return Runner(
        database,
        build_chat_model(choice),
        load_catalogue(mcp.tools() if mcp else ()),
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
        tool_notes=mcp.instructions if mcp else None,
        documentation=documentation,
        build_model=lambda name: build_chat_model(replace(choice, model=name)),
    )


def build_policies(settings: Settings, runner: Runner, switched: Switched | None = None) -> Policies:
    """The configured policies over the catalogue, with what channel managers switched.

    Raises:
        PolicyError: one names a tool that does not exist, or limits what a model without a price may cost.
    """
    policies = policies_of(settings.policies, runner.catalogue, mcp_servers=settings.mcp.names, switched=switched)
    policies.check_prices(runner.model_name, settings.model.prices)
    return policies


def build_approvals(database: Database, enqueue: Enqueuer, runner: Runner) -> Approvals:
    """What takes people's decisions in."""

    def check(name: str, arguments: Mapping[str, Any]) -> str | None:
        tools = {entry.name: entry.tool for entry in runner.catalogue}  # as they are now: MCP servers change
        return describe_problem(tools[name], arguments) if name in tools else f"There is no tool {name} any more."

    return Approvals(database, enqueue, check)


def build_follow_ups(settings: Settings, policies: Policies) -> FollowUps:
    """What takes replies without a mention as follow-ups."""
    return FollowUps(
        anywhere=partial(policies.does_unasked_somewhere, "follow_ups"),
        wanted=partial(policies.does_unasked, "follow_ups"),
        seconds=settings.follow_ups.minutes * 60,
        quiet_seconds=settings.follow_ups.quiet_minutes * 60,
    )


def build_steps(
    settings: Settings,
    *,
    database: Database,
    runner: Runner,
    policies: Policies,
    poster: Poster,
    monitors: ChannelMonitors,
    directory: Directory,
    embedder: Embedder | None,
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
        DocsAnswerStep(
            database,
            StoredDocuments(database, embedder),
            runner.structured,
            redactor,
            policies,
            poster,
            directory,
            confidence=settings.docs_answer.confidence,
        ),
    ]


def build_sweep(settings: Settings, database: Database, policies: Policies, poster: Poster, team_id: str) -> Sweep:
    """Who follows up the questions of help channels."""
    return Sweep(
        database,
        team_id=team_id,
        policies=policies,
        poster=poster,
        hours=settings.unanswered.hours,
        confidence=settings.docs_answer.confidence,
    )


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
