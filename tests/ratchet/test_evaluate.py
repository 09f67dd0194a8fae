"""`ratchet eval alerts`, as it is called."""

import json

import pytest
from typer.testing import CliRunner

from ratchet.cli import app

ROWS = [
    {"id": "a", "source_system": "one", "text": "[FIRING:1] DiskFull", "expected": {"action": "open_incident", "alert": "DiskFull"}},
    {"id": "b", "source_system": "one", "text": "[RESOLVED] DiskFull", "expected": {"action": "close_incident", "alert": "Other"}},
    {"id": "c", "source_system": "two", "user": "U1", "text": "hello", "expected": {"action": "none"}},
]  # fmt: skip


@pytest.fixture
def evaluate(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in ROWS))

    def run(*arguments, data=path):
        return CliRunner().invoke(app, ["eval", "alerts", "--data", str(data), *arguments])

    return run


def test_json_is_one_object_with_the_agreed_keys(evaluate):
    found = evaluate("--json")
    assert found.exit_code == 0
    printed = json.loads(found.stdout)
    assert set(printed) == {"overall", "systems"} and set(printed["systems"]) == {"one", "two"}
    for score in (printed["overall"], *printed["systems"].values()):
        assert set(score) == {
            "action_f1", "action_precision", "action_recall", "false_alarm_rate", "alert_exact", "service_exact",
            "messages", "messages_per_second",
        }  # fmt: skip
    assert printed["systems"]["one"]["alert_exact"] == 0.5
    assert set(json.loads(evaluate("--json", "--without-own-parser").stdout)["leave_one_out"]) == {"one", "two"}


def test_the_table_has_a_line_a_system_and_shows_mistakes_on_demand(evaluate):
    found = evaluate("--show", "3", "--without-own-parser")
    assert found.exit_code == 0 and "overall" in found.stdout
    assert "Each system without the parsers that read it" in found.stdout
    assert "one b: wrong alert" in found.stdout and "one a: wrong" not in found.stdout
    assert "wrong" not in evaluate().stdout


def test_a_missing_file_is_one_line(evaluate, tmp_path):
    found = evaluate(data=tmp_path / "none.jsonl")
    assert found.exit_code == 1 and found.output.startswith("error: cannot read") and found.output.count("\n") == 1
