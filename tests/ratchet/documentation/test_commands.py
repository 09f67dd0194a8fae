"""``ratchet refresh-docs``, ``ratchet ask-docs`` and the doctor's word on sources."""

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from ratchet.cli import app
from ratchet.documentation.commands import run_ask, run_refresh
from ratchet.documentation.factory import check_sources
from ratchet.documentation.source import SourceError
from ratchet.sections import DatabaseSettings, EmbeddingSettings, OpenAISettings
from ratchet.settings import Settings, SettingsError
from sandbox.server import SandboxConfig, open_sandbox

from .conftest import write

GUIDE = "# Billing\n\n## Failover\n\nRun `billctl failover --to replica-2` and wait for the lag.\n"


@pytest.fixture
def settings(database_url, tmp_path):
    """Settings with the folder ``docs`` as a source, and no model."""
    write(tmp_path / "docs", {"billing.md": GUIDE})
    (tmp_path / "docs.yaml").write_text("sources: [{name: runbooks, type: local, path: docs}]\n")
    return Settings(
        database=DatabaseSettings(url=SecretStr(database_url)),
        embeddings=EmbeddingSettings(providers=["hashing"]),
        documentation=tmp_path / "docs.yaml",
        data_dir=tmp_path / "data",
        ollama={"host": "http://127.0.0.1:9"},
    )


async def test_refreshing_says_what_it_did_and_fails_where_a_source_does(settings, tmp_path, capsys):
    assert await run_refresh(settings, []) == 0
    said = capsys.readouterr()
    assert "\nrunbooks: 1 documents (1 new or changed, 0 unchanged, 0 removed) in " in f"\n{said.out}"
    assert "runbooks: 1 of 1 documents" in said.err
    write(tmp_path / "docs", {"bad.md": b"\xff"})
    assert await run_refresh(settings, ["runbooks"]) == 0
    assert "  bad.md: it is not UTF-8 (at byte 0); an old copy stays" in capsys.readouterr().out
    (tmp_path / "docs").rename(tmp_path / "elsewhere")
    assert await run_refresh(settings, []) == 1
    said = capsys.readouterr()
    assert "error: runbooks: the folder " in said.out and "What was stored of it stays." in said.out
    assert " of 0 documents" not in said.err
    with pytest.raises(SettingsError, match="did you mean runbooks"):
        await run_refresh(settings, ["runboks"])


async def test_without_a_file_of_sources_the_command_says_what_to_set(settings):
    with pytest.raises(SettingsError, match="set RATCHET_DOCUMENTATION"):
        await run_refresh(settings.model_copy(update={"documentation": None}), [])


async def test_searching_shows_the_lines_and_needs_no_model(settings, capsys):
    with pytest.raises(SettingsError, match="`ratchet refresh-docs` reads it"):
        await run_ask(settings, "how do I fail billing over?", search_only=True, limit=3)
    await run_refresh(settings, [])
    capsys.readouterr()
    assert await run_ask(settings, "how do I fail billing over?", search_only=True, limit=3) == 0
    said = capsys.readouterr().out
    assert "docs://runbooks/billing.md#L" in said and "    Run `billctl failover --to replica-2`" in said
    assert await run_ask(settings, "how do I fail billing over?", search_only=False, limit=3) == 0
    said = capsys.readouterr().out
    assert "No model answers, so here is what is found. (no model: " in said and "billctl" in said


async def test_a_model_answers_with_the_sources(settings, capsys):
    await run_refresh(settings, [])
    capsys.readouterr()
    async with open_sandbox(SandboxConfig(brain="planner")) as sandbox:
        openai = OpenAISettings(url=sandbox.openai_url, api_key=SecretStr("key"))
        local = settings.model_copy(update={"openai": openai})
        assert await run_ask(local, "how do I run a billing failover?", search_only=False, limit=3) == 0
        said = capsys.readouterr().out
        assert "Searching the docs for" in said and "billctl failover" in said
        assert "Sources:\n  docs://runbooks/billing.md#L" in said
        assert await run_ask(local, "how do I book a flight to Lisbon?", search_only=False, limit=3) == 1
        said = capsys.readouterr().out
        assert "does not cover" in said and "Sources:" not in said and "docs://" not in said


def test_a_question_needs_no_quotes(monkeypatch):
    asked = []

    async def run(settings, question, **options):
        asked.append((question, options["limit"]))
        return 0

    monkeypatch.setattr("ratchet.documentation.commands.run_ask", run)
    assert CliRunner().invoke(app, ["ask-docs", "how", "do", "I", "fail", "over?", "-n", "3"]).exit_code == 0
    assert asked == [("how do I fail over?", 3)]


async def test_the_doctor_names_each_source(settings, tmp_path):
    assert await check_sources(settings) == f"runbooks: 1 documents in {tmp_path / 'docs'}"
    settings.documentation.write_text(
        "sources:\n  - {name: runbooks, type: local, path: docs}\n  - {name: gone, type: git, path: nowhere}\n"
    )
    with pytest.raises(
        SourceError, match=r"runbooks: 1 documents in .*; gone: there is no git repository at .*nowhere"
    ):
        await check_sources(settings)
