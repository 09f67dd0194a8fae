"""The commands as an operator runs them: real processes, one clear line for each mistake."""

import asyncio
import os
import sys
from contextlib import AsyncExitStack

import pytest

from ratchet.settings import load_settings, variables
from sandbox.server import SandboxConfig, open_sandbox


async def ratchet(*arguments, cwd, **environment):
    """Run a command in a clean environment; returns (exit code, standard output, standard error)."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ratchet.cli",
        *arguments,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), timeout=60)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture
async def environment(database_url):
    """Settings with which everything works."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(open_sandbox(SandboxConfig()))
        yield {
            "DATABASE_URL": database_url,
            "SLACK_API_URL": sandbox.slack_api_url,
            "RATCHET_SLACK_BOT_TOKEN": sandbox.bot_token,
            "RATCHET_SLACK_APP_TOKEN": sandbox.app_token,
            "RATCHET_OPENAI_URL": sandbox.openai_url,
            "RATCHET_OPENAI_API_KEY": "key",
            "RATCHET_HTTP_ADDR": "127.0.0.1:0",
        }


MISTAKES = {
    "an unknown key": ({"RATCHET_LOG_LEVLE": "info"}, "did you mean RATCHET_LOG_LEVEL"),
    "a wrong value": ({"RATCHET_HTTP_ADDR": "everywhere"}, "http_addr: must be host:port"),
    "a database that is down": ({"DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x"}, "cannot connect to me@127.0.0.1:1/x"),
    "a wrong bot token": ({"RATCHET_SLACK_BOT_TOKEN": "xoxb-wrong"}, "refuses the bot token: invalid_auth"),
    "a wrong app token": ({"RATCHET_SLACK_APP_TOKEN": "xapp-wrong"}, "refuses the app token: invalid_auth"),
    "Slack away": ({"SLACK_API_URL": "http://127.0.0.1:1/api/"}, "Slack cannot be reached at http://127.0.0.1:1/api/"),
    "a model that is away": ({"RATCHET_OPENAI_URL": "http://127.0.0.1:1/v1"}, "http://127.0.0.1:1/v1 cannot be reached"),
    "an unknown tool in a policy": ({"RATCHET_POLICIES__DEFAULT__TOOLS": "[no_such_tool]"}, "'no_such_tool' that does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_serve_ends_with_one_clear_line(environment, tmp_path, mistake):
    changed, line = MISTAKES[mistake]
    code, out, err = await ratchet("serve", cwd=tmp_path, **{**environment, **changed})
    errors = [text for text in err.splitlines() if text.startswith("error:")]
    assert code == 1 and len(errors) == 1 and line in errors[0], err
    assert "Traceback" not in err + out and "hunter2" not in err + out


async def test_doctor_finds_nothing_wrong(environment, tmp_path):
    code, out, err = await ratchet("doctor", cwd=tmp_path, **environment)
    assert code == 0 and out.count("OK") == 6 and "OK    embeddings: all-MiniLM-L6-v2/384" in out, out + err


async def test_doctor_names_everything_that_is_wrong_at_once(environment, tmp_path):
    wrong = {
        "DATABASE_URL": "postgresql://me:hunter2@127.0.0.1:1/x",
        "RATCHET_SLACK_BOT_TOKEN": "xoxb-wrong",
        "RATCHET_SLACK_APP_TOKEN": "xapp-wrong",
        "RATCHET_OPENAI_URL": "http://127.0.0.1:1/v1",
        "RATCHET_EMBEDDINGS_PROVIDERS": "openai",
        "RATCHET_POLICIES__DEFAULT__TOOLS": "[no_such_tool]",
    }
    code, out, err = await ratchet("doctor", cwd=tmp_path, **{**environment, **wrong})
    assert code == 1 and out.count("FAIL") == 6 and "hunter2" not in out + err, out + err


async def test_serve_without_a_model_says_what_to_set(environment, tmp_path):
    without = {key: value for key, value in environment.items() if "OPENAI" not in key}
    code, _, err = await ratchet("serve", cwd=tmp_path, OLLAMA_HOST="http://127.0.0.1:1", **without)
    assert code == 1 and "OPENAI_API_KEY" in err and "Ollama" in err


async def test_serve_runs_until_sigterm_and_ends_well(environment, tmp_path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ratchet.cli", "serve",
        cwd=tmp_path, env={"PATH": os.environ["PATH"], **environment}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr
    while b'"ready"' not in (line := await asyncio.wait_for(process.stderr.readline(), 60)):
        assert line, "it ended before it was ready"
    process.terminate()
    _, err = await asyncio.wait_for(process.communicate(), timeout=40)
    assert process.returncode == 0, err.decode()


async def test_tools_and_settings_are_listed_with_secrets_masked(tmp_path):
    code, out, _ = await ratchet("tools", cwd=tmp_path)
    assert code == 0 and "search_messages(query, channel" in out and "built-in, read" in out
    code, out, _ = await ratchet("settings", cwd=tmp_path, OPENAI_API_KEY="sk-very-secret-key")
    assert code == 0 and "very-secret" not in out
    assert {line.split(" = ")[0] for line in out.splitlines()} <= set(variables())


async def test_migrate_is_told_to_whoever_forgot_it(environment, postgres, tmp_path):
    import psycopg

    empty = psycopg.conninfo.make_conninfo(postgres, dbname="postgres")
    code, _, err = await ratchet("serve", cwd=tmp_path, **{**environment, "DATABASE_URL": empty})
    assert code == 1 and "run `ratchet migrate`" in err


async def test_help_names_every_command_and_imports_little(tmp_path):
    code, out, _ = await ratchet("--help", cwd=tmp_path)
    assert code == 0
    for command in ("serve", "chat", "demo", "migrate", "doctor", "tools", "settings"):
        assert command in out
    heavy = "import sys, ratchet.cli; print([m for m in ('langgraph', 'slack_bolt', 'psycopg', 'fastapi', 'numpy') if m in sys.modules])"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", heavy, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert printed.decode().strip() == "[]"


def test_every_setting_can_be_given_by_the_environment():
    settings = load_settings({"RATCHET_JOBS_CONCURRENCY": "7", "RATCHET_AGENT__MODEL_CALLS": "3"})
    assert (settings.jobs.concurrency, settings.agent.model_calls) == (7, 3)
