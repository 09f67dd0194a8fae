"""A tenth of ``make faults``: real processes die at the worst moments, and people see one answer all the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MESSAGES = 10


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results by scenario, of one run each."""
    file = tmp_path_factory.mktemp("faults") / "results.json"
    sizes = ["--runs", "1", "--messages", str(MESSAGES), "--lanes", "6", "--json", file]
    command = [sys.executable, "-m", "benchmarks.faults", *sizes]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = {result["scenario"]: result for result in json.loads(file.read_text())} if file.exists() else {}
    failed = any(result["problems"] for result in found.values())
    assert ended.returncode == int(failed or not found), ended.stdout
    assert found, ended.stdout
    return found


def passed(result):
    assert not result["problems"], "\n".join([*result["problems"], result["log"]])
    assert (result["once"], result["lost"], result["repeated"]) == (result["asked"], 0, 0)
    return True


@pytest.mark.parametrize("point", ["committed", "taken", "mid-tool", "before-post", "accepted", "streaming"])
def test_a_question_whose_process_is_killed_is_answered_once(results, point):
    assert passed(results[point])


def test_a_turn_that_ends_its_worker_every_time_is_given_up_and_the_user_is_told_once(results):
    assert passed(results["poison"])


@pytest.mark.parametrize("scenario", ["drained", "handed-over", "in-flight"])
def test_a_turn_in_progress_survives_sigterm(results, scenario):
    assert passed(results[scenario])


@pytest.mark.parametrize("scenario", ["paused", "overlap"])
def test_a_worker_that_stood_still_repeats_nothing_when_it_goes_on(results, scenario):
    assert passed(results[scenario])


def test_two_replicas_answer_a_thread_in_the_order_of_its_questions(results):
    assert passed(results["one-thread"])
    assert results["one-thread"]["asked"] == MESSAGES


def test_nothing_is_lost_while_replicas_are_replaced_under_load(results):
    assert passed(results["rolling"])


@pytest.mark.parametrize("scenario", ["mcp-slow", "mcp-hung", "mcp-large", "mcp-dying", "mcp-breaker"])
def test_a_turn_goes_on_whatever_an_mcp_server_does(results, scenario):
    assert passed(results[scenario])


def test_an_event_that_is_delivered_four_times_is_answered_once(results):
    assert passed(results["copies"])
