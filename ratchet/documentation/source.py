"""What a source of documentation is: it can be opened, and then tells which documents it has and hands them out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Protocol
from urllib.parse import quote

EXTENSIONS = frozenset({".md", ".mdx", ".rst", ".txt"})
LARGEST = 1024 * 1024
LONGEST_PATH = 500


class SourceError(Exception):
    """A source cannot be read now; the message says why, in one line. What is stored of it stays."""


class DocumentError(Exception):
    """One document cannot be read; the message says why, in one line. Its old copy stays."""


@dataclass(frozen=True)
class Snapshot:
    """What a source holds at one moment.

    Attributes:
        revision: identifies the content, such as a commit.
        blobs: the git blob of each document, by its path inside the source.
        read: gives a document's bytes, by its path; several may be read at once.
        url: a document's URL, by its path.
        problems: documents that are there and cannot be read: the reason by path. A path that ends with ``/`` is
            a folder, and stands for whatever is below it.
    """

    revision: str
    blobs: Mapping[str, str]
    read: Callable[[str], Awaitable[bytes]]
    url: Callable[[str], str]
    problems: Mapping[str, str] = field(default_factory=dict)


class Source(Protocol):
    """Where documents come from."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    @property
    def kind(self) -> str:
        """Its type in the configuration."""

    def open(self) -> AbstractAsyncContextManager[Snapshot]:
        """Look at what it holds now.

        Raises:
            SourceError: on entering, or while documents are read.
            DocumentError: by ``Snapshot.read``, of that document.
        """

    async def check(self) -> str:
        """Find out quickly whether it can be read; returns what there is to say about it.

        Raises:
            SourceError: it cannot.
        """


def is_document(path: str) -> bool:
    """Whether a path, with ``/``, is one of a document: the ending fits, and nothing in it is hidden."""
    parts = PurePosixPath(path)
    return parts.suffix.lower() in EXTENSIONS and not any(part.startswith(".") for part in parts.parts)


def is_plain(path: str) -> bool:
    """Whether a path can be stored and shown."""
    return path.isprintable() and len(path) <= LONGEST_PATH


def document_url(name: str, web_url: str | None, path: str) -> str:
    """A document's URL: below the one that is configured, else ``docs://SOURCE/PATH``, which names it only."""
    return f"{web_url or f'docs://{name}'}/{quote(path)}"


def too_large(size: int) -> str:
    """The reason for a document of so many bytes."""
    return f"it has {size:,} bytes; the most is {LARGEST:,}"
