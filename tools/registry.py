"""Finds the catalogue: the built-in tools and those that teams install, and refuses what does not fit."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Literal, cast, get_args

from langchain_core.tools import BaseTool, StructuredTool, Tool

import tools

ENTRY_POINT_GROUP = "ratchet.tools"
BUILT_IN = "built-in"
Effect = Literal["read", "post", "change"]


class CatalogueError(Exception):
    """A tool cannot be offered; the message names it and says what to do."""


@dataclass(frozen=True)
class CatalogueEntry:
    """A tool with where it comes from and what it does to the world.

    ``effect`` is ``read``, ``post`` (writes something that people see) or ``change`` (needs approval).
    """

    name: str
    source: str
    effect: Effect
    tool: BaseTool


def load_catalogue(others: Iterable[tuple[str, BaseTool]] = ()) -> list[CatalogueEntry]:
    """Every tool: built-in ones first, then those of the entry-point group ``ratchet.tools``, then others.

    Args:
        others: tools from elsewhere, such as MCP servers, with their sources.

    Raises:
        CatalogueError: a tool that breaks the contract, cannot be imported, or bears a taken name.
    """
    return build_catalogue([*_built_in(), *_installed(entry_points(group=ENTRY_POINT_GROUP)), *others])


def build_catalogue(found: Iterable[tuple[str, BaseTool]]) -> list[CatalogueEntry]:
    """Check tools, given with their sources, and refuse two of one name.

    Raises:
        CatalogueError: as ``load_catalogue``.
    """
    catalogue: dict[str, CatalogueEntry] = {}
    for source, tool in found:
        entry = _check(source, tool)
        taken = catalogue.get(entry.name)
        if taken:
            raise CatalogueError(
                f"two tools are named {entry.name!r}: one is {taken.source}, the other {source}. Rename one of them."
            )
        catalogue[entry.name] = entry
    return list(catalogue.values())


def _built_in() -> Iterable[tuple[str, BaseTool]]:
    for module in sorted(pkgutil.iter_modules(tools.__path__), key=lambda module: module.name):
        candidate = getattr(import_module(f"tools.{module.name}"), module.name, None)
        if isinstance(candidate, BaseTool):
            yield BUILT_IN, candidate


def _installed(points: Iterable[EntryPoint]) -> Iterable[tuple[str, BaseTool]]:
    for point in sorted(points, key=lambda point: point.name):
        source = f"entry point {point.name} ({point.value})"
        try:
            loaded = point.load()
        except Exception as error:
            raise CatalogueError(f"{source} cannot be imported: {type(error).__name__}: {error}") from error
        for tool in loaded if isinstance(loaded, list | tuple) else [loaded]:
            if not isinstance(tool, BaseTool):
                raise CatalogueError(f"{source} must be a LangChain tool or a list of them, not {type(tool).__name__}")
            yield source, tool


def _check(source: str, tool: BaseTool) -> CatalogueEntry:
    effect = (tool.extras or {}).get("effect")
    if effect not in get_args(Effect):
        raise CatalogueError(
            f"tool {tool.name!r} ({source}) does not say what it does: "
            f'add extras={{"effect": "read"}}, or "post", or "change"; it has {effect!r}'
        )
    if not tool.description.strip():
        raise CatalogueError(f"tool {tool.name!r} ({source}) has no description: the model picks tools by it")
    if not _is_async(tool):
        raise CatalogueError(f"tool {tool.name!r} ({source}) is not async: define it with `async def`")
    if tool.return_direct:
        raise CatalogueError(f"tool {tool.name!r} ({source}) sets return_direct: its result must go back to the model")
    return CatalogueEntry(name=tool.name, source=source, effect=cast("Effect", effect), tool=tool)


def _is_async(tool: BaseTool) -> bool:
    """Whether it runs on the event loop: LangChain would run a plain function in a thread."""
    if isinstance(tool, StructuredTool | Tool):
        return tool.coroutine is not None
    return type(tool)._arun is not BaseTool._arun
