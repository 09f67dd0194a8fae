"""Files that people share: what is kept of them, the beginning of those that are text, and the bytes of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import structlog

from storage import messages
from storage.db import Database

log = structlog.get_logger()
BEGINNING = 8192
TEXTS = {
    "application/json",
    "application/x-ndjson",
    "application/xml",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/sql",
    "application/x-sh",
    "application/x-python",
    "application/javascript",
}


@dataclass(frozen=True)
class File:
    """A shared file; ``size`` in bytes, ``preview`` the beginning of a text where Slack sends it along."""

    file_id: str
    name: str
    mimetype: str
    size: int
    permalink: str
    url: str
    preview: str

    @property
    def is_unread(self) -> bool:
        """Whether it is a text whose beginning must still be fetched.

        Not HTML: it could not be told from the sign-in page that Slack sends to those who may not read.
        """
        is_text = self.mimetype in TEXTS or (self.mimetype.startswith("text/") and self.mimetype != "text/html")
        return is_text and bool(self.url) and not self.preview

    @property
    def line(self) -> str:
        """The line that stands for it in a message's text."""
        return f"[file: {self.name} ({self.mimetype})]"

    def attrs(self) -> dict[str, Any]:
        """What the message keeps of it."""
        return {
            "id": self.file_id,
            "name": self.name,
            "mimetype": self.mimetype,
            "size": self.size,
            "permalink": self.permalink,
        }


def parse_files(value: Any) -> tuple[File, ...]:
    """The files of a message; nothing of what is no list of objects."""
    return tuple(_file(item) for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def _file(item: dict[str, Any]) -> File:
    size = item.get("size")
    return File(
        file_id=str(item.get("id") or ""),
        name=" ".join(str(item.get("name") or item.get("title") or "unnamed").split()),
        mimetype=str(item.get("mimetype") or "?"),
        size=size if isinstance(size, int) else 0,
        permalink=str(item.get("permalink") or ""),
        url=str(item.get("url_private") or ""),
        preview=str(item.get("preview") or "")[:BEGINNING],
    )


def image_type(content: bytes) -> str | None:
    """What kind of image these bytes begin, of those that models read; None for anything else."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None


class FileReader:
    """Fetches files with the bot's token, which goes to Slack's own hosts only."""

    def __init__(self, session: aiohttp.ClientSession, database: Database, *, token: str, api_url: str) -> None:
        self._session = session
        self._database = database
        self._token = token
        api = urlsplit(api_url)
        # files.slack.com beside slack.com; a server of another name serves its files itself.
        self._origins = {(api.scheme, api.netloc), ("https", f"files.{api.netloc}")}

    async def read(
        self, team_id: str, channel_id: str, ts: str, *, file_id: str, name: str, mimetype: str, url: str
    ) -> bool:
        """Add a file's beginning to the text of its message; False where nothing was added.

        Raises:
            aiohttp.ClientError, TimeoutError: it could not be fetched now.
        """
        beginning = await self._beginning(url)
        if not beginning:
            return False
        line = File(file_id, name, mimetype, 0, "", "", "").line
        async with self._database.connection() as conn:
            return await messages.add_file_text(
                conn, team_id, channel_id, ts, file_id=file_id, line=line, beginning=beginning
            )

    async def fetch(self, url: str, *, most: int) -> bytes | None:
        """A file's first ``most`` bytes; None where it is not Slack's, or Slack refuses it.

        Raises:
            aiohttp.ClientError, TimeoutError: it could not be fetched now.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        if (parts.scheme, parts.netloc) not in self._origins:
            log.warning("a file is not read: it lies on a foreign host", host=parts.netloc)
            return None
        headers = {"Authorization": f"Bearer {self._token}"}
        async with self._session.get(url, headers=headers, allow_redirects=False) as response:
            if response.status >= 500 or response.status == 429:
                response.raise_for_status()
            if response.status != 200 or response.content_type == "text/html":  # the sign-in page
                log.warning("a file is not read: Slack refuses it (scope files:read)", status=response.status)
                return None
            content = bytearray()
            while len(content) < most and (chunk := await response.content.read(most - len(content))):
                content += chunk
        return bytes(content)

    async def _beginning(self, url: str) -> str:
        content = await self.fetch(url, most=BEGINNING) or b""
        text = content.decode("utf-8", errors="ignore")
        if len(content) >= BEGINNING and "\n" in text:
            text = text[: text.rindex("\n")]
        return text.strip()
