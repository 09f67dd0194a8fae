"""The composition root: opens every long-lived object in order, and closes them in reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import procrastinate
import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from agent.checkpoints import require_strict_msgpack
from agent.classifier import ModelClassifier
from agent.models import (
    ModelChoice,
    build_chat_model,
    check_model,
    ensure_ollama_model,
    is_ollama_reachable,
)
from agent.redaction import Redactor
from agent.retries import ModelCaller, Price
from agent.runner import Limits, Runner
from ratchet.answering import Answering
from ratchet.classifying import SecondReading
from ratchet.embedders import open_embedder
from ratchet.jobs.queue import Enqueuer, open_queue
from ratchet.outages import Outages
from ratchet.policies import Policies, Rule
from ratchet.program import Program
from ratchet.sections import Policy
from ratchet.settings import Settings, SettingsError
from ratchet.steps import Poster, Step, Steps
from slack_app.app import build_app, build_client, identify
from slack_app.backfill import Backfill
from slack_app.catch_up import CatchUp
from slack_app.directory import Directory
from slack_app.files import FileReader
from slack_app.identity import Identity
from slack_app.inbox import Inbox
from slack_app.outbox import Outbox
from storage.db import Database, open_database
from storage.embedded import open_embedded
from storage.migrate import check_schema, migrate
from tools.context import Embedder
from tools.registry import load_catalogue

log = structlog.get_logger()
TOKENLESS = "no Slack bot token: set RATCHET_SLACK_BOT_TOKEN (xoxb-…)"
BACKFILL_MESSAGES = 1000
BACKFILL_MESSAGES_DEV = 10
PullProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SlackServices:
    """What talks to Slack."""

    client: AsyncWebClient
    identity: Identity
    app: AsyncApp
    inbox: Inbox
    outbox: Outbox
    directory: Directory
    backfill: Backfill
    files: FileReader


@dataclass(frozen=True)
class Services:
    """Everything that a process runs on."""

    settings: Settings
    database: Database
    queue: procrastinate.App
    runner: Runner
    policies: Policies
    model: ModelChoice
    embedder: Embedder | None
    enqueue: Enqueuer
    slack: SlackServices
    answering: Answering
    steps: Steps
    outages: Outages
    second_reading: SecondReading | None

    def job_context(self) -> dict[str, Any]:
        """What the queue's tasks are given."""
        return {
            "answering": self.answering,
            "backfill": self.slack.backfill,
            "backfill_limit": backfill_limit(self.settings),
            "database": self.database,
            "directory": self.slack.directory,
            "embedder": self.embedder,
            "enqueue": self.enqueue,
            "steps": self.steps,
            "files": self.slack.files,
            "second_reading": self.second_reading,
            "checkpoint_days": self.settings.agent.checkpoint_days,
        }


@asynccontextmanager
async def open_storage(settings: Settings, *, prepare: bool | None = None) -> AsyncIterator[Database]:
    """Open the configured database, or the embedded one.

    Args:
        settings: where it is.
        prepare: migrate it (True) or insist that it is migrated (False); default: migrate the embedded one.

    Raises:
        StorageError: it cannot be reached, or its schema does not fit.
    """
    async with AsyncExitStack() as stack:
        url = settings.database_url
        embedded = url is None
        if url is None:
            url = await stack.enter_async_context(
                open_embedded(settings.data_dir / "postgres", name=settings.database.name)
            )
        database = await stack.enter_async_context(open_database(url, max_size=settings.database.pool_size))
        if embedded if prepare is None else prepare:
            await migrate(database)
        else:
            await check_schema(database)
        yield database


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
    settings: Settings, database: Database, identity: Identity, choice: ModelChoice
) -> SecondReading | None:
    """Who reads bots' messages once more; None where nobody is configured to."""
    binary, model = settings.classifier.incident_classification_binary, settings.classifier.model == "on"
    if not binary and not model:
        return None
    return SecondReading(
        database,
        identity,
        program=Program(binary) if binary else None,
        model=ModelClassifier(database, build_chat_model(choice), build_caller(settings, database, choice))
        if model
        else None,
    )


def build_runner(
    settings: Settings, database: Database, choice: ModelChoice, embedder: Embedder | None = None
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
    )


def build_policies(settings: Settings, runner: Runner) -> Policies:
    """The configured policies over the catalogue.

    Raises:
        PolicyError: one names a tool that does not exist.
    """

    def rule(policy: Policy) -> Rule:
        return Rule(tuple(policy.tools), policy.allow_guests, tuple(policy.auto))

    channels = {name: rule(policy) for name, policy in settings.policies.channels.items()}
    return Policies(rule(settings.policies.default), channels, runner.catalogue)


def build_steps(settings: Settings, *, runner: Runner, policies: Policies, poster: Poster) -> list[Step]:
    """What Ratchet does by itself with new messages, in this order (behaviour A8)."""
    return []


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


@asynccontextmanager
async def open_services(
    settings: Settings, choice: ModelChoice, *, prepare: bool | None = None
) -> AsyncIterator[Services]:
    """Open database, queue, agent and Slack.

    Raises:
        SettingsError, StorageError, SlackError, CatalogueError, PolicyError: what is wrong, in one line.
    """
    require_strict_msgpack()
    if settings.slack.bot_token is None:
        raise SettingsError(TOKENLESS)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_storage(settings, prepare=prepare))
        queue = await stack.enter_async_context(open_queue(database))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        token = settings.slack.bot_token.get_secret_value()
        client = build_client(token, settings.slack.api_url, session)
        identity = await identify(client)
        embedder = await stack.enter_async_context(open_embedder(settings, database, team_id=identity.team_id))
        runner = build_runner(settings, database, choice, embedder)
        policies = build_policies(settings, runner)
        enqueue = Enqueuer(queue)
        second = build_second_reading(settings, database, identity, choice)
        directory = Directory(client, database, identity)
        backfill = build_backfill(settings, session, database, identity, enqueue)
        files = FileReader(session, database, token=token, api_url=settings.slack.api_url)
        dev_channel = settings.slack.dev_channel if settings.dev_mode else None
        outbox = Outbox(client, database, dev_channel=dev_channel)
        steps = Steps(
            database, build_steps(settings, runner=runner, policies=policies, poster=Poster(database, outbox))
        )
        inbox = Inbox(database, identity, enqueue, wants_steps=steps.may_want, again=second.wanted if second else None)
        secret = settings.slack.signing_secret
        hasty = build_client(token, settings.slack.api_url, session, patient=False)
        app = build_app(client, secret.get_secret_value() if secret else None, inbox)
        yield Services(
            settings=settings,
            database=database,
            queue=queue,
            runner=runner,
            policies=policies,
            model=choice,
            embedder=embedder,
            enqueue=enqueue,
            steps=steps,
            second_reading=second,
            slack=SlackServices(client, identity, app, inbox, outbox, directory, backfill, files),
            answering=Answering(
                database,
                runner=runner,
                client=client,
                status_client=hasty,
                identity=identity,
                outbox=outbox,
                directory=directory,
                backfill=backfill,
                catch_up=CatchUp(hasty, inbox),
                policies=policies,
                enqueue=enqueue,
                attempts=settings.jobs.attempts,
            ),
            outages=Outages(database, identity.team_id, enqueue),
        )
