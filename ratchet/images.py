"""The images that come with a question: fetched from Slack for a model that can see, and kept nowhere."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from agent.images import Image, Images, Sight
from slack_app.errors import reason
from slack_app.files import FileReader, image_type
from storage import messages, retries
from storage.access import Viewer
from storage.db import Database
from storage.turns import Turn

log = structlog.get_logger()
MOST_IMAGES = 4
MOST_TRIED = 8  # of those that are said to be images
MOST_BYTES = 5_000_000  # of one
MOST_BYTES_OF_ALL = 8_000_000  # of a question; they are held until it is answered
AT_ONCE = 4  # questions whose images are fetched at the same time
BLIND = (
    "_I cannot see images with this model, so I answer from the words alone. Describe what the image shows, or paste "
    "its text._"
)
TOO_MANY = f"I look at {MOST_IMAGES} images of a message at most"
TOO_LARGE = f"it is larger than {MOST_BYTES // 1_000_000} MB"
TOO_LARGE_TOGETHER = f"the images are larger than {MOST_BYTES_OF_ALL // 1_000_000} MB together"
NO_KIND = "I can look at PNG, JPEG, GIF and WebP only"
NOT_THERE = "Slack did not give it to me"


class Screenshots:
    """Finds the images of questions."""

    def __init__(self, database: Database, *, client: AsyncWebClient, files: FileReader, sight: Sight) -> None:
        self._database = database
        self._client = client
        self._files = files
        self._sight = sight
        self._fetching = asyncio.Semaphore(AT_ONCE)

    async def of(self, turn: Turn, viewer: Viewer, model: str) -> Images:
        """The images in the messages that asked, as far as this model may be shown them; never an error.

        Of a retry, or an answer in private, they are those of the turn that it goes back to.
        """
        files: list[dict[str, Any]] = []
        async with self._database.connection() as conn:
            for channel_id, ts in await retries.list_asked(conn, viewer, turn.turn_id):
                files += await messages.list_files(conn, turn.team_id, channel_id, ts)
        found = [file for file in files if str(file.get("mimetype", "")).startswith("image/")]
        if not found:
            return Images()
        if not await self._sight.sees(model):
            return Images(note=BLIND)
        async with self._fetching:
            return await self._look(found)

    async def _look(self, found: Sequence[Mapping[str, Any]]) -> Images:
        """Those that can be shown, and what is to be said of the others."""
        shown: list[Image] = []
        problems = []
        room = MOST_BYTES_OF_ALL
        for number, file in enumerate(found):
            name = _name(file)
            if len(shown) == MOST_IMAGES or number >= MOST_TRIED:
                problems.append((name, TOO_MANY))
                continue
            content, problem = await self._fetch(str(file.get("id") or ""), min(room, MOST_BYTES))
            kind = image_type(content)
            if kind is None:
                problems.append((name, problem or NO_KIND))
                continue
            room -= len(content)
            shown.append(Image(name, kind, base64.b64encode(content).decode()))
        note = "\n".join(f"I did not look at `{name}`: {why}." for name, why in problems)
        return Images(tuple(shown), note)

    async def _fetch(self, file_id: str, most: int) -> tuple[bytes, str]:
        """An image's bytes, or why there are none."""
        too_large = TOO_LARGE if most == MOST_BYTES else TOO_LARGE_TOGETHER
        try:
            file: Mapping[str, Any] = (await self._client.files_info(file=file_id)).get("file") or {}
            size = file.get("size")
            if isinstance(size, int) and size > most:
                return b"", too_large
            content = await self._files.fetch(str(file.get("url_private") or ""), most=most + 1)
        except SlackApiError as error:
            log.warning("an image was not fetched", file_id=file_id, error=reason(error))
            return b"", NOT_THERE
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("an image was not fetched", file_id=file_id, error=str(error) or type(error).__name__)
            return b"", NOT_THERE
        if content is None:
            return b"", NOT_THERE
        return (content, "") if len(content) <= most else (b"", too_large)


def _name(file: Mapping[str, Any]) -> str:
    return str(file.get("name") or "an image").replace("`", "'")[:100]
