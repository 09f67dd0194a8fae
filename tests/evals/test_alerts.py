"""The evaluation of the classifier: its definitions on rows of our own, its thresholds on real messages."""

import json
import re

import pytest

from evals.alerts import DataError, evaluate, load_rows
from tools.alerts import PARSERS


def row(action="open_incident", *, system="s", text="[FIRING:1] DiskFull", user=None, **expected):
    return {
        "id": "r",
        "source_system": system,
        "bot_username": "monitor",
        "user": user,
        "text": text,
        "attachments": None,
        "blocks": None,
        "expected": {"action": action, "alert": None, "service": None, **expected},
    }


@pytest.fixture
def judge(tmp_path):
    def run(*rows, **options):
        path = tmp_path / "data.jsonl"
        path.write_text("\n".join(json.dumps(entry) for entry in rows) + "\n\n")
        return evaluate(load_rows(path), **options).as_dict()

    return run


def test_a_right_message_counts_in_everything(judge):
    found = judge(row(alert="DiskFull", alert_accept=["DiskFull", "Disk full"]))
    assert found["overall"] == found["systems"]["s"]
    shares = {key: value for key, value in found["overall"].items() if key != "messages_per_second"}
    assert shares == {
        "action_f1": 1,
        "action_precision": 1,
        "action_recall": 1,
        "false_alarm_rate": 0,
        "alert_exact": 1,
        "service_exact": 1,
        "messages": 1,
    }
    assert found["overall"]["messages_per_second"] > 0


def test_a_wrong_action_is_a_false_positive_and_a_false_negative(judge):
    score = judge(row(), row("close_incident"))["overall"]
    assert (score["action_precision"], score["action_recall"], score["action_f1"]) == (0.5, 0.5, 0.5)
    assert score["false_alarm_rate"] == 0


def test_a_false_alarm_counts_among_what_is_none(judge):
    score = judge(row("none"), row("none", text="hello"), row("none", text="hi"), row("none", text="ho"))["overall"]
    assert (score["false_alarm_rate"], score["action_f1"], score["action_precision"]) == (0.25, 0, 0)


def test_a_system_without_alerts_and_without_false_alarms_is_perfect(judge):
    assert judge(row("none", text="hello"))["systems"]["s"]["action_f1"] == 1


def test_names_are_graded_only_where_the_truth_knows_them(judge):
    score = judge(
        row(alert="Other", service="web", service_accept=["web"]), row(), row("none", text="hello", alert="ignored")
    )["overall"]
    assert (score["alert_exact"], score["service_exact"]) == (0, 0)
    score = judge(row(alert_accept=["DiskFull"]), row(alert="Other"))["overall"]
    assert score["alert_exact"] == 0.5


def test_what_a_person_wrote_is_read_as_a_persons(judge):
    assert judge(row("none", user="U1"))["overall"]["false_alarm_rate"] == 0


def test_a_system_is_also_judged_without_the_parser_that_read_it(judge):
    kuma = row(system="kuma", text="[basket] [🔴 Down] timeout", service="basket", alert="basket")
    found = judge(kuma, row(), leave_one_out=True)
    assert set(found["leave_one_out"]) == {"kuma", "s"} and found["leave_one_out"]["kuma"]["alert_exact"] == 1
    assert "leave_one_out" not in judge(row())


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: not a message with its truth (Expecting"),
        ("[]", "line 2: not a message with its truth (list"),
        ('{"source_system": "s"}', "line 2: not a message with its truth (it has no 'expected')"),
        (
            '{"source_system": "s", "expected": {"action": "explode"}}',
            "line 2: not a message with its truth (unknown action: explode)",
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, says):
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(row()) + "\n" + line)
    with pytest.raises(DataError, match=re.escape(says)):
        load_rows(path)


def test_a_file_that_is_absent_empty_or_no_text_is_named(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        load_rows(tmp_path / "none.jsonl")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(DataError, match="holds no messages"):
        load_rows(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(DataError, match="cannot read"):
        load_rows(tmp_path / "binary")


@pytest.fixture(scope="module")
def real(shared_data):
    return evaluate(load_rows(shared_data / "alerts" / "dev.jsonl"), leave_one_out=True).as_dict()


def test_real_messages_are_read_as_well_as_promised(real):
    score = real["overall"]
    assert score["messages"] > 600
    assert score["action_f1"] >= 0.99 and score["false_alarm_rate"] <= 0.005
    assert score["alert_exact"] >= 0.97 and score["service_exact"] >= 0.9
    assert {name: each["action_f1"] for name, each in real["systems"].items() if each["action_f1"] < 0.97} == {}


def test_real_messages_of_a_system_without_its_parser_are_read_nearly_as_well(real):
    for name, score in real["leave_one_out"].items():
        assert score["action_f1"] >= 0.97 and score["false_alarm_rate"] <= 0.005 and score["alert_exact"] >= 0.97, name


def test_real_messages_are_read_by_the_generic_reader_alone(shared_data):
    from tools.alerts import overall, read

    special = frozenset(parser.name for parser in PARSERS if parser.name != "generic")
    rows = load_rows(shared_data / "alerts" / "dev.jsonl")
    wrong = [entry.row_id for entry in rows if overall(read(entry.message, without=special)) != entry.action]
    assert len(wrong) <= len(rows) // 100, wrong
