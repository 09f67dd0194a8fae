"""Files: the beginnings of texts that people share, fetched behind everything else."""

from __future__ import annotations

from procrastinate import Blueprint, JobContext

from ratchet.jobs.answers import Backoff
from slack_app.files import FileReader

QUEUE = "background"
blueprint = Blueprint()


@blueprint.task(name="read_file", queue=QUEUE, pass_context=True, retry=Backoff(tries=4))
async def read_file(
    context: JobContext, /, team_id: str, channel_id: str, ts: str, file_id: str, name: str, mimetype: str, url: str
) -> None:
    """Add the beginning of a text file to its message."""
    reader: FileReader = context.additional_context["files"]
    await reader.read(team_id, channel_id, ts, file_id=file_id, name=name, mimetype=mimetype, url=url)
