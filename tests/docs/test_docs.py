"""The documentation says what is: variables, commands, targets and links exist, and the shipped files load."""

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer.main
import yaml

from ratchet.cli import app
from ratchet.settings import CONFIG_FILE_VARIABLE, Settings, SettingsError, load_settings, variables, walk

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\b(?:RATCHET_[A-Z_]+|(?:DATABASE|SLACK|OPENAI|OLLAMA)_[A-Z_]+)\b")
COMMAND = re.compile(r"(?:^|[`/ ])ratchet ([a-z-]+)(?: (--[a-z-]*[a-z]))?", re.MULTILINE)
TARGET = re.compile(r"\bmake ([a-z]+)\b")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SLASH_COMMAND = re.compile(r"(?<![\w.])/ratchet\b")
# Put together here, so that this file does not hold what it looks for.
REGISTRIES = [".".join(parts) for parts in (
    ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("ghcr", "io"), ("docker", "io"), ("quay", "io"), ("gcr", "io"),
)]  # fmt: skip


def page_name(page):
    return str(page.relative_to(ROOT))


def code(text):
    """What a page shows as commands or names: inline code, and blocks that are no transcripts."""
    blocks = [body for language, body in FENCE.findall(text) if language != "text"]
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", FENCE.sub("", text))])


def anchors(text):
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands():
    """Every subcommand of `ratchet` with its options."""
    group = typer.main.get_command(app)
    return {name: set(_options(command)) for name, command in group.commands.items()}


def _options(command):
    """A command's options, with those of the commands below it."""
    yield from (option for parameter in command.params for option in parameter.opts)
    for below in getattr(command, "commands", {}).values():
        yield from _options(below)


def tracked():
    """Every text file that is in git or would be added."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            yield name, (ROOT / name).read_bytes().decode("utf-8", "replace")


def test_the_pages_are_found():
    assert {"README.md", "CONTRIBUTING.md", "docs/adding-a-tool.md"} <= {page_name(page) for page in PAGES}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / ".env.example", ROOT / "docker-compose.yml", ROOT / "Dockerfile"], ids=page_name
)
def test_every_variable_that_is_named_is_read(page):
    named = set(VARIABLE.findall(page.read_text("utf-8")))
    assert named - set(variables()) - {CONFIG_FILE_VARIABLE} == set()


def test_the_readme_names_every_command_and_its_options():
    text = (ROOT / "README.md").read_text("utf-8")
    table = text[text.index("## Command line") :]
    assert {match[0] for match in COMMAND.findall(table)} >= set(commands())
    options = {option for found in commands().values() for option in found if option.startswith("--")} - {"--help"}
    assert set(re.findall(r"--[a-z-]*[a-z]", table)) == options


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_and_target_that_is_named_exists(page):
    shown = SLASH_COMMAND.sub("", code(page.read_text("utf-8")).replace(".venv/bin/ratchet", "ratchet"))
    known = commands()
    for name, option in COMMAND.findall(shown):
        assert name in known, f"ratchet {name}"
        assert not option or option in known[name], f"ratchet {name} {option}"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(TARGET.findall(shown)) <= targets


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_relative_link_leads_somewhere(page):
    for target in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists() and linked.is_relative_to(ROOT), target
        assert not anchor or anchor in anchors(linked.read_text("utf-8")), target


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_shown_python_yaml_and_toml_can_be_read(page):
    readers = {"python": ast.parse, "yaml": yaml.safe_load, "toml": tomllib.loads}
    for language, body in FENCE.findall(page.read_text("utf-8")):
        assert language, "a block without a language"
        if language in readers:
            readers[language](body)


def test_the_shipped_settings_load_and_change_nothing(tmp_path):
    loaded = load_settings({}, env_file=tmp_path / "none", config_file=ROOT / "configs/ratchet.yaml")
    assert loaded == Settings()


def test_the_shipped_settings_show_every_setting_with_its_default(tmp_path):
    text = (ROOT / "configs/ratchet.yaml").read_text("utf-8")
    uncommented = tmp_path / "ratchet.yaml"
    uncommented.write_text(re.sub(r"^#(?=(?:  )*[a-z_]+:)", "", text, flags=re.MULTILINE))
    assert load_settings({}, env_file=tmp_path / "none", config_file=uncommented) == Settings()
    shown = yaml.safe_load(uncommented.read_text())
    for path, _, _ in walk(Settings()):
        place = shown
        for part in path:
            assert part in place, ".".join(path)
            place = place[part]


def test_a_wrong_value_in_the_shipped_settings_would_be_found(tmp_path):
    text = (ROOT / "configs/ratchet.yaml").read_text("utf-8")
    broken = tmp_path / "ratchet.yaml"
    broken.write_text(text.replace("allow_guests: false", "allow_gests: false"))
    with pytest.raises(SettingsError, match="allow_gests"):
        load_settings({}, env_file=tmp_path / "none", config_file=broken)


def test_the_manifest_asks_for_what_ratchet_needs():
    manifest = yaml.safe_load((ROOT / "configs/app-manifest.yaml").read_text("utf-8"))
    features, settings = manifest["features"], manifest["settings"]
    assert settings["socket_mode_enabled"] is True and settings["interactivity"]["is_enabled"] is True
    assert [command["command"] for command in features["slash_commands"]] == ["/ratchet", "/sre"]
    assert 0 < len(features["agent_view"]["suggested_prompts"]) <= 4 and "assistant_view" not in features
    assert features["app_home"]["messages_tab_enabled"] and not features["app_home"]["messages_tab_read_only_enabled"]


def test_compose_runs_without_root_and_migrates_first():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    services = compose["services"]
    assert set(services) == {"postgres", "ollama", "migrate", "ratchet"}
    for name in ("ratchet", "migrate", "postgres"):
        assert services[name]["user"].split(":")[0] not in {"", "0", "root"}, name
    assert services["ratchet"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
    assert services["migrate"]["depends_on"]["postgres"] == {"condition": "service_healthy"}
    assert services["migrate"]["command"] == ["migrate"] and services["ratchet"]["command"] == ["serve"]
    assert {"healthcheck"} <= set(services["postgres"]) & set(services["ollama"]) & set(services["ratchet"])
    volumes = {v.split(":")[0] for s in services.values() for v in s.get("volumes", []) if not v.startswith(".")}
    assert volumes == set(compose["volumes"])
    drain = re.fullmatch(r"(\d+)s", services["ratchet"]["stop_grace_period"])
    assert drain and int(drain[1]) > Settings().jobs.drain_seconds


def test_the_image_runs_without_root_and_has_every_package():
    lines = (ROOT / "Dockerfile").read_text("utf-8").splitlines()
    final = lines[max(i for i, line in enumerate(lines) if line.startswith("FROM ")) :]
    users = [line.split()[1] for line in final if line.startswith("USER ")]
    assert users and users[-1].split(":")[0] not in {"0", "root"}
    assert any(line.startswith("HEALTHCHECK ") for line in final) and "/healthz" in "\n".join(final)
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "packages"
    ]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for package in packages:
        assert f"COPY {package} {package}" in lines and f"!{package}" in ignored, package
    installs = [line for line in lines if "pip sync" in line or "pip install" in line]
    text = "\n".join(lines).replace("\\\n", " ")
    assert installs and re.search(r"uv pip sync [^\n]*--require-hashes +--constraint requirements\.lock", text)


def test_no_file_names_a_package_registry_or_where_it_was_written():
    needles = [*REGISTRIES, f"{ROOT}/"]
    assert [f"{name}: {needle}" for name, text in tracked() for needle in needles if needle in text] == []
