"""Updates of documents: what edits make of a file as it is on GitHub now, and a draft pull request of that.

Only documents of a GitHub source that operators opened with ``updates: true``, in the source's folder, with an ending
of documents, and nothing hidden: never ``.github/workflows``. They are indexed, or new. Only branches of our own are
written, never the one that people merge into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import structlog
from langchain_core.tools import ToolException

from agent.redaction import MASK
from ratchet.documentation.github import NONE, File, GitHub, GitHubError, segments
from ratchet.documentation.source import LARGEST, is_document, is_plain
from storage import documents
from storage.db import Database
from tools.context import DocumentChange, OutcomeUnknown, PullRequest, TextEdit
from tools.docs.edits import EditError, apply_edits, new_text

log = structlog.get_logger()
BRANCHES = "ratchet/docs-"
CONFLICT = (
    "Not done: {path} in {repository} was changed between the request and now, so the approved diff does not fit any "
    "more. No pull request was opened. Read the document again, and propose the update anew if it is still needed."
)


@dataclass(frozen=True)
class Target:
    """A GitHub source whose documents may be updated.

    Attributes:
        github: its repository.
        folder: of the repository, without slashes around it; empty for all of it.
        ref: the branch that it is read from; None for the default branch.
    """

    github: GitHub
    folder: str = ""
    ref: str | None = None

    def holds(self, path: str) -> bool:
        """Whether an update may change this file.

        Raises:
            GitHubError: it is no path inside a repository.
        """
        segments(path)
        return is_document(path) and (not self.folder or path.startswith(f"{self.folder}/"))

    async def branch(self) -> str:
        """The branch that updates are to be merged into.

        Raises:
            GitHubError: the source is read from something that is not a branch, or GitHub fails.
        """
        if self.ref is None:
            return await self.github.default_branch()
        if await self.github.branch(self.ref) is None:
            raise GitHubError(f"{self.github.repository} is read at {self.ref}, which is not a branch")
        return self.ref


@dataclass(frozen=True)
class Place:
    """A file of a source; ``is_new``: it is not indexed, so it may only be created."""

    source: str
    path: str
    target: Target
    is_new: bool = False


class Updates:
    """Implements ``tools.context.Documentation``.

    Args:
        database: where the documents are.
        targets: the sources that may be updated, by name.
        clean: puts ``MASK`` in the place of secrets; text that brings more of them is refused.
        seconds: how long a call of a tool may take.
        attempts: how often a turn that fails is run, before it is given up.
    """

    def __init__(
        self,
        database: Database,
        targets: Mapping[str, Target],
        clean: Callable[[str], str],
        *,
        seconds: float = 60.0,
        attempts: int = 1,
    ) -> None:
        self._database = database
        self._targets = dict(targets)
        self._clean = clean
        self.seconds = seconds
        self.attempts = attempts

    async def propose(self, url: str, edits: Sequence[TextEdit], *, base: str | None = None) -> DocumentChange:
        """See ``tools.context.Documentation``."""
        place = await self._find(url)
        path, target = place.path, place.target
        try:
            branch = await target.branch()
            commit = await target.github.commit(branch)
            file = await self._read(place, commit)
        except GitHubError as error:
            raise ToolException(f"{url} cannot be read from GitHub now. {error}") from error
        blob = file.blob if file else NONE
        if base not in (None, blob):
            raise ToolException(CONFLICT.format(path=path, repository=target.github.repository))
        if file and place.is_new:
            raise ToolException(f"{path} is there already, but not indexed yet. Try again after the next refresh.")
        try:
            before = file.content.decode() if file else ""
            after = apply_edits(before, edits) if file else new_text(edits)
        except UnicodeDecodeError:
            raise ToolException(f"{path} cannot be updated: it is not text in UTF-8.") from None
        except EditError as error:
            raise ToolException(f"Not done: {error}") from None
        if self._clean(after).count(MASK) > self._clean(before).count(MASK):
            raise ToolException("Not done: the new text holds what looks like a secret. Secrets do not belong there.")
        if len(after.encode()) > LARGEST:
            raise ToolException(f"Not done: the document would have more than {LARGEST:,} bytes.")
        repository = target.github.repository
        return DocumentChange(url, place.source, repository, path, branch, commit, blob, before, after)

    async def published(self, url: str, branch: str) -> PullRequest | None:
        """See ``tools.context.Documentation``."""
        place = await self._find(url)
        try:
            return await place.target.github.pull_request(_own(branch))
        except GitHubError as error:
            raise OutcomeUnknown(str(error)) from error

    async def publish(self, change: DocumentChange, *, branch: str, title: str, body: str) -> PullRequest:
        """See ``tools.context.Documentation``."""
        place = await self._find(change.url)
        path, github, branch = place.path, place.target.github, _own(branch)
        if (github.repository, path) != (change.repository, change.path) or branch == change.base_branch:
            raise ToolException("Not done: the document's source was configured anew meanwhile.")
        content = change.after.encode()
        asked = False
        try:
            await github.create_branch(branch, change.base_commit)
            await github.put_file(path, branch, content, base_blob=change.base_blob, message=title)
            asked = True
            return await github.open_draft(head=branch, base=change.base_branch, title=title, body=body)
        except GitHubError as error:
            log.warning("documentation update failed", repository=change.repository, branch=branch, error=str(error))
            try:
                settled = await self._settle(github, branch)
            except OutcomeUnknown:
                if asked:  # it may be there, although no answer said so
                    raise
                settled = _left(github, branch)
            if isinstance(settled, PullRequest):
                return settled
            raise ToolException(f"Not done: no pull request was opened. {error} {settled}".strip()) from error

    async def settle(self, url: str, branch: str) -> PullRequest | str:
        """See ``tools.context.Documentation``."""
        place = await self._find(url)
        return await self._settle(place.target.github, _own(branch))

    async def _read(self, place: Place, commit: str) -> File | None:
        try:
            return await place.target.github.file(place.path, commit)
        except GitHubError as error:
            if error.status != 404 or not place.is_new:
                raise
            return None

    async def _settle(self, github: GitHub, branch: str) -> PullRequest | str:
        try:
            opened = await github.pull_request(branch)
        except GitHubError as error:
            log.warning("outcome unknown", repository=github.repository, branch=branch, error=str(error))
            raise OutcomeUnknown(str(error)) from error
        if opened:
            return opened
        try:
            await github.delete_branch(branch)
        except GitHubError as error:
            log.warning("branch left", repository=github.repository, branch=branch, error=str(error))
            return _left(github, branch)
        return ""

    async def _find(self, url: str) -> Place:
        """Where a document is, or where a new one would be.

        Raises:
            ToolException: there is no such place, or it may not be updated.
        """
        async with self._database.connection() as conn:
            document = await documents.get(conn, url.strip())
        try:
            if document is None:
                return await self._find_new(url.strip())
            target = self._targets.get(document.source)
            if target is None:
                raise ToolException(
                    f"Documents of the source {document.source} cannot be updated from here; it is not a GitHub source "
                    f"with `updates: true`. Such sources: {', '.join(sorted(self._targets)) or 'none'}."
                )
            if not target.holds(document.path):
                raise ToolException(f"{document.path} may not be updated: it is not a document of {document.source}.")
        except GitHubError as error:
            raise ToolException(f"Not done. {error}") from error
        return Place(document.source, document.path, target)

    async def _find_new(self, url: str) -> Place:
        """The place of a document that is not indexed, if one of the sources would hold it."""
        for name, target in self._targets.items():
            if not url.startswith(target.github.url("", "")[:-1]):
                continue
            path = unquote(url.removeprefix(target.github.url("", await target.branch())))
            if path != unquote(url) and target.holds(path) and is_plain(path):
                return Place(name, path, target, is_new=True)
        raise ToolException(
            f"There is no document {url!r}, and none may be created there. search_docs shows the documents with their "
            "URLs; those of sources with `updates: true` can be updated."
        )


def _left(github: GitHub, branch: str) -> str:
    return f"The branch {branch} may be left in {github.repository}; it can be deleted."


def _own(branch: str) -> str:
    if not branch.startswith(BRANCHES):
        raise ToolException(f"Not done: updates are written to branches that begin with {BRANCHES} only.")
    return branch
