"""The external classifier: its contract, and what becomes of one that does not keep it."""

import json
import stat
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from ratchet.program import LARGEST, Program, ProgramError, parse_answer, parse_span


@pytest.fixture
def program(tmp_path):
    """A program with a given body of Python."""

    def write(body, **options):
        path = tmp_path / "classify"
        path.write_text(f"#!{sys.executable}\nimport json, os, sys, subprocess, time\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return Program(path, **options)

    return write


async def test_it_is_asked_with_name_and_text_and_its_answer_counts(program):
    body = """
asked = json.load(sys.stdin)
print(json.dumps({"action": "open_incident", "alert": asked["text"], "service": asked["username"],
                  "priority": "HIGH", "duration": "1h30m"}))
"""
    [alert] = await program(body).classify("monitor", "it’s “down” $(id)")
    assert (alert.action, alert.alert, alert.service) == ("open_incident", "it’s “down” $(id)", "monitor")
    assert (alert.priority, alert.duration, alert.parser) == ("HIGH", timedelta(minutes=90), "program")


async def test_it_sees_nothing_of_our_environment(program, monkeypatch):
    monkeypatch.setenv("RATCHET_SECRET_FOR_TEST", "hunter2")
    body = 'print(json.dumps({"action": "open_incident", "alert": ",".join(sorted(os.environ)) + os.getcwd()}))'
    [alert] = await program(body).classify("", "")
    assert "SECRET" not in alert.alert and alert.alert.endswith("/")


async def test_it_need_not_read_what_it_is_asked(program):
    assert await program('print("{\\"action\\": \\"none\\"}")').classify("x", "y" * 1_000_000) == []


async def test_one_that_takes_too_long_is_killed_with_its_children(program, tmp_path):
    pids = tmp_path / "pids"
    body = f"""
child = subprocess.Popen(["/bin/sleep", "60"])
open({str(pids)!r}, "w").write(f"{{os.getpid()}} {{child.pid}}")
time.sleep(60)
"""
    began = time.monotonic()
    with pytest.raises(ProgramError, match=r"no answer within 1 s"):
        await program(body, seconds=1).classify("x", "y")
    assert time.monotonic() - began < 10
    for pid in pids.read_text().split():
        assert not running(int(pid))


async def test_children_that_it_leaves_behind_are_killed_too(program, tmp_path):
    pids = tmp_path / "pids"
    body = f"""
child = subprocess.Popen(["/bin/sleep", "60"], stdout=subprocess.DEVNULL)
open({str(pids)!r}, "w").write(str(child.pid))
print(json.dumps({{"action": "none"}}))
"""
    assert await program(body).classify("x", "y") == []
    assert not running(int(pids.read_text()))


def running(pid):
    """Whether a process lives; one that ended and was not collected does not."""
    for _ in range(100):
        try:
            with Path(f"/proc/{pid}/stat").open() as file:
                state = file.read().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        if state == "Z":
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sys.exit(3)", "exit status 3"),
        ("os.kill(os.getpid(), 9)", "exit status -9"),
        ("print('hello')", "no JSON: b'hello"),
        ("print('[1]')", "no JSON object"),
        ("print('[' * 60000)", "no JSON"),
        (f"print('x' * {LARGEST + 1})", f"longer than {LARGEST} bytes"),
        ("", "no JSON: b''"),
    ],
)
async def test_other_answers_are_refused_with_a_reason(program, body, says):
    with pytest.raises(ProgramError, match=says):
        await program(body).classify("x", "y")


async def test_one_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProgramError, match="none cannot be started: No such file"):
        await Program(tmp_path / "none").classify("x", "y")


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"action": "explode"}, "unknown action: explode"),
        ({"action": ["none"]}, "unknown action"),
        ({}, "unknown action: None"),
        ({"action": "open_incident", "alert": "a", "priority": "MEDIUM"}, "unknown priority: MEDIUM"),
        ({"action": "none", "priority": "high"}, "unknown priority: high"),
        ({"action": "open_incident", "alert": " "}, "an alert without a name"),
        ({"action": "open_incident", "alert": "a", "duration": "soon"}, "unknown duration: soon"),
    ],
)
def test_unknown_values_are_named(answer, says):
    with pytest.raises(ProgramError, match=says):
        parse_answer(json.dumps(answer).encode())


@pytest.mark.parametrize(
    ("value", "span"),
    [
        (None, None),
        ("", None),
        (0, None),
        (1_500_000_000, timedelta(seconds=1.5)),
        ("1h30m", timedelta(minutes=90)),
        ("1h0m30.5s", timedelta(hours=1, seconds=30.5)),
        ("300ms", timedelta(milliseconds=300)),
    ],
)
def test_durations_are_nanoseconds_or_spans(value, span):
    assert parse_span(value) == span


def test_the_fingerprint_is_the_same_when_it_opens_and_when_it_closes():
    prints = {
        parse_answer(json.dumps({"action": action, "alert": "a", "service": "s"}).encode())[0].fingerprint
        for action in ("open_incident", "close_incident")
    }
    assert len(prints) == 1
