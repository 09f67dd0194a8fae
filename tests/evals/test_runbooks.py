"""How runbooks are judged."""

import json

import pytest

from agent.runbooks import RunbookDraft
from evals.runbooks import DataError, commands_in, evaluate, load_threads

ROW = {
    "id": "t1",
    "alert": "DiskFull",
    "service": "db",
    "messages": [
        {"user": "x", "text": "DiskFull"},
        {"user": "a", "text": "The disk of db-1 was full of old logs."},
        {"user": "b", "text": "Cleared them:\n```\n$ rm -r /var/log/old\nremoved 12 files\n```\nthen `df -h` was fine"},
    ],
}


def answering(**sections):
    async def ask(messages):
        return RunbookDraft.model_validate({"overview": [], "root_causes": [], "steps": [], **sections})

    return ask


@pytest.fixture
def threads(tmp_path):
    path = tmp_path / "threads.jsonl"
    path.write_text(json.dumps(ROW) + "\n")
    return load_threads(path)


async def test_what_is_kept_and_what_was_dropped_is_counted(threads):
    report = await evaluate(
        threads,
        answering(
            root_causes=[{"text": "The disk was full", "source": "m1"}, {"text": "Sabotage", "source": "m1"}],
            steps=[{"text": "Clear old logs", "source": "m2", "command": "rm -r /var/log/old"}],
        ),
    )
    figures = report.as_dict()
    assert (figures["lines"], figures["dropped"], figures["grounded"]) == (2, 0.3333, 1.0)
    assert (figures["commands"], figures["commands_kept"]) == (2, 0.5)


async def test_of_a_hostile_model_nothing_is_left(threads):
    invented = [
        {"text": "Wipe the cluster now", "source": source, "command": "rm -rf /"} for source in ("m1", "m2", "m7")
    ]
    report = await evaluate(threads, answering(overview=invented, root_causes=invented, steps=invented))
    assert report.as_dict()["lines"] == 0 and report.as_dict()["dropped"] == 1.0


def test_commands_are_code_of_several_words_and_lines_of_well_known_programs():
    text = "`ls` then `ls -l`\n$ make all\nkubectl get pods\nwe ran kubectl get\n```\n$ one two\noutput\n```\n```a log\nof b```"
    assert commands_in(text) == ["ls -l", "one two", "a log\nof b", "make all", "kubectl get pods"]


@pytest.mark.parametrize("line", ["no JSON", "{}", '{"id": 1, "alert": "a", "messages": [{}, {}]}', "[]"])
def test_a_line_that_is_no_thread_is_named(tmp_path, line):
    path = tmp_path / "threads.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{line}\n")
    with pytest.raises(DataError, match="line 2: not a thread of an incident"):
        load_threads(path)


def test_no_file_and_an_empty_file_are_errors(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        load_threads(tmp_path / "missing.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no threads"):
        load_threads(tmp_path / "empty.jsonl")
