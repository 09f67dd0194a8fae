"""The stored documentation as passages that the model may cite."""

from __future__ import annotations

import structlog

from agent.docs_answers import Passage
from ratchet.help_channels.answering import Found
from storage.access import Viewer
from storage.db import Database
from tools.context import Embedder
from tools.docs.finding import find_in_docs

log = structlog.get_logger()
PASSAGES = 5


class StoredDocuments:
    """Implements ``ratchet.help_channels.answering.Documents``."""

    def __init__(self, database: Database, embedder: Embedder | None) -> None:
        self._database = database
        self._embedder = embedder

    async def find(self, question: str, viewer: Viewer) -> Found:
        """The best passages, each with the lines as they stand in its document."""
        found, note = await find_in_docs(self._database, self._embedder, question, limit=PASSAGES, viewer=viewer)
        if note and self._embedder:
            log.warning("the documentation is searched by words alone", reason=note)
        passages = [
            Passage(hit.url, hit.title, hit.headings, hit.first_line, tuple(hit.text.split("\n"))) for hit in found.hits
        ]
        return Found(passages, found.confidence)
