"""The questions of help channels, by the clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog
from procrastinate import Blueprint, JobContext

from ratchet.jobs import maintenance

if TYPE_CHECKING:
    from ratchet.help_channels.sweep import Sweep

log = structlog.get_logger()
blueprint = Blueprint()


@blueprint.periodic(cron="*/10 * * * *")
@blueprint.task(name="questions", queue=maintenance.QUEUE, pass_context=True, queueing_lock="questions")
async def questions(context: JobContext, timestamp: int) -> None:
    """Nudge the owners of questions that nobody answers, and propose what the documentation lacks."""
    sweep: Sweep = context.additional_context["help_channels"]
    swept = await sweep.run()
    if swept.nudged or swept.proposed:
        log.info("questions followed up", nudged=swept.nudged, proposed=swept.proposed)
