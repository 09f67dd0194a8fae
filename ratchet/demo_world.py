"""What the demo sets up beside its messages: the handbook's repository, and policies under which all can be tried."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import SecretStr

from ratchet.sections import GitHubSettings, Policy, PolicySettings
from ratchet.settings import Settings
from sandbox.demo_data import DOCS
from sandbox.server import Sandbox

OWNER, REPOSITORY, FOLDER = "example", "handbook", "docs"
HELP_CHANNEL = "help-platform"
APPROVER = "platform-lead"
UPDATE = "update_doc"


def furnish(settings: Settings, sandbox: Sandbox, folder: Path) -> Settings:
    """The settings with the workspace's handbook in a repository, open for updates, and people who approve them.

    Args:
        settings: as configured; policies that they hold for channels stay.
        sandbox: gets the repository.
        folder: for the file of sources.
    """
    pages = {f"{FOLDER}/{path.name}": path.read_text("utf-8") for path in sorted(DOCS.glob("*.md"))}
    sandbox.github.add_repository(OWNER, REPOSITORY, dict(pages))
    source = {"name": REPOSITORY, "type": "github", "owner": OWNER, "repo": REPOSITORY, "path": FOLDER, "updates": True}
    sources = folder / "docs.yaml"
    sources.write_text(yaml.safe_dump({"sources": [source]}), encoding="utf-8")
    return settings.model_copy(
        update={
            "documentation": sources,
            "github": GitHubSettings(token=SecretStr(sandbox.github.token), api_url=sandbox.github.api_url),
            "policies": _policies(settings.policies, sandbox),
        }
    )


def _policies(given: PolicySettings, sandbox: Sandbox) -> PolicySettings:
    users = {user.name: user.id for user in sandbox.workspace.users.values()}
    tools = [*given.default.tools, *([] if UPDATE in given.default.tools else [UPDATE])]
    # Whoever runs the demo stands for everybody in it; by default nobody approves what they asked for themselves.
    default = given.default.model_copy(update={"tools": tools, "approvers": [users[APPROVER], users["oncall-b"]]})
    unasked = Policy(tools=tools, approvers=default.approvers, auto=["docs", "unanswered"], owner=users[APPROVER])
    return PolicySettings(default=default, channels={HELP_CHANNEL: unasked, **given.channels})
