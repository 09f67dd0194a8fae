"""The commands as an operator runs them: real processes, one clear line for each mistake."""

import asyncio
import json
import os
import pkgutil
import sys
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ratchet import cli
from ratchet.settings import load_settings, variables
from sandbox.server import SandboxConfig, open_sandbox
from tests.processes import ROOT, ratchet


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
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stderr=asyncio.subprocess.PIPE,
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


@pytest.mark.parametrize("name", sorted(cli.EXPLAINED))
def test_the_errors_that_are_one_line_exist(name):
    assert issubclass(pkgutil.resolve_name(name), Exception)


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


async def test_report_and_usage_print_tables_json_and_a_chart(environment, tmp_path, database_url):
    now = datetime.now(UTC)
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as conn:
        for channel_id, name, kind in (("C1", "ops-alerts", "public"), ("G1", "secret", "private")):
            await conn.execute(
                "insert into channels (team_id, channel_id, name, kind) values ('T1', %s, %s, %s)",
                (channel_id, name, kind),
            )
            for number in range(3):
                at = now - timedelta(hours=1 + number)
                await conn.execute(
                    "insert into messages (team_id, channel_id, ts, is_bot, text, alert_action) "
                    "values ('T1', %s, %s, true, 'down', 'open_incident')",
                    (channel_id, ts := f"{at.timestamp():.6f}"),
                )
                await conn.execute(
                    "insert into alerts (team_id, channel_id, ts, fingerprint, action, alert, parser, confidence, at) "
                    "values ('T1', %s, %s, 'f', 'open_incident', %s, 'test', 1, %s)",
                    (channel_id, ts, f"Disk{channel_id}", at),
                )
    code, out, err = await ratchet("report", "#ops-alerts", "--chart", "week.png", cwd=tmp_path, **environment)
    assert code == 0, err
    assert "Report for #ops-alerts" in out and "DiskC1" in out and "Top alerts" in out and "Toil" in out
    assert (tmp_path / "week.png").read_bytes().startswith(b"\x89PNG") and "chart written to week.png" in err
    code, out, err = await ratchet("report", "#ops-alerts", "--days", "2", "--json", cwd=tmp_path, **environment)
    assert code == 0 and json.loads(out)["incident_counts"] == {"DiskC1": 3}, err
    code, out, err = await ratchet("report", "#secret", cwd=tmp_path, **environment)
    assert (code, out) == (1, "") and "no public channel '#secret': there are #ops-alerts" in err
    code, out, err = await ratchet("report", "#ops-alerts", "--chart", "none/x.png", cwd=tmp_path, **environment)
    assert code == 1 and "cannot write none/x.png" in err
    code, out, err = await ratchet("usage", "--json", cwd=tmp_path, **environment)
    assert code == 0 and [row["name"] for row in json.loads(out)["channels"]] == ["#ops-alerts"], err
    code, out, err = await ratchet("usage", cwd=tmp_path, **environment)
    assert code == 0 and "3 messages" in out and "#ops-alerts" in out, err


async def test_the_report_runs_on_the_demo_without_anything_set_up(tmp_path):
    code, out, err = await ratchet("report", "#ops-alerts", "--demo", "--json", "--chart", "demo.png", cwd=tmp_path)
    assert code == 0, err
    report = json.loads(out)
    assert report["totals"]["fired"] > 30 and report["proposals"]
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")


BAD_POLICIES = {
    "a time zone that does not exist": ({"timezone": "Mars/Olympus"}, "'Mars/Olympus' is no time zone"),
    "a budget below nothing": ({"budget": {"daily_tokens": -1}}, "daily_tokens"),
    "a budget in dollars for a model without a price": (
        {"budget": {"monthly_usd": 5}},
        "model.prices has no price for",
    ),
    "a model that the server does not offer": ({"model": "no-such-model"}, "policies.default.model: no-such-model"),
}


@pytest.mark.parametrize("mistake", BAD_POLICIES)
async def test_a_policy_that_cannot_be_kept_ends_with_one_clear_line(environment, tmp_path, mistake):
    policy, line = BAD_POLICIES[mistake]
    (tmp_path / "r.yaml").write_text(json.dumps({"policies": {"default": policy}}))
    code, _, err = await ratchet("serve", cwd=tmp_path, **environment, RATCHET_CONFIG="r.yaml")
    assert code == 1 and line in err and "Traceback" not in err


async def test_forget_says_what_is_stored_asks_and_says_what_was_removed(environment, tmp_path, database, memory):
    await memory.say("the canary sings", user="U7")
    given = {"cwd": tmp_path, "DATABASE_URL": environment["DATABASE_URL"]}
    code, out, _ = await ratchet("forget", "--user", "U7", "--dry-run", **given)
    assert (code, out.splitlines()[-1]) == (0, "nothing was removed") and "U7 of T1: 1 messages" in out
    code, out, _ = await ratchet("forget", "--user", "U7", **given)  # nobody answers
    assert code == 1
    async with database.connection() as conn:
        assert await (await conn.execute("select text from messages")).fetchall() == [("the canary sings",)]
        code, out, _ = await ratchet("forget", "--user", "U7", "--yes", **given)
        assert code == 0 and "removed from T1: 1 messages" in out
        assert await (await conn.execute("select text, user_id from messages")).fetchall() == [("", None)]
    code, out, err = await ratchet("forget", **given)
    assert code == 2 and "give either --user or --channel" in err
    code, out, err = await ratchet("forget", "--channel", "ops", **given)
    assert code == 1 and err.startswith("error: 'ops' is no Slack id") and len(err.splitlines()) == 1
