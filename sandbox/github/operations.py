"""What each request to the API does with a repository; its answer as GitHub words it."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox.github.access import PULLS, READ, WRITE
from sandbox.github.repository import FOLDER, LINK, Commit, Entry, GitHubRefusal, Pull, Repository

JSON = dict[str, Any]
LONGEST_CONTENT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A request to one repository: what its URL names, its query and its body."""

    repository: Repository
    rest: str = ""
    query: dict[str, str] = field(default_factory=dict)
    body: JSON = field(default_factory=dict)
    web_url: str = ""
    most_entries: int = 100_000

    def required(self, name: str) -> str:
        """A field of the body; raises `GitHubRefusal` 422 where it is missing."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise GitHubRefusal(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
        return value


def show_repository(request: Request) -> JSON:
    """GET /repos/{owner}/{repo}."""
    repository = request.repository
    return {
        "name": repository.name,
        "full_name": repository.full_name,
        "default_branch": repository.default_branch,
        "html_url": f"{request.web_url}/{repository.full_name}",
    }


def show_commit(request: Request) -> JSON:
    """GET /repos/{owner}/{repo}/commits/{ref}."""
    return _commit(request.repository.resolve(request.rest))


def show_git_commit(request: Request) -> JSON:
    """GET /repos/{owner}/{repo}/git/commits/{sha}."""
    found = request.repository.commits.get(request.rest)
    if found is None:
        raise _not_found()
    shown = _commit(found)
    answer: JSON = shown["commit"] | {"sha": found.sha, "parents": shown["parents"]}
    return answer


def show_tree(request: Request) -> JSON:
    """GET /repos/{owner}/{repo}/git/trees/{sha}: one folder, or with `recursive` all below it."""
    repository, sha = request.repository, request.rest
    if sha not in repository.trees:
        sha = repository.resolve(sha).tree
    entries: list[JSON] = []
    folders = [("", sha)]
    while folders:
        prefix, at = folders.pop(0)
        for name, entry in repository.trees[at]:
            kind = "tree" if entry.mode == FOLDER else "blob"
            mode = "040000" if kind == "tree" else entry.mode
            entries.append({"path": prefix + name, "mode": mode, "type": kind, "sha": entry.sha})
            if kind == "tree" and request.query.get("recursive"):
                folders.append((f"{prefix}{name}/", entry.sha))
    truncated = len(entries) > request.most_entries
    return {"sha": sha, "tree": entries[: request.most_entries], "truncated": truncated}


def show_blob(request: Request) -> JSON:
    """GET /repos/{owner}/{repo}/git/blobs/{sha}."""
    content = request.repository.blobs.get(request.rest)
    if content is None:
        raise _not_found()
    return {"sha": request.rest, "size": len(content), "encoding": "base64", "content": _encoded(content)}


def show_content(request: Request) -> JSON | list[JSON]:
    """GET /repos/{owner}/{repo}/contents/{path}: a file, or the list of a folder."""
    repository, path = request.repository, request.rest
    try:
        files = repository.resolve(request.query.get("ref") or repository.default_branch).files
    except GitHubRefusal as refusal:
        raise GitHubRefusal(404, f"No commit found for the ref {request.query.get('ref')}") from refusal
    entry = files.get(path)
    if entry is None:
        inside = {name: found for name, found in files.items() if name.startswith(f"{path}/")}
        if not inside:
            raise _not_found()
        return [{"type": "file", "path": name, "sha": found.sha} for name, found in inside.items()]
    return _content(repository, path, entry)


def put_content(request: Request) -> JSON:
    """PUT /repos/{owner}/{repo}/contents/{path}: commit one file, whose present hash must be told."""
    repository, path = request.repository, request.rest
    message = request.required("message")
    branch = request.body.get("branch") or repository.default_branch
    if branch not in repository.branches:
        raise GitHubRefusal(404, f"Branch {branch} not found")
    present = repository.resolve(branch).files.get(path)
    told = request.body.get("sha")
    if present and not told:
        raise GitHubRefusal(422, 'Invalid request.\n\n"sha" wasn\'t supplied.')
    if told != (present.sha if present else None):
        raise GitHubRefusal(409, f"{path} does not match {told}")
    try:
        content = base64.b64decode(str(request.body.get("content", "")), validate=True)
    except binascii.Error as error:
        raise GitHubRefusal(422, "content is not valid Base64") from error
    sha = repository.commit({path: content}, message, branch=branch)
    entry = repository.commits[sha].files[path]
    return {"content": _content(repository, path, entry), "commit": _commit(repository.commits[sha])}


def show_ref(request: Request) -> JSON:
    """GET /repos/{owner}/{repo}/git/ref/heads/{branch}."""
    branch = request.rest.removeprefix("heads/")
    if branch not in request.repository.branches:
        raise _not_found()
    return _ref(request.repository, branch)


def create_ref(request: Request) -> JSON:
    """POST /repos/{owner}/{repo}/git/refs."""
    name, sha = request.required("ref"), request.required("sha")
    if not name.startswith("refs/heads/") or name.count("/") < 2:
        raise GitHubRefusal(422, f"{name} is not a valid ref name.")
    if sha not in request.repository.commits:
        raise GitHubRefusal(422, "Object does not exist")
    branch = name.removeprefix("refs/heads/")
    if branch in request.repository.branches:
        raise GitHubRefusal(422, "Reference already exists")
    request.repository.branches[branch] = sha
    return _ref(request.repository, branch)


def update_ref(request: Request) -> JSON:
    """PATCH /repos/{owner}/{repo}/git/refs/heads/{branch}; without `force` only forward."""
    repository, branch, sha = request.repository, request.rest.removeprefix("heads/"), request.required("sha")
    if branch not in repository.branches or sha not in repository.commits:
        raise GitHubRefusal(422, "Reference does not exist")
    if not request.body.get("force") and repository.branches[branch] not in _ancestry(repository, sha):
        raise GitHubRefusal(422, "Update is not a fast forward")
    repository.branches[branch] = sha
    return _ref(repository, branch)


def delete_ref(request: Request) -> None:
    """DELETE /repos/{owner}/{repo}/git/refs/heads/{branch}: its open pull requests are closed."""
    branch = request.rest.removeprefix("heads/")
    if request.repository.branches.pop(branch, None) is None:
        raise GitHubRefusal(422, "Reference does not exist")
    for pull in request.repository.pulls:
        if pull.head == branch and pull.state == "open":
            pull.state = "closed"


def list_pulls(request: Request) -> list[JSON]:
    """GET /repos/{owner}/{repo}/pulls, by `state` and by `head` as `owner:branch`, newest first."""
    state, head = request.query.get("state", "open"), request.query.get("head", "")
    branch = head.removeprefix(f"{request.repository.owner}:")
    return [
        show_pull(request, pull)
        for pull in reversed(request.repository.pulls)
        if state in ("all", pull.state) and (not head or pull.head == branch)
    ]


def create_pull(request: Request) -> JSON:
    """POST /repos/{owner}/{repo}/pulls."""
    repository = request.repository
    title, head, base = (request.required(name) for name in ("title", "head", "base"))
    if head not in repository.branches or base not in repository.branches:
        wrong = "head" if head not in repository.branches else "base"
        raise _invalid({"resource": "PullRequest", "field": wrong, "code": "invalid"})
    if request.body.get("draft") and not repository.allows_drafts:
        raise _invalid("Draft pull requests are not supported in this repository.")
    if any(pull.head == head and pull.base == base and pull.state == "open" for pull in repository.pulls):
        raise _invalid(_because(f"A pull request already exists for {repository.owner}:{head}."))
    of_base = set(_ancestry(repository, repository.branches[base]))
    left = next((sha for sha in _ancestry(repository, repository.branches[head]) if sha in of_base), None)
    if left is None or left == repository.branches[head]:
        raise _invalid(_because(f"No commits between {base} and {head}"))
    number = len(repository.pulls) + 1
    draft = bool(request.body.get("draft"))
    pull = Pull(number, title, str(request.body.get("body") or ""), head, base, left, draft)
    repository.pulls.append(pull)
    return show_pull(request, pull)


def show_pull(request: Request, pull: Pull) -> JSON:
    """A pull request as the API shows it."""
    repository = request.repository
    return {
        "number": pull.number,
        "title": pull.title,
        "body": pull.body,
        "state": pull.state,
        "draft": pull.draft,
        "html_url": f"{request.web_url}/{repository.full_name}/pull/{pull.number}",
        "head": {"ref": pull.head, "sha": repository.branches.get(pull.head)},
        "base": {"ref": pull.base, "sha": repository.branches[pull.base]},
    }


@dataclass(frozen=True, slots=True)
class Operation:
    """A request's name in ledger and faults, where it is, what it needs and what it does."""

    name: str
    method: str
    path: str
    permission: str
    run: Callable[[Request], Any]
    status: int = 200


OPERATIONS = (
    Operation("repo", "GET", "", READ, show_repository),
    Operation("commit", "GET", "/commits/{rest:.+}", READ, show_commit),
    Operation("git.commit", "GET", "/git/commits/{rest}", READ, show_git_commit),
    Operation("tree", "GET", "/git/trees/{rest:.+}", READ, show_tree),
    Operation("blob", "GET", "/git/blobs/{rest}", READ, show_blob),
    Operation("contents.get", "GET", "/contents/{rest:.+}", READ, show_content),
    Operation("contents.put", "PUT", "/contents/{rest:.+}", WRITE, put_content),
    Operation("ref.get", "GET", "/git/ref/{rest:.+}", READ, show_ref),
    Operation("ref.create", "POST", "/git/refs", WRITE, create_ref, 201),
    Operation("ref.update", "PATCH", "/git/refs/{rest:.+}", WRITE, update_ref),
    Operation("ref.delete", "DELETE", "/git/refs/{rest:.+}", WRITE, delete_ref, 204),
    Operation("pulls.list", "GET", "/pulls", READ, list_pulls),
    Operation("pulls.create", "POST", "/pulls", PULLS, create_pull, 201),
)


def _commit(commit: Commit) -> JSON:
    return {
        "sha": commit.sha,
        "commit": {"message": commit.message, "tree": {"sha": commit.tree}},
        "parents": [{"sha": sha} for sha in commit.parents],
    }


def _content(repository: Repository, path: str, entry: Entry) -> JSON:
    content = repository.blobs[entry.sha]
    large = len(content) > LONGEST_CONTENT
    return {
        "type": "symlink" if entry.mode == LINK else "file",
        "path": path,
        "sha": entry.sha,
        "size": len(content),
        "encoding": "none" if large else "base64",
        "content": "" if large else _encoded(content),
    }


def _encoded(content: bytes) -> str:
    return base64.encodebytes(content).decode()  # with line breaks, as GitHub gives it


def _ref(repository: Repository, branch: str) -> JSON:
    return {"ref": f"refs/heads/{branch}", "object": {"type": "commit", "sha": repository.branches[branch]}}


def _ancestry(repository: Repository, sha: str) -> list[str]:
    found = []
    current: str | None = sha
    while current:
        found.append(current)
        parents = repository.commits[current].parents
        current = parents[0] if parents else None
    return found


def _because(message: str) -> JSON:
    return {"resource": "PullRequest", "code": "custom", "message": message}


def _invalid(error: JSON | str) -> GitHubRefusal:
    return GitHubRefusal(422, "Validation Failed", errors=[error])


def _not_found() -> GitHubRefusal:
    return GitHubRefusal(404, "Not Found")
