"""A GitHub with one repository, and a client of it."""

import httpx2
import pytest
from tenacity import wait_none

from ratchet.documentation import github as module
from ratchet.documentation.github import GitHub, TokenCredentials
from sandbox.server import SandboxConfig, open_sandbox

GUIDE = "# Guide\n\nRestart it with `svc restart`.\n"


@pytest.fixture
async def server(monkeypatch):
    """A sandbox's GitHub with acme/docs; its clients do not wait between tries."""
    monkeypatch.setattr(module, "BACKOFF", wait_none())
    async with open_sandbox(SandboxConfig(rate_limits=False)) as sandbox:
        files = {"README.md": "# Docs\n", "docs/guide.md": GUIDE, "docs/deep/er/page.md": "# Page\n", "src/a.py": "a"}
        sandbox.github.add_repository("acme", "docs", files)
        yield sandbox.github


@pytest.fixture
async def connect(server):
    """Makes clients of acme/docs."""
    async with httpx2.AsyncClient(timeout=1.0, trust_env=False) as client:

        def build(credentials=None, *, repo="docs", api_url=None):
            credentials = credentials or TokenCredentials(server.token)
            return GitHub(
                api_url=api_url or server.api_url, owner="acme", repo=repo, credentials=credentials, client=client
            )

        yield build
