"""Files: the beginnings of texts that people share, fetched behind everything else."""

from __future__ import annotations

import aiohttp
import structlog
from procrastinate import Blueprint, JobContext, RetryStrategy

from slack_app.files import FileReader

log = structlog.get_logger()
QUEUE = "background"
RETRY = RetryStrategy(max_attempts=4, exponential_wait=4, retry_exceptions={aiohttp.ClientError, TimeoutError})
blueprint = Blueprint()


@blueprint.task(name="read_file", queue=QUEUE, pass_context=True, retry=RETRY)
async def read_file(
    context: JobContext, /, team_id: str, channel_id: str, ts: str, file_id: str, name: str, mimetype: str, url: str
) -> None:
    """Add the beginning of a text file to its message."""
    reader: FileReader = context.additional_context["files"]
    await reader.read(team_id, channel_id, ts, file_id=file_id, name=name, mimetype=mimetype, url=url)
