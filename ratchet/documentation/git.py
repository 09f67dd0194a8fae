"""Documents in a git repository: in one on this machine, or in a shallow copy of another machine's."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from dulwich.client import HttpGitClient, default_urllib3_manager, get_transport_and_path
from dulwich.errors import GitProtocolError, NotGitRepository, NotTreeError, ObjectFormatException
from dulwich.object_store import iter_tree_contents
from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo
from urllib3.exceptions import HTTPError, MaxRetryError, NameResolutionError

from ratchet.documentation.config import GitConfig
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

REQUEST_SECONDS = 60.0
FETCH_SECONDS = 900.0
KEPT = Ref(b"refs/heads/documentation")  # what was fetched last, in the copy
UNREACHABLE = (GitProtocolError, NotGitRepository, HTTPError, OSError, ObjectFormatException, ValueError)
DAMAGED = (KeyError, NotGitRepository, ObjectFormatException, AssertionError)
Result = TypeVar("Result")


class GitSource:
    """Implements ``Source``. A document's path is the one in the repository.

    Args:
        config: the source.
        folder: where copies of repositories are kept.
    """

    kind = "git"

    def __init__(self, config: GitConfig, folder: Path) -> None:
        self.name = config.name
        self._config = config
        key = hashlib.sha256((config.url or "").encode()).hexdigest()[:12]
        self._copy = folder / f"{config.name}-{key}.git"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Snapshot]:
        """Fetch what is new, and list the files.

        Raises:
            SourceError: the repository cannot be read.
        """
        try:
            commit, ref, files = await _in_thread(self._list)
        except DAMAGED:  # by a machine that died, or by somebody else
            if self._config.path:
                raise SourceError(f"the repository {self._config.path} is damaged or incomplete") from None
            await asyncio.to_thread(shutil.rmtree, self._copy, ignore_errors=True)
            try:
                commit, ref, files = await _in_thread(self._list)
            except DAMAGED as error:
                raise SourceError(f"{self._place} sent an incomplete repository: {_reason(error)}") from error

        async def read(path: str) -> bytes:
            return await asyncio.to_thread(self._read, files[path])

        yield Snapshot(commit, files, read, lambda path: self._url(path, ref))

    async def check(self) -> str:
        """The commit that the branch is at.

        Raises:
            SourceError: the repository cannot be read, or has no such branch.
        """
        commit, ref = await _in_thread(self._find)
        return f"{self._place} at {ref}, {commit.decode()[:12]}"

    @property
    def _place(self) -> str:
        return str(self._config.path or self._config.url)

    def _url(self, path: str, ref: str) -> str:
        web = self._config.web_url
        parts = urlsplit(self._config.url or "")
        if web is None and parts.scheme in {"http", "https"}:  # where the usual servers show files
            web = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').removesuffix('.git')}/blob/{quote(ref)}"
        return document_url(self.name, web, path)

    def _open(self) -> Repo:
        if self._config.path:
            try:
                return Repo(str(self._config.path))
            except (NotGitRepository, OSError):
                raise SourceError(f"there is no git repository at {self._config.path}") from None
        if self._copy.exists():
            return Repo(str(self._copy))
        self._copy.mkdir(parents=True)
        return Repo.init_bare(str(self._copy))

    def _find(self) -> tuple[ObjectID, str]:
        """The commit or tag that is wanted, and the branch's name."""
        if self._config.path:
            with closing(self._open()) as repo:
                return self._chosen(repo.get_refs(), repo.refs.get_symrefs())
        try:
            with self._client() as (client, path):
                answer = client.get_refs(path.encode())
        except UNREACHABLE as error:
            raise SourceError(f"{self._place} cannot be read: {_reason(error)}") from error
        return self._chosen(answer.refs, answer.symrefs)

    def _chosen(self, refs: Mapping[Ref, ObjectID | None], symrefs: Mapping[Ref, Ref]) -> tuple[ObjectID, str]:
        wanted = self._config.ref
        if wanted is None:
            target = symrefs.get(Ref(b"HEAD"))
            sha = refs.get(Ref(b"HEAD")) or (refs.get(target) if target else None)
            if sha is None:
                raise SourceError(f"{self._place} has no default branch: give ref, such as main")
            return sha, target.decode().removeprefix("refs/heads/") if target else "HEAD"
        for name in (wanted, f"refs/heads/{wanted}", f"refs/tags/{wanted}"):
            if sha := refs.get(Ref(name.encode())):
                return sha, wanted.removeprefix("refs/heads/")
        if len(wanted) in (40, 64) and not wanted.strip("0123456789abcdef"):
            return ObjectID(wanted.encode()), wanted
        branches = sorted(r.decode().removeprefix("refs/heads/") for r in refs if r.startswith(b"refs/heads/"))
        shown = ", ".join(branches[:10]) or "none"
        raise SourceError(f"{self._place} has no branch or tag {wanted}; its branches are {shown}")

    def _list(self) -> tuple[str, str, dict[str, str]]:
        sha, ref = self._find()
        with closing(self._open()) as repo:
            if self._config.url and sha not in repo.object_store:
                self._fetch(repo, sha)
            found = repo[sha]
            while isinstance(found, Tag):
                found = repo[found.object[1]]
            if not isinstance(found, Commit):
                raise SourceError(f"{ref} of {self._place} is no commit")
            return found.id.decode(), ref, self._documents(repo, found.tree, ref)

    def _fetch(self, repo: Repo, sha: ObjectID) -> None:
        """Fetch one commit with its files and without its past."""
        try:
            with self._client() as (client, path):
                client.fetch(path.encode(), repo, determine_wants=lambda refs, depth=None: [sha], depth=1)
        except (*UNREACHABLE, KeyError) as error:
            raise SourceError(f"{self._place} cannot be fetched: {_reason(error)}") from error
        repo.refs[KEPT] = sha

    @contextmanager
    def _client(self) -> Iterator[tuple[Any, str]]:
        """A client, and the path to ask it for."""
        url = str(self._config.url)
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"}:
            yield get_transport_and_path(url)
            return
        token = self._config.token.get_secret_value() if self._config.token else None
        base = f"{parts.scheme}://{parts.netloc}"
        pool: Any = default_urllib3_manager(None, base_url=base, timeout=REQUEST_SECONDS)
        try:
            user = "x-access-token" if token else None
            yield HttpGitClient(base, pool_manager=pool, username=user, password=token), parts.path
        finally:
            pool.clear()  # the client itself closes no connection

    def _documents(self, repo: Repo, tree: ObjectID, ref: str) -> dict[str, str]:
        prefix = self._config.folder
        if prefix:
            root = repo[tree]
            assert isinstance(root, Tree)  # noqa: S101 - a commit's tree is one
            try:
                mode, tree = root.lookup_path(repo.object_store.__getitem__, prefix.encode())
            except (KeyError, NotTreeError):
                mode = 0
            if not stat.S_ISDIR(mode):
                raise SourceError(f"{self._place} has no folder {prefix} at {ref}")
        files: dict[str, str] = {}
        for entry in iter_tree_contents(repo.object_store, tree):
            if not stat.S_ISREG(entry.mode):
                continue
            inside = entry.path.decode("utf-8", "replace")
            path = f"{prefix}/{inside}" if prefix else inside
            if is_document(inside) and is_plain(path) and "�" not in path:
                files[path] = entry.sha.decode()
        return files

    def _read(self, blob: str) -> bytes:
        with closing(self._open()) as repo:
            try:
                found = repo[ObjectID(blob.encode())]
            except KeyError:
                raise DocumentError("its content is missing in the repository") from None
        if not isinstance(found, Blob):
            raise DocumentError("it is no file")
        if len(found.data) > LARGEST:
            raise DocumentError(too_large(len(found.data)))
        return found.data


async def _in_thread(work: Callable[[], Result]) -> Result:
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            return await asyncio.to_thread(work)
    except TimeoutError:
        raise SourceError(f"no end within {FETCH_SECONDS:g} s") from None


def _reason(error: Exception) -> str:
    if isinstance(error, MaxRetryError):
        host = getattr(error.pool, "host", None) or "the server"
        if isinstance(error.reason, NameResolutionError):
            return f"{host} cannot be resolved: check the url"
        return f"{host} does not answer ({type(error.reason).__name__})"
    return (" ".join(str(error).split()) or type(error).__name__)[:300]
