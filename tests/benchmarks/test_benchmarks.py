"""The benchmarks run and report what they promise; no figure is judged here."""

import dataclasses
import json

import pytest

from benchmarks import suite
from benchmarks.profiling import profile_turns
from benchmarks.report import Table, Target, percentile
from benchmarks.subjects import PLAIN, RATCHET, SHIPPED
from benchmarks.turns import WITH_JOB

TINY = dataclasses.replace(
    suite.QUICK,
    turns=2,
    throughput={1: 1, 3: 1},
    growth=(1, 3, 6),
    latency_seconds=0.01,
    latency_threads=3,
    events=12,
    starts=2,
    burst=2,
    profile_turns=2,
    search_messages=1500,
    search_queries=20,
)


@pytest.fixture
def new_database(database_url):
    """What the benchmarks call for a fresh database; here always this test's own."""

    async def create():
        return database_url

    return create


async def test_a_turn_is_timed_for_each_subject(new_database):
    outcome = await suite.run_one("turns", TINY, new_database)
    assert outcome.figures.keys() == {PLAIN, SHIPPED, f"{RATCHET}, runner only", WITH_JOB}
    assert all(found["median_ms"] > 0 for found in outcome.figures.values())
    assert len(outcome.targets) == 1


async def test_a_long_thread_is_measured_at_its_points_and_costs_ratchet_the_same_at_each(new_database):
    outcome = await suite.run_one("growth", TINY, new_database)
    stored = {name: outcome.figures[name]["bytes"] for name in (SHIPPED, RATCHET)}
    assert all(found.keys() == {1, 3, 6} for found in stored.values())
    assert stored[SHIPPED][6] > stored[SHIPPED][1] > 10_000
    assert 10_000 < stored[RATCHET][6] < 1.2 * stored[RATCHET][1]


async def test_throughput_and_latency_are_measured_for_both(new_database):
    throughput = await suite.run_one("throughput", TINY, new_database)
    assert throughput.figures.keys() == {"1", "3"} and throughput.figures["3"].keys() == {SHIPPED, RATCHET}
    latency = await suite.run_one("latency", TINY, new_database)
    assert all(found["p95_ms"] >= 3 * 10 for found in latency.figures.values())


async def test_a_question_is_timed_from_its_event_to_its_job_and_first_status(new_database):
    outcome = await suite.run_one("start", TINY, new_database)
    assert outcome.figures.keys() == {"one at a time", "2 at once"}
    assert len(outcome.targets) == 2


async def test_a_search_is_timed_in_a_filled_memory(new_database):
    outcome = await suite.run_one("search", TINY, new_database)
    assert outcome.figures["stored"] == 1500 and outcome.figures["hybrid"]["p95_ms"] > 0
    assert [target.limit for target in outcome.targets] == [60.0] and len(outcome.tables) == 2


async def test_a_profile_names_our_own_functions(database_url):
    assert "agent/runner.py" in await profile_turns(database_url, turns=2)


async def test_the_suite_prints_targets_and_writes_the_figures(tmp_path, capsys):
    file = tmp_path / "figures.json"
    assert await suite.run_suite(["turns"], TINY, json_file=file) == 0
    printed = capsys.readouterr().out
    assert "## Time of one turn" in printed and "## Targets" in printed
    figures = json.loads(file.read_text("utf-8"))
    assert figures.keys() == {"turns", "targets"} and figures["targets"][0]["met"] in {True, False}


def test_percentiles_are_nearest_ranks():
    values = [float(value) for value in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 95), percentile(values, 99)) == (50, 95, 99)
    assert percentile([7.0], 99) == 7


def test_a_target_is_met_at_its_limit():
    assert Target("at most", 2.0, 2.0).met and not Target("at most", 2.0, 2.1).met
    assert Target("at least", 2.0, 2.0, at_least=True).met and not Target("at least", 2.0, 1.9, at_least=True).met


def test_tables_are_aligned():
    lines = Table("t", ("name", "ms"), [("a", "1.0"), ("longer", "100.0")]).render().splitlines()
    assert lines[-1] == "longer  100.0" and lines[-2] == "a         1.0"
