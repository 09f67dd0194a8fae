"""A git repository in memory, with the hashes that git itself would give, and its pull requests."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FILE, LINK, FOLDER = "100644", "120000", "40000"


class GitHubRefusal(Exception):
    """A request that GitHub refuses, with its status and message."""

    def __init__(self, status: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = details


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit."""

    mode: str
    sha: str


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit with its files by path; `tree` is the hash of the root folder."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    message: str
    files: Mapping[str, Entry]


@dataclass(slots=True)
class Pull:
    """A pull request; `base_sha` is where its branch left the base."""

    number: int
    title: str
    body: str
    head: str
    base: str
    base_sha: str
    draft: bool
    state: str = "open"


@dataclass(slots=True)
class Repository:
    """Objects by hash, branches by name, pull requests by number."""

    owner: str
    name: str
    default_branch: str = "main"
    blobs: dict[str, bytes] = field(default_factory=dict)
    trees: dict[str, list[tuple[str, Entry]]] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: list[Pull] = field(default_factory=list)
    allows_drafts: bool = True

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner}/{self.name}"

    def commit(
        self,
        changes: Mapping[str, str | bytes | None],
        message: str = "Change files",
        *,
        branch: str | None = None,
        links: Mapping[str, str] | None = None,
    ) -> str:
        """Commit to a branch, by default to the default one; None removes a file, `links` are symbolic links."""
        branch = branch or self.default_branch
        parent = self.branches.get(branch)
        files = dict(self.commits[parent].files) if parent else {}
        for path, content in changes.items():
            if content is None:
                del files[path]
            else:
                files[path] = Entry(FILE, self._blob(content))
        for path, target in (links or {}).items():
            files[path] = Entry(LINK, self._blob(target))
        tree = self._tree(files)
        body = f"tree {tree}\n" + (f"parent {parent}\n" if parent else "")
        stamp = f"Sandbox <sandbox@localhost> {int(datetime.now(UTC).timestamp())} +0000"
        sha = _hash("commit", f"{body}author {stamp}\ncommitter {stamp}\n\n{message}\n".encode())
        self.commits[sha] = Commit(sha, tree, (parent,) if parent else (), message, files)
        self.branches[branch] = sha
        return sha

    def resolve(self, ref: str) -> Commit:
        """The commit of a branch or hash; raises `GitHubRefusal` (422, or 409 while the repository is empty)."""
        if not self.branches:
            raise GitHubRefusal(409, "Git Repository is empty.")
        found = self.commits.get(self.branches.get(ref.removeprefix("refs/heads/"), ref))
        if found is None:
            raise GitHubRefusal(422, f"No commit found for SHA: {ref}")
        return found

    def text(self, path: str, ref: str | None = None) -> str:
        """A file's content."""
        return self.blobs[self.resolve(ref or self.default_branch).files[path].sha].decode()

    def diff(self, pull: Pull) -> str:
        """What a pull request changes, as a unified diff."""
        before, after = self.commits[pull.base_sha].files, self.resolve(pull.head).files
        lines: list[str] = []
        for path in sorted({*before, *after}):
            if before.get(path) != after.get(path):
                old, new = (self._lines(files.get(path)) for files in (before, after))
                lines += difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", lineterm="")
        return "\n".join(lines)

    def _lines(self, entry: Entry | None) -> list[str]:
        return self.blobs[entry.sha].decode(errors="replace").splitlines() if entry else []

    def _blob(self, content: str | bytes) -> str:
        raw = content.encode() if isinstance(content, str) else content
        sha = _hash("blob", raw)
        self.blobs[sha] = raw
        return sha

    def _tree(self, files: Mapping[str, Entry]) -> str:
        """Store a folder and all below it; its hash."""
        entries: dict[str, Entry] = {}
        folders: dict[str, dict[str, Entry]] = {}
        for path, entry in files.items():
            first, _, rest = path.partition("/")
            if rest:
                folders.setdefault(first, {})[rest] = entry
            else:
                entries[first] = entry
        entries |= {name: Entry(FOLDER, self._tree(inner)) for name, inner in folders.items()}
        # Git sorts folders as if their names ended with a slash.
        ordered = sorted(entries.items(), key=lambda item: item[0] + ("/" if item[1].mode == FOLDER else ""))
        raw = b"".join(f"{entry.mode} {name}\0".encode() + bytes.fromhex(entry.sha) for name, entry in ordered)
        sha = _hash("tree", raw)
        self.trees[sha] = ordered
        return sha


def _hash(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
