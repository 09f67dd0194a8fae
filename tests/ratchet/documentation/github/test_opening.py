"""Which sources are open for updates, and that their tokens are known as secrets."""

import json

import pytest
from pydantic import SecretStr

from agent.redaction import MASK, Redactor
from ratchet.documentation.factory import open_updates
from ratchet.sections import GitHubSettings
from ratchet.settings import Settings

TOKEN = "an-unusual-token-of-a-proxy"


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Makes settings with sources of acme's repositories."""
    monkeypatch.setenv("HANDBOOK_TOKEN", TOKEN)

    def make(*sources):
        path = tmp_path / "docs.yaml"
        common = {"type": "github", "owner": "acme", "token_env": "HANDBOOK_TOKEN"}
        path.write_text(json.dumps({"sources": [common | source for source in sources]}))
        return Settings(documentation=path, github=GitHubSettings(token=SecretStr("the-default-token")))

    return make


async def test_only_sources_that_say_so_are_open(settings, database):
    closed = {"name": "closed", "repo": "closed"}
    async with open_updates(settings(closed), database) as updates:
        assert updates is None
    opened = {"name": "open", "repo": "open", "path": "docs", "updates": True}
    async with open_updates(settings(closed, opened), database) as updates:
        assert {name: (t.github.repository, t.folder) for name, t in updates._targets.items()} == {
            "open": ("acme/open", "docs")
        }


async def test_without_a_file_of_sources_nothing_is(database):
    async with open_updates(Settings(), database) as updates:
        assert updates is None


def test_tokens_of_sources_are_masked_like_any_secret(settings):
    redactor = Redactor(settings({"name": "handbook", "repo": "handbook"}).secrets())
    assert redactor.clean(f"refused {TOKEN} and the-default-token") == f"refused {MASK} and {MASK}"


def test_a_file_of_sources_that_is_wrong_hides_no_other_secret(settings):
    made = settings({"name": "handbook", "repo": "handbook", "no_such": 1})
    assert made.secrets() == ["the-default-token"]
