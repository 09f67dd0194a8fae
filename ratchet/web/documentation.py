"""``GET /api/documentation``: how far the reading of each source is."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from ratchet.bootstrap import Services
from ratchet.documentation.source import Source
from storage.doc_sources import SourceState


def mount_documentation(app: FastAPI, services: Services) -> None:
    """Add the route."""

    @app.get("/api/documentation")
    async def documentation() -> dict[str, list[dict[str, Any]]]:
        """The configured sources in their order; none where there is no file of sources."""
        states = await services.refresher.states() if services.refresher else []
        return {"sources": [_show(source, state) for source, state in states]}


def _show(source: Source, state: SourceState | None) -> dict[str, Any]:
    if state is None:
        return {"name": source.name, "type": source.kind, "state": "waiting"}
    return {
        "name": source.name,
        "type": source.kind,
        "state": state.state,
        "done": state.done,
        "total": state.total,
        "failed": state.failed,
        "error": state.error,
        "problems": state.problems,
        "revision": state.revision,
        "started_at": state.started_at,
        "finished_at": state.finished_at,
    }
