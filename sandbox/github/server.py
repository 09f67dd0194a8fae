"""The HTTP side of GitHub: the API under `/api/v3`, pages of pull requests, and its control API."""

import asyncio
import html
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from sandbox.doc_pages import show_lines
from sandbox.github.access import Access, App, Grant
from sandbox.github.faults import Fault, Faults
from sandbox.github.operations import JSON, OPERATIONS, Operation, Request, show_pull
from sandbox.github.repository import GitHubRefusal, Repository

API = "/api/v3"
TOKEN = "github-sandbox"  # noqa: S105 - opens nothing but a sandbox
_KEPT = 100_000
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True)
class Call:
    """One request; `operation` is its name, `fault` what was done to it on request."""

    operation: str
    method: str
    path: str
    at: float
    status: int = 0
    fault: str | None = None


class GitHub:
    """One GitHub server.

    Args:
        url: The server's root, without a slash at the end.
        token: An access token that may do everything.
    """

    def __init__(self, url: str, *, token: str = TOKEN) -> None:
        self.url = url
        self.token = token
        self.repositories: dict[str, Repository] = {}
        self.access = Access({token: Grant()})
        self.faults = Faults()
        self.calls: deque[Call] = deque(maxlen=_KEPT)
        self.most_entries = 100_000

    @property
    def api_url(self) -> str:
        """The API's root."""
        return self.url + API

    def add_repository(self, owner: str, name: str, files: Mapping[str, str | bytes], **options: Any) -> Repository:
        """A new repository with one commit."""
        repository = Repository(owner, name, **options)
        repository.commit(files, "Begin")
        self.repositories[repository.full_name] = repository
        return repository

    def add_app(self, app_id: str, public_key: str, installations: set[str]) -> None:
        """Register an app with the public half of its key (PEM)."""
        self.access.apps[app_id] = App(app_id, public_key, frozenset(installations))

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        repo = API + "/repos/{owner}/{repo}"
        return [
            *(web.route(op.method, repo + op.path, self._operation(op)) for op in OPERATIONS),
            web.post(API + "/app/installations/{id}/access_tokens", self._install),
            web.get(r"/{owner}/{repo}/pull/{number:\d+}", self._page),
            web.get("/{owner}/{repo}/blob/{rest:.+}", self._file),
            web.get("/sandbox/github", self._state),
            web.post("/sandbox/github/repositories", _controlling(self._add)),
            web.post("/sandbox/github/commits", _controlling(self._commit)),
            web.post("/sandbox/github/faults", _controlling(self._fault)),
            web.post("/sandbox/github/faults/clear", _controlling(self._clear_faults)),
        ]

    def _operation(self, operation: Operation) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            body = await _body(request)

            def run(grant: Grant) -> Any:
                return operation.run(self._request(request, operation, grant, body))

            return await self._handle(operation.name, request, run, operation.status)

        return answer

    def _request(self, request: web.Request, operation: Operation, grant: Grant, body: JSON) -> Request:
        place = f"{request.match_info['owner']}/{request.match_info['repo']}"
        repository = self.repositories.get(place)
        if repository is None or (grant.repositories is not None and place not in grant.repositories):
            raise GitHubRefusal(404, "Not Found")
        if operation.permission not in grant.permissions:
            raise GitHubRefusal(403, "Resource not accessible by personal access token")
        rest = request.match_info.get("rest", "")
        return Request(repository, rest, dict(request.query), body, self.url, self.most_entries)

    async def _install(self, request: web.Request) -> web.StreamResponse:
        header = request.headers.get("Authorization", "")

        def run(_grant: Grant) -> Any:
            return self.access.install(header, request.match_info["id"])

        return await self._handle("installation_token", request, run, 201, grant=Grant())

    async def _handle(
        self,
        name: str,
        request: web.Request,
        run: Callable[[Grant], Any],
        status: int,
        *,
        grant: Grant | None = None,
    ) -> web.StreamResponse:
        """One request: record, fail on request, authenticate, limit, do."""
        call = Call(name, request.method, request.path_qs, time.time())
        self.calls.append(call)
        fault = self.faults.take(name)
        call.fault = fault.kind if fault else None
        early = await self._fail(fault, request)
        if early is not None:
            call.status = early.status
            return early
        try:
            grant = grant or self.access.grant(request.headers.get("Authorization", ""))
            if self.access.count(grant):
                raise GitHubRefusal(403, "API rate limit exceeded")
            content = run(grant)
            call.status = status
        except GitHubRefusal as refusal:
            call.status = refusal.status
            content = {"message": refusal.message, "documentation_url": "https://docs.github.com/rest"}
            content |= refusal.details
        if fault and fault.kind == "hang_after":
            await asyncio.sleep(fault.seconds)
        if fault and fault.kind == "drop_after":
            return _cut(request)
        headers = self.access.headers(grant)
        if call.status == 204:
            return web.Response(status=204, headers=headers)
        if call.status == 200 and request.headers.get("Accept", "").endswith(".sha"):
            return web.Response(text=content["sha"], content_type="application/vnd.github.sha", headers=headers)
        return web.json_response(content, status=call.status, headers=headers)

    async def _fail(self, fault: Fault | None, request: web.Request) -> web.Response | None:
        if fault is None or fault.kind in ("drop_after", "hang_after"):
            return None
        if fault.kind == "drop_before":
            return _cut(request)
        if fault.kind == "hang_before":
            await asyncio.sleep(fault.seconds)
            return None
        if fault.kind == "rate_limit":
            headers = self.access.headers(None)
            headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time() + fault.seconds))}
            return web.json_response({"message": "API rate limit exceeded"}, status=403, headers=headers)
        if fault.kind == "secondary_limit":
            message = {"message": "You have exceeded a secondary rate limit"}
            headers = self.access.headers(None) | {"Retry-After": str(int(fault.seconds))}
            return web.json_response(message, status=403, headers=headers)
        return web.json_response({"message": fault.message}, status=fault.status, headers=self.access.headers(None))

    async def _page(self, request: web.Request) -> web.Response:
        """A pull request for people."""
        repository = self.repositories.get(f"{request.match_info['owner']}/{request.match_info['repo']}")
        number = int(request.match_info["number"])
        pull = next((pull for pull in repository.pulls if pull.number == number), None) if repository else None
        if repository is None or pull is None:
            raise web.HTTPNotFound(text="there is no such pull request")
        changes = repository.diff(pull) if pull.head in repository.branches else "The branch was deleted."
        note = f"{pull.state}{', draft' if pull.draft else ''}: {pull.head} into {pull.base}"
        parts = (("h1", f"{pull.title} #{number}"), ("p", note), ("pre", pull.body), ("pre", changes))
        inner = "".join(f"<{tag}>{html.escape(text)}</{tag}>" for tag, text in parts)
        document = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pull request</title>{inner}</html>'
        headers = {"Content-Security-Policy": "default-src 'none'", "X-Frame-Options": "DENY"}
        return web.Response(text=document, content_type="text/html", headers=headers)

    async def _file(self, request: web.Request) -> web.Response:
        """A file of a branch, for people."""
        repository = self.repositories.get(f"{request.match_info['owner']}/{request.match_info['repo']}")
        rest = request.match_info["rest"]
        for branch in repository.branches if repository else ():
            path = rest.removeprefix(f"{branch}/")
            if repository and path != rest and path in repository.resolve(branch).files:
                return show_lines(path, repository.text(path, branch))
        raise web.HTTPNotFound(text="there is no such file")

    async def _state(self, _request: web.Request) -> web.Response:
        """`{api_url, repositories: {name: {branches, pulls}}, calls}`."""
        shown = {
            name: {
                "default_branch": repository.default_branch,
                "branches": repository.branches,
                "pulls": [show_pull(Request(repository, web_url=self.url), pull) for pull in repository.pulls],
            }
            for name, repository in self.repositories.items()
        }
        calls = [asdict(call) for call in self.calls]
        return web.json_response({"api_url": self.api_url, "repositories": shown, "calls": calls})

    def _add(self, body: JSON) -> JSON:
        return {"repository": self.add_repository(**body).full_name}

    def _commit(self, body: JSON) -> JSON:
        return {"sha": self.repositories[body.pop("repository")].commit(**body)}

    def _fault(self, body: JSON) -> JSON:
        self.faults.add(Fault(**body))
        return {}

    def _clear_faults(self, _body: JSON) -> JSON:
        self.faults.clear()
        return {}


async def _body(request: web.Request) -> JSON:
    raw = await request.read()
    try:
        body = json.loads(raw) if raw else {}
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text=json.dumps({"message": "Problems parsing JSON"}), content_type="application/json")
    return body


def _cut(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.close()
    return web.Response(status=502)


def _controlling(handler: Callable[[JSON], JSON]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return web.json_response(handler(await _body(request)))
        except (KeyError, TypeError, ValueError, GitHubRefusal) as error:
            return web.json_response({"error": "invalid_arguments", "detail": repr(error)}, status=400)

    return answer
