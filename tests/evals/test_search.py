"""The evaluation of search: which queries it asks, how it counts, and what it prints."""

import json

import pytest
from typer.testing import CliRunner

from agent.embeddings.hashing import HashingEmbedder
from evals.search import DataError, build_queries, evaluate_search, load_threads, message_ts, table
from ratchet.cli import app

ROWS = [
    {
        "id": "one",
        "title": "2024-05-17, Checkout cannot reach its database",
        "alert": "CheckoutDown is firing",
        "root_cause": "- The connection pool was exhausted. Nobody knew.\n- more",
        "messages": [
            {"user": "a", "text": "CheckoutDown is firing", "ts": "May 17"},
            {"user": "b", "text": "the database refuses connections of checkout", "ts": None},
            {"user": "b", "text": "pool raised", "ts": None},
        ],
    },
    {
        "id": "two",
        "title": "Incident on 2020-08-04",
        "alert": None,
        "root_cause": "an expired certificate",
        "messages": [{"text": "certificate expired on the gateway"}, {"text": ""}, {"text": None}],
    },
    {
        "id": "three",
        "title": "",
        "alert": "NodeNotReady was seen",
        "root_cause": None,
        "messages": [{"text": "NodeNotReady was seen"}, {"text": "kubelet stopped"}],
    },
]


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "threads.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n", "utf-8")
    return file


def test_queries_are_what_an_engineer_would_type(data):
    asked = {(query.kind, query.thread): (query.text, query.verbatim) for query in build_queries(load_threads(data))}
    assert asked == {
        ("title", 0): ("Checkout cannot reach its database", frozenset()),
        ("alert", 0): ("CheckoutDown is firing", frozenset({message_ts(0, 0)})),
        ("root_cause", 0): ("The connection pool was exhausted", frozenset()),
        ("root_cause", 1): ("an expired certificate", frozenset()),
        ("alert", 2): ("NodeNotReady was seen", frozenset({message_ts(2, 0)})),
    }


async def test_a_hit_is_a_message_of_the_right_thread_other_than_the_query_itself(data, database):
    found = await evaluate_search(load_threads(data), database, HashingEmbedder(), lambda done, total: None)
    assert (found.threads, found.messages) == (3, 6)
    assert found.queries == {"title": 1, "alert": 2, "root_cause": 2}
    # Besides the alert itself, the first thread says "checkout", and the third none of the alert's words.
    assert found.kinds["alert"]["lexical"].recall_at_1 == 0.5
    assert found.kinds["title"]["lexical"].recall_at_1 == 1
    assert found.methods["hybrid"].recall_at_10 == 1 and 0 < found.methods["hybrid"].mrr <= 1
    lines = table(found).splitlines()
    assert len(lines) == 2 + 3 * 4 and "hashing/384" in lines[0]


def test_it_prints_one_object(data):
    result = CliRunner().invoke(
        app, ["eval", "search", "--data", str(data), "--json"], env={"RATCHET_EMBEDDINGS_PROVIDERS": "hashing"}
    )
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["methods"].keys() == {"lexical", "vector", "hybrid"}
    assert {"recall_at_5", "mrr", "ms_per_query"} <= found["methods"]["hybrid"].keys()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "line 1: not a thread"),
        ("[]", "line 1: not a thread"),
        ('{"title": "x"}', "line 1: not a thread"),
        ('{"messages": []}', "holds nothing to ask for"),
        ("", "holds nothing to ask for"),
    ],
)
def test_data_that_is_none_is_refused_in_one_line(tmp_path, content, says):
    file = tmp_path / "x.jsonl"
    file.write_text(content, "utf-8")
    with pytest.raises(DataError, match=says):
        load_threads(file)
    result = CliRunner().invoke(app, ["eval", "search", "--data", str(file)])
    assert result.exit_code == 1 and says in result.output
    with pytest.raises(DataError, match="cannot read"):
        load_threads(tmp_path / "absent")


def test_every_thread_of_the_real_data_is_asked_for(shared_data):
    threads = load_threads(shared_data / "threads" / "dev.jsonl")
    queries = build_queries(threads)
    assert len(threads) == 44 and {query.thread for query in queries} == set(range(44))
    assert all(2 <= len(query.text.split()) <= 30 and not query.text.startswith("20") for query in queries)
