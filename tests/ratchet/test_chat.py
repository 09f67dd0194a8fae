"""The agent in a terminal, with each kind of model, from the settings on."""

import pytest

from ratchet.factories import choose_model
from ratchet.settings import SettingsError, load_settings
from sandbox.server import SandboxConfig, open_sandbox
from tests.processes import ratchet

HELLO = [
    {"match": "hello", "steps": [{"tool_calls": [{"name": "list_channels", "args": {}}]}, {"text": "I see {tool[0]}"}]}
]


async def test_an_openai_compatible_server_answers(database_url, tmp_path):
    async with open_sandbox(SandboxConfig()) as box:
        box.models.script.replace(HELLO)
        code, out, err = await ratchet(
            "chat", "hello", cwd=tmp_path, DATABASE_URL=database_url, RATCHET_OPENAI_URL=box.openai_url
        )
    assert code == 0 and "✓ Listing the channels" in out and '"channels": []' in out, out + err


async def test_ollama_is_found_and_its_model_pulled(database_url, tmp_path):
    async with open_sandbox(SandboxConfig()) as box:
        box.models.ollama_models.clear()
        box.models.script.replace(HELLO)
        code, out, err = await ratchet(
            "chat", "hello", cwd=tmp_path, DATABASE_URL=database_url, OLLAMA_HOST=box.ollama_url
        )
        assert code == 0 and "I see" in out, out + err
        assert "qwen2.5:7b" in box.models.ollama_models
        assert {call.kind for call in box.models.calls} >= {"chat"}


async def test_a_model_that_ollama_does_not_know_is_named(database_url, tmp_path):
    async with open_sandbox(SandboxConfig()) as box:
        environment = {"OLLAMA_HOST": box.ollama_url, "RATCHET_OLLAMA_MODEL": "missing-model"}
        code, _, err = await ratchet("chat", "hello", cwd=tmp_path, DATABASE_URL=database_url, **environment)
    assert code == 1 and "cannot provide missing-model" in err, err


async def test_the_embedded_database_starts_where_none_is_given(tmp_path):
    async with open_sandbox(SandboxConfig()) as box:
        box.models.script.replace(HELLO)
        code, out, err = await ratchet("chat", "hello", cwd=tmp_path, RATCHET_OPENAI_URL=box.openai_url)
    assert code == 0 and "I see" in out, out + err
    assert (tmp_path / ".ratchet" / "postgres" / "PG_VERSION").is_file()


async def test_the_choice_of_a_model_follows_the_settings():
    async with open_sandbox(SandboxConfig()) as box:
        both = {"OPENAI_API_KEY": "sk-123456789", "OLLAMA_HOST": box.ollama_url}
        assert (await choose_model(load_settings(both))).provider == "openai"
        assert (await choose_model(load_settings({**both, "RATCHET_MODEL_PROVIDER": "ollama"}))).provider == "ollama"
        assert (await choose_model(load_settings({"OLLAMA_HOST": box.ollama_url}))).model == "qwen2.5:7b"
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        await choose_model(load_settings({"OLLAMA_HOST": "http://127.0.0.1:1"}))
