"""Documents in a folder on this machine."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ratchet.documentation.config import LocalConfig
from ratchet.documentation.github import git_blob
from ratchet.documentation.source import (
    LARGEST,
    DocumentError,
    Snapshot,
    SourceError,
    document_url,
    is_document,
    is_plain,
    too_large,
)

MOST = 50_000


class LocalSource:
    """Implements ``Source``. Nothing outside the folder is read, whatever links say, and nothing hidden in it."""

    kind = "local"

    def __init__(self, config: LocalConfig) -> None:
        self.name = config.name
        self._root = config.path
        self._web_url = config.web_url

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Snapshot]:
        """Read every document, as only its bytes tell whether it changed.

        Raises:
            SourceError: the folder cannot be read.
        """
        root, paths, closed = await asyncio.to_thread(self._list)
        blobs, problems = await asyncio.to_thread(_blobs, root, paths)
        content = "".join(f"{path}\0{blob}\0" for path, blob in sorted(blobs.items()))

        async def read(path: str) -> bytes:
            return await asyncio.to_thread(_read, root, path)

        yield Snapshot(
            hashlib.sha256(content.encode()).hexdigest(),
            blobs,
            read,
            lambda path: document_url(self.name, self._web_url, path),
            problems | closed,
        )

    async def check(self) -> str:
        """How many documents the folder has.

        Raises:
            SourceError: it cannot be read.
        """
        root, paths, closed = await asyncio.to_thread(self._list)
        unread = f"; these cannot be read: {', '.join(closed)}" if closed else ""
        return f"{len(paths):,} documents in {root}{unread}"

    def _list(self) -> tuple[Path, list[str], dict[str, str]]:
        """The folder's real path, the documents in it, and why others, and folders, cannot be read."""
        try:
            root = self._root.resolve(strict=True)
            with os.scandir(root):
                pass
        except OSError as error:
            raise SourceError(f"the folder {self._root} cannot be read: {error.strerror}") from None
        found: list[str] = []
        closed: dict[str, str] = {}

        def note(error: OSError) -> None:
            inside = Path(error.filename).relative_to(root).as_posix()
            if inside == ".":
                raise SourceError(f"the folder {self._root} cannot be read: {error.strerror}") from None
            closed[f"{inside if is_plain(inside) else ascii(inside)}/"] = f"it cannot be read: {error.strerror}"

        for folder, folders, files in os.walk(root, onerror=note):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            inside = Path(folder).relative_to(root)
            for name in sorted(files):
                path = (inside / name).as_posix()
                try:
                    if is_document(path) and _stays_inside(root, path):
                        found.append(path)
                except OSError as error:
                    closed[path if is_plain(path) else ascii(path)] = f"it cannot be read: {error.strerror}"
            if len(found) > MOST:
                raise SourceError(f"the folder {self._root} has more than {MOST:,} documents: name one inside it")
        return root, found, closed


def _stays_inside(root: Path, path: str) -> bool:
    """Whether what a path leads to is in the folder and not hidden there.

    Raises:
        OSError: nobody can tell, such as without the right to look.
    """
    try:
        real = (root / path).resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError, RuntimeError):  # a link to nothing, or to itself
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    return real.is_relative_to(root) and not any(part.startswith(".") for part in real.relative_to(root).parts)


def _blobs(root: Path, paths: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    blobs: dict[str, str] = {}
    problems: dict[str, str] = {}
    for path in paths:
        if not is_plain(path):
            problems[ascii(path)] = "its name cannot be shown, or is too long"
            continue
        try:
            blobs[path] = git_blob(_read(root, path))
        except DocumentError as error:
            problems[path] = str(error)
    return blobs, problems


def _read(root: Path, path: str) -> bytes:
    """The bytes of a document; it may have become a link or a pipe since it was listed."""
    try:
        real = (root / path).resolve(strict=True)
        if not real.is_relative_to(root):
            raise DocumentError("it leads out of the folder")
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise DocumentError("it is no regular file")
            content = file.read(LARGEST + 1)
    except (OSError, RuntimeError) as error:
        raise DocumentError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > LARGEST:
        raise DocumentError(too_large(about.st_size))
    return content
