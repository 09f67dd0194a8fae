"""Folders, git repositories and a server for them: all real."""

import threading
from pathlib import Path
from wsgiref.simple_server import make_server

import pytest
from dulwich import porcelain
from dulwich.repo import Repo
from dulwich.server import DictBackend
from dulwich.web import WSGIRequestHandlerLogger, WSGIServerLogger, make_wsgi_chain

from ratchet.documentation.local import LocalConfig, LocalSource
from ratchet.documentation.refresh import Refresher


def write(folder: Path, files):
    """Write texts or bytes by path."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())


class GitFolder:
    """A git repository with a working tree."""

    def __init__(self, path, branch="main"):
        path.mkdir(parents=True)
        self.path = path
        self.repo = Repo.init(str(path), default_branch=branch.encode())

    def commit(self, files=(), *, remove=()):
        write(self.path, dict(files))
        for name in remove:
            (self.path / name).unlink()
        self.repo.get_worktree().stage([*dict(files), *remove])
        who = b"A <a@example.com>"
        return porcelain.commit(self.repo, message=b"change", author=who, committer=who).decode()


@pytest.fixture
def git_folder(tmp_path):
    """Makes git repositories."""
    made = []

    def make(name="origin", **options):
        made.append(GitFolder(tmp_path / name, **options))
        return made[-1]

    yield make
    for folder in made:
        folder.repo.close()


class Quiet(WSGIRequestHandlerLogger):
    seen: list = []

    def log_message(self, *args):
        pass

    def get_environ(self):
        environ = super().get_environ()
        self.seen.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("HTTP_AUTHORIZATION")))
        return environ


@pytest.fixture
def git_server():
    """Serves repositories over HTTP as git does; yields a function (repo, path) -> URL and what was asked."""
    repos = {}
    Quiet.seen = []
    server = make_server(
        "127.0.0.1",
        0,
        make_wsgi_chain(DictBackend(repos)),
        handler_class=Quiet,
        server_class=WSGIServerLogger,
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def serve(repo, path="/docs.git"):
        repos[path] = repo
        return f"http://127.0.0.1:{server.server_port}{path}"

    serve.seen = Quiet.seen
    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def local(tmp_path):
    """A folder of documents as a source, and the folder."""
    folder = tmp_path / "docs"
    folder.mkdir()
    return LocalSource(LocalConfig(name="runbooks", type="local", path=folder)), folder


@pytest.fixture
def refresher(database):
    """Makes a refresher of sources."""
    return lambda *sources: Refresher(database, sources)
