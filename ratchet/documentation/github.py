"""One repository on GitHub, as far as documentation needs it: its files, a branch, a draft pull request.

Reads are tried again where that can help. What writes looks first whether it is done already, so that it can be
tried again too, also by another process after a crash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import gidgethub
import httpx2
from gidgethub.httpx import GitHubAPI
from gidgethub.sansio import accept_format
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from ratchet.documentation.github_credentials import AppCredentials, Credentials, TokenCredentials
from ratchet.documentation.github_errors import GitHubError, explain
from tools.context import PullRequest

__all__ = ["AppCredentials", "Credentials", "File", "GitHub", "GitHubError", "TokenCredentials", "Tree"]

API_URL = "https://api.github.com"
TRIES = 3
BACKOFF = wait_random_exponential(multiplier=0.5, max=4)
NONE = ""  # in the place of a file's hash: there is no such file
REPO = "/repos/{owner}/{repo}"
SHA_ONLY = "application/vnd.github.sha"


@dataclass(frozen=True)
class Tree:
    """The files of a commit: the blob of each path. Links, submodules and folders are left out."""

    commit: str
    blobs: dict[str, str]


@dataclass(frozen=True)
class File:
    """A file as it is at a commit; ``blob`` is the git hash of its bytes."""

    path: str
    blob: str
    content: bytes


class GitHub:
    """One repository.

    Args:
        api_url: the API's root: ``https://api.github.com``, or ``https://HOST/api/v3`` of an Enterprise server.
        owner: the user or organisation.
        repo: the repository's name.
        credentials: who asks.
        client: makes the requests; its timeout holds for each. It must not follow redirects.
    """

    def __init__(
        self, *, api_url: str, owner: str, repo: str, credentials: Credentials, client: httpx2.AsyncClient
    ) -> None:
        self._api_url = api_url.rstrip("/")
        self._owner = owner
        self._repo = repo
        self._credentials = credentials
        self._api = GitHubAPI(client, "ratchet", base_url=self._api_url)

    @property
    def repository(self) -> str:
        """``owner/name``."""
        return f"{self._owner}/{self._repo}"

    def url(self, path: str, ref: str) -> str:
        """A file's page, such as ``https://github.com/acme/docs/blob/main/guide.md``."""
        return f"{web_url(self._api_url)}/{self.repository}/blob/{quote(ref)}/{quote(path)}"

    async def default_branch(self) -> str:
        """The name of the default branch.

        Raises:
            GitHubError: as all methods: what happened, and what to do.
        """
        return str((await self._read(REPO))["default_branch"])

    async def commit(self, ref: str) -> str:
        """The commit that a branch, tag or commit stands for."""
        sha = await self._read(REPO + "/commits{/ref*}", accept=SHA_ONLY, ref=ref.split("/"))
        return str(sha).strip()

    async def tree(self, ref: str) -> Tree:
        """All files of a branch, tag or commit; where GitHub cuts the list, folder by folder."""
        commit = await self.commit(ref)
        answer = await self._read(REPO + "/git/trees/{sha}{?recursive}", sha=commit, recursive=1)
        if not answer.get("truncated"):
            return Tree(commit, dict(_files(answer, "")))
        blobs: dict[str, str] = {}
        folders = [("", commit)]
        while folders:
            prefix, sha = folders.pop()
            answer = await self._read(REPO + "/git/trees/{sha}", sha=sha)
            if answer.get("truncated"):
                raise GitHubError(f"the folder {prefix or '/'!r} of {self.repository} is too large for GitHub to list")
            blobs |= _files(answer, prefix)
            folders += [(f"{prefix}{e['path']}/", e["sha"]) for e in answer["tree"] if e["type"] == "tree"]
        return Tree(commit, blobs)

    async def blob(self, sha: str) -> bytes:
        """The bytes of a blob."""
        return base64.b64decode((await self._read(REPO + "/git/blobs/{sha}", sha=sha))["content"])

    async def file(self, path: str, ref: str) -> File:
        """A file of a branch, tag or commit."""
        found: File = await self._retry(lambda: self._file(path, ref))
        return found

    async def branch(self, name: str) -> str | None:
        """The commit of a branch; None when there is no such branch."""
        found: str | None = await self._retry(lambda: self._branch(name))
        return found

    async def create_branch(self, name: str, commit: str) -> None:
        """Make sure that there is such a branch. One that is there stays as it is."""

        async def attempt() -> None:
            if await self._branch(name) is None:
                try:
                    await self._call("POST", REPO + "/git/refs", data={"ref": f"refs/heads/{name}", "sha": commit})
                except GitHubError as error:
                    if error.status != 422 or await self._branch(name) is None:  # else it came meanwhile
                        raise

        await self._retry(attempt)

    async def delete_branch(self, name: str) -> None:
        """Make sure that there is no such branch."""

        async def attempt() -> None:
            if await self._branch(name) is not None:
                await self._call("DELETE", REPO + "/git/refs/heads{/branch*}", branch=segments(name))

        await self._retry(attempt)

    async def put_file(self, path: str, branch: str, content: bytes, *, base_blob: str, message: str) -> None:
        """Make sure that a file of a branch has this content, where it had the base's (or ``NONE``) or has it already.

        Raises:
            GitHubError: it has another content (409), or as all methods.
        """
        wanted = git_blob(content)

        async def attempt() -> None:
            try:
                present = (await self._file(path, branch)).blob
            except GitHubError as error:
                if error.status != 404 or base_blob != NONE:
                    raise
                present = NONE
            if present == wanted:
                return
            if present != base_blob:
                raise GitHubError(f"{path} was changed on the branch {branch} of {self.repository}", status=409)
            data = {
                "message": message,
                "content": base64.b64encode(content).decode(),
                "branch": branch,
                **({"sha": base_blob} if base_blob != NONE else {}),
            }
            await self._call("PUT", REPO + "/contents{/path*}", data=data, path=segments(path))

        await self._retry(attempt)

    async def pull_request(self, head: str) -> PullRequest | None:
        """The newest pull request from a branch, open or not; None when there is none."""
        found: PullRequest | None = await self._retry(lambda: self._pull_request(head))
        return found

    async def open_draft(self, *, head: str, base: str, title: str, body: str) -> PullRequest:
        """Make sure that there is a pull request from a branch: the one that is there, or a new draft."""

        async def attempt() -> PullRequest:
            found = await self._pull_request(head)
            if found:
                return found
            data = {"title": title, "head": head, "base": base, "body": body, "draft": True}
            try:
                answer = await self._call("POST", REPO + "/pulls", data=data)
            except GitHubError as error:
                found = await self._pull_request(head) if error.status == 422 else None  # it came meanwhile
                if found is None:
                    raise
                return found
            return PullRequest(int(answer["number"]), str(answer["html_url"]))

        opened: PullRequest = await self._retry(attempt)
        return opened

    async def _branch(self, name: str) -> str | None:
        try:
            answer = await self._call("GET", REPO + "/git/ref/heads{/branch*}", branch=segments(name))
        except GitHubError as error:
            if error.status != 404:
                raise
            return None
        return str(answer["object"]["sha"])

    async def _pull_request(self, head: str) -> PullRequest | None:
        url = REPO + "/pulls{?state,head}"
        for pull in await self._call("GET", url, state="all", head=f"{self._owner}:{head}"):
            if pull["head"]["ref"] == head:
                return PullRequest(int(pull["number"]), str(pull["html_url"]))
        return None

    async def _file(self, path: str, ref: str) -> File:
        answer = await self._call("GET", REPO + "/contents{/path*}{?ref}", path=segments(path), ref=ref)
        if not isinstance(answer, dict) or answer.get("type") != "file":
            raise GitHubError(f"{path} in {self.repository} is not a file")
        sha = str(answer["sha"])
        # GitHub leaves the content of files above 1 MB out.
        content = base64.b64decode(answer["content"]) if answer.get("encoding") == "base64" else await self.blob(sha)
        return File(path, sha, content)

    async def _read(self, url: str, *, accept: str | None = None, **variables: Any) -> Any:
        return await self._retry(lambda: self._call("GET", url, accept=accept, **variables))

    async def _retry(self, attempt: Callable[[], Awaitable[Any]]) -> Any:
        """Run it until it succeeds, fails for good, or has failed three times."""

        async def run() -> Any:  # tenacity awaits functions only
            return await attempt()

        return await AsyncRetrying(
            stop=stop_after_attempt(TRIES),
            wait=_pause,
            retry=retry_if_exception(lambda error: isinstance(error, GitHubError) and error.transient),
            reraise=True,
        )(run)

    async def _call(
        self, method: str, url: str, *, data: Any = b"", accept: str | None = None, **variables: Any
    ) -> Any:
        """One request; with a new token when the old one is refused and there can be another."""
        try:
            try:
                return await self._send(method, url, data, accept, variables)
            except gidgethub.BadRequest as error:
                if error.status_code != 401 or not self._credentials.forget():
                    raise
            return await self._send(method, url, data, accept, variables)
        except (gidgethub.GitHubException, httpx2.HTTPError, httpx2.InvalidURL, ValueError, KeyError) as error:
            raise explain(error, self.repository, urlsplit(self._api_url).netloc) from error

    async def _send(self, method: str, url: str, data: Any, accept: str | None, variables: dict[str, Any]) -> Any:
        token = await self._credentials.token(self._api)
        known = {"owner": self._owner, "repo": self._repo, **variables}
        accept = accept or accept_format()
        if method == "GET":
            answer = await self._api.getitem(url, known, accept=accept, oauth_token=token)
            if accept != SHA_ONLY and not isinstance(answer, dict | list):
                raise ValueError("not JSON")
            return answer
        if method == "DELETE":
            return await self._api.delete(url, known, accept=accept, oauth_token=token)
        send = self._api.put if method == "PUT" else self._api.post
        return await send(url, known, data=data, accept=accept, oauth_token=token)


def web_url(api_url: str) -> str:
    """Where people see what the API serves: ``https://github.com`` for ``https://api.github.com``."""
    parts = urlsplit(api_url)
    return f"{parts.scheme}://{parts.netloc.removeprefix('api.')}"


def git_blob(content: bytes) -> str:
    """The hash that git gives a file of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def segments(path: str) -> list[str]:
    """The parts of a path inside a repository.

    Raises:
        GitHubError: it leads elsewhere, or is no path.
    """
    parts = path.split("/")
    if any(part in ("", ".", "..") or not part.isprintable() or "\\" in part for part in parts):
        raise GitHubError(f"{path!r} is not the path of a file in a repository")
    return parts


def _files(answer: dict[str, Any], prefix: str) -> dict[str, str]:
    return {
        prefix + entry["path"]: entry["sha"]
        for entry in answer["tree"]
        if entry["type"] == "blob" and entry["mode"] != "120000"  # a link, whose blob is where it leads
    }


def _pause(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wanted = error.pause if isinstance(error, GitHubError) else None
    return BACKOFF(state) if wanted is None else wanted
