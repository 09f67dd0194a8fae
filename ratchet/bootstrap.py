"""The composition root: opens every long-lived object in order, and closes them in reverse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, get_args

import aiohttp
import procrastinate
import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from agent.checkpoints import require_strict_msgpack
from agent.images import Sight
from agent.models import ModelChoice
from agent.runner import Runner
from ratchet.answering import Answering
from ratchet.approving import ApprovalDesk
from ratchet.classifying import SecondReading
from ratchet.commanding import Commanding
from ratchet.documentation.factory import open_refresher, open_updates
from ratchet.documentation.refresh import Refresher
from ratchet.embedders import open_embedder
from ratchet.explaining import Explainer, disabled_by
from ratchet.factories import (
    TOKENLESS,
    backfill_limit,
    build_approvals,
    build_backfill,
    build_follow_ups,
    build_monitors,
    build_policies,
    build_runner,
    build_second_reading,
    build_steps,
    build_sweep,
)
from ratchet.help_channels import clicks
from ratchet.help_channels.sweep import Sweep
from ratchet.home import HomeDesk
from ratchet.images import Screenshots
from ratchet.jobs.queue import Enqueuer, open_queue
from ratchet.mcp_servers import following, open_mcp
from ratchet.offering import Offering
from ratchet.outages import Outages
from ratchet.policies import Policies
from ratchet.reports.pictures import Pictures
from ratchet.reports.weekly import WeeklyReports
from ratchet.sections import Auto
from ratchet.settings import Settings, SettingsError
from ratchet.steering import Steering
from ratchet.steps import Poster, Steps
from ratchet.switches import open_switches
from slack_app import feedback, private_answers
from slack_app.app import build_app, build_client, identify
from slack_app.approvals import Approvals
from slack_app.approvers import ApproverDirectory
from slack_app.backfill import Backfill
from slack_app.burst import Burst
from slack_app.catch_up import CatchUp
from slack_app.directory import Directory
from slack_app.files import FileReader
from slack_app.identity import Identity
from slack_app.inbox import Inbox
from slack_app.live import Stage
from slack_app.outbox import Outbox
from slack_app.pace import Pacer
from slack_app.retrying import Retrying
from slack_app.uploads import Uploads
from storage.db import Database, open_database
from storage.embedded import open_embedded
from storage.migrate import check_schema, migrate
from storage.retention import Retention
from tools.context import Embedder

log = structlog.get_logger()


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
    commanding: Commanding
    offering: Offering
    approvals: Approvals
    steps: Steps
    outages: Outages
    weekly: WeeklyReports
    second_reading: SecondReading | None
    help_channels: Sweep
    refresher: Refresher | None
    home: HomeDesk

    def job_context(self) -> dict[str, Any]:
        """What the queue's tasks are given."""
        return {
            "answering": self.answering,
            "commanding": self.commanding,
            "approvals": self.approvals,
            "offering": self.offering,
            "outbox": self.slack.outbox,
            "backfill": self.slack.backfill,
            "backfill_limit": backfill_limit(self.settings),
            "database": self.database,
            "directory": self.slack.directory,
            "embedder": self.embedder,
            "enqueue": self.enqueue,
            "steps": self.steps,
            "files": self.slack.files,
            "weekly": self.weekly,
            "second_reading": self.second_reading,
            "help_channels": self.help_channels,
            "refresher": self.refresher,
            "home": self.home,
            "checkpoint_days": self.settings.agent.checkpoint_days,
            "retention": Retention(**self.settings.retention.model_dump()),
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
        burst = Burst()
        queue = await stack.enter_async_context(open_queue(database, burst))
        monitors = build_monitors(settings, database, choice)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        token = settings.slack.bot_token.get_secret_value()
        client = build_client(token, settings.slack.api_url, session)
        hasty = build_client(token, settings.slack.api_url, session, patient=False)
        identity = await identify(client)
        embedder = await stack.enter_async_context(open_embedder(settings, database, team_id=identity.team_id))
        mcp = await stack.enter_async_context(open_mcp(settings, database))
        updates = await stack.enter_async_context(open_updates(settings, database))
        runner = build_runner(settings, database, choice, embedder, monitors, mcp, updates)
        await stack.enter_async_context(following(mcp, runner))
        switches = await stack.enter_async_context(open_switches(database, identity.team_id))
        policies = build_policies(settings, runner, switches.states)
        enqueue = Enqueuer(queue)
        second = build_second_reading(settings, database, identity, choice, policies)
        directory = Directory(client, database, identity)
        backfill = build_backfill(settings, session, database, identity, enqueue)
        files = FileReader(session, database, token=token, api_url=settings.slack.api_url)
        dev_channel = settings.slack.dev_channel if settings.dev_mode else None
        pacer = Pacer()
        outbox = Outbox(client, database, dev_channel=dev_channel, pacer=pacer)
        uploads = Uploads(client, database, dev=dev_channel is not None)
        poster = Poster(database, outbox)
        all_steps = build_steps(
            settings,
            database=database,
            runner=runner,
            policies=policies,
            poster=poster,
            monitors=monitors,
            directory=directory,
            embedder=embedder,
        )
        steps = Steps(database, all_steps)
        approvals = build_approvals(database, enqueue, runner)
        retrying = Retrying(database)
        offering = Offering(
            database,
            client=hasty,
            directory=directory,
            policies=policies,
            outbox=outbox,
            enqueue=enqueue,
            enabled=dev_channel is None,
        )
        home = HomeDesk(
            database,
            client=client,
            identity=identity,
            directory=directory,
            policies=policies,
            switches=switches,
            features=get_args(Auto),
        )
        inbox = Inbox(
            database,
            identity,
            enqueue,
            wants_steps=steps.may_want,
            again=second.wanted if second else None,
            deciders=(
                approvals.decide,
                feedback.decide,
                retrying.decide,
                private_answers.decide,
                home.decide,
                clicks.decide,
            ),
            burst=burst,
            follow_ups=build_follow_ups(settings, policies),
        )
        desk = ApprovalDesk(
            database,
            policies=policies,
            directory=ApproverDirectory(client, database, identity.team_id),
            identity=identity,
            decisions=approvals,
            uploads=uploads,
            enqueue=enqueue,
            minutes=settings.approvals.minutes,
        )
        secret = settings.slack.signing_secret
        app = build_app(client, secret.get_secret_value() if secret else None, inbox, approvals, retrying)
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
            weekly=WeeklyReports(
                database,
                policies=policies,
                identity=identity,
                directory=directory,
                outbox=outbox,
                uploads=uploads,
                enqueue=enqueue,
            ),
            second_reading=second,
            help_channels=build_sweep(settings, database, policies, poster, identity.team_id),
            refresher=await stack.enter_async_context(open_refresher(settings, database)),
            home=home,
            slack=SlackServices(client, identity, app, inbox, outbox, directory, backfill, files),
            answering=Answering(
                database,
                runner=runner,
                client=client,
                stage=Stage(hasty, database, pacer, enabled=dev_channel is None),
                identity=identity,
                outbox=outbox,
                pictures=Pictures(database, uploads),
                screenshots=Screenshots(
                    database, client=client, files=files, sight=Sight(choice, settings.model.images)
                ),
                directory=directory,
                backfill=backfill,
                catch_up=CatchUp(hasty, inbox),
                policies=policies,
                offering=offering,
                approvals=desk,
                steering=Steering(database),
                enqueue=enqueue,
                attempts=settings.jobs.attempts,
            ),
            commanding=Commanding(
                database,
                explainer=Explainer(policies, runner.catalogue, disabled_by(mcp)),
                policies=policies,
                model_name=runner.model_name,
                client=client,
                session=session,
                identity=identity,
                directory=directory,
                desk=desk,
                outbox=outbox,
                attempts=settings.jobs.attempts,
            ),
            offering=offering,
            approvals=approvals,
            outages=Outages(database, identity.team_id, enqueue),
        )
