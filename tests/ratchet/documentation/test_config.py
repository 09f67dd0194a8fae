"""The file of sources: what it may hold, and what is said of what it may not."""

from pathlib import Path

import pytest

from ratchet.documentation.config import GitConfig, GitHubConfig, LocalConfig, load_sources
from ratchet.settings import SettingsError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def load(tmp_path):
    """Reads a text as a file of sources; the variable DOCS_TOKEN is set."""

    def read(text):
        path = tmp_path / "docs.yaml"
        path.write_text(text)
        return load_sources(path, {"DOCS_TOKEN": "a-token", "EMPTY": ""})

    return read


def one(keys):
    return f"sources:\n  - {{name: docs, {keys}}}\n"


def test_each_type_is_read(load, tmp_path):
    github, git, local = load(
        """
sources:
  - {name: a, type: github, owner: acme, repo: handbook, path: /docs/, token_env: DOCS_TOKEN}
  - {name: b, type: git, url: "git@git.example.com:team/docs.git", ref: main, folder: how}
  - {name: c, type: local, path: notes}
""".replace("/docs/", "docs/")
    )
    assert isinstance(github, GitHubConfig) and (github.owner, github.path) == ("acme", "docs")
    assert github.token.get_secret_value() == "a-token" and "a-token" not in repr(github)
    assert isinstance(git, GitConfig) and (git.ref, git.folder) == ("main", "how")
    assert isinstance(local, LocalConfig) and local.path == tmp_path / "notes"


def test_an_app_can_stand_for_a_token(load, tmp_path):
    [source] = load(
        one("type: github, owner: a, repo: b, app_id: 1, installation_id: 2, private_key_path: /run/key.pem")
    )
    assert (source.app_id, source.installation_id, source.private_key_path) == (1, 2, Path("/run/key.pem"))


@pytest.mark.parametrize("text", ["", "sources:\n", "sources: []\n"])
def test_a_file_may_name_no_sources(load, text):
    assert load(text) == []


def test_the_shipped_file_loads_and_so_does_its_example(tmp_path):
    path = ROOT / "configs/docs.yaml"
    assert load_sources(path, {}) == []
    text = path.read_text()
    example = "\n".join(line.removeprefix("# ") for line in text[text.index("# sources:") :].splitlines()[:-1])
    (tmp_path / "docs.yaml").write_text(example)
    found = load_sources(tmp_path / "docs.yaml", {"HANDBOOK_TOKEN": "x"})
    assert [source.type for source in found] == ["github", "git", "local"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("documents: []", "unknown key documents; there is only sources"),
        ("sources: {a: b}", "sources must be a list"),
        ("- a", "it must hold `sources:` with a list"),
        ("sources: [a]", "source 1 must hold keys and values"),
        ("sources: [{type: local, path: x}]", "source 1: name is missing"),
        ("sources: [{name: 'a b', type: local, path: x}]", "'a b' must be up to 64"),
        ("sources: [{name: ../x, type: local, path: x}]", "must be up to 64"),
        (one("path: x"), "source docs: its type is missing; there are github, git, local"),
        (one("type: gihub, path: x"), "unknown type 'gihub'; did you mean github?"),
        (one("type: local"), "source docs: path is missing"),
        (one("type: local, pth: x, path: y"), "unknown key pth; did you mean path?"),
        (one("type: github, owner: a"), "repo is missing"),
        (one("type: github, owner: a/b, repo: c"), "owner"),
        (one("type: github, owner: a, repo: c, path: ../x"), "must be a folder inside the repository"),
        (one("type: github, owner: a, repo: c, path: /etc"), "must be a folder inside the repository"),
        (one("type: github, owner: a, repo: c, token: ghp_x"), "a token does not belong into this file"),
        (one("type: github, owner: a, repo: c, token_env: MISSING"), "variable MISSING (token_env) is not set"),
        (one("type: github, owner: a, repo: c, token_env: EMPTY"), "variable EMPTY (token_env) is not set"),
        (one("type: github, owner: a, repo: c, app_id: 1"), "belong together"),
        (one("type: github, owner: a, repo: c, github_url: ftp://x"), "github_url: must be the address"),
        (one("type: git"), "give either url or path"),
        (one("type: git, url: https://x.example/y, path: z"), "give either url or path"),
        (one("type: git, url: file:///etc"), "must begin with https://"),
        (one("type: git, url: /srv/repo"), "a folder stands in path"),
        (one("type: git, url: '-oProxyCommand=x:y'"), "must begin with https://"),
        (one("type: git, url: 'ssh://-oProxyCommand=x/y'"), "must begin with https://"),
        (one("type: git, url: 'ext::sh -c x'"), "must begin with https://"),
        (one("type: git, url: https://me:secret@x.example/y"), "must hold no password"),
        (one("type: git, url: https://ghp_secret@x.example/y"), "must hold no password"),
        (one("type: git, url: http://x.example/y, token_env: DOCS_TOKEN"), "begins with https://"),
        (one("type: git, path: x, ref: --upload-pack=x"), "is no branch, tag or commit"),
        (one("type: git, path: x, ref: a..b"), "is no branch, tag or commit"),
        (one("type: local, path: x, web_url: 'javascript:alert(1)'"), "web_url: must be the address"),
        ("sources: [{name: a, type: local, path: x}, {name: a, type: local, path: y}]", "two sources have the name a"),
        ("sources: [{name: a, type: local, path: x}, {name: b, type: local, path: x/y}]", "hold the same documents"),
        ("sources: &a [*a]", "aliases (*name) are not allowed"),
        ("sources: " + "[" * 40, "nested more than 32 levels"),
        ("sources: [\n# " + "x" * 300_000, "larger than 256 KiB"),
        ("sources: [", "is not valid YAML"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(load, text, said):
    with pytest.raises(SettingsError) as caught:
        load(text)
    message = str(caught.value)
    assert said in message and "\n" not in message and "docs.yaml" in message
    assert "secret" not in message and "ghp_" not in message


def test_the_same_repository_may_give_two_folders_or_branches(load):
    found = load("""
sources:
  - {name: a, type: github, owner: acme, repo: docs, path: one}
  - {name: b, type: github, owner: acme, repo: docs, path: two}
  - {name: c, type: git, url: https://git.example.com/x.git, ref: main}
  - {name: d, type: git, url: https://git.example.com/x.git, ref: next}
""")
    assert len(found) == 4


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"RATCHET_DOCUMENTATION names .*gone\.yaml, which is no file"):
        load_sources(tmp_path / "gone.yaml", {})
