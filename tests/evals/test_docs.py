"""The evaluation of documentation: how it counts, what it refuses, and that every method runs."""

import json
from contextlib import nullcontext

import pytest
from typer.testing import CliRunner

from agent.embeddings.hashing import HashingEmbedder
from evals.docs import DataError, Query, evaluate_docs, load_corpus, load_queries, score, table
from ratchet.cli import app

PAGES = {
    "disk.md": "# Full disks\n\nDelete old logs when the disk of a node is full.",
    "etcd/leader.md": "# etcdNoLeader\n\nThe cluster has no leader. Restore a member.",
    "notes.txt": "A release is cut each Tuesday.",
    "guide.rst": "Guide\n=====\n\nHow to install the agent.",
    "picture.png": "no document",
}
QUERIES = [
    {"id": "1", "query": "the disk is full", "relevant": ["disk.md"]},
    {"id": "2", "query": "etcdNoLeader", "relevant": ["etcd/leader.md", "./notes.txt"]},
    {"id": "3", "query": "install the agent", "relevant": ["/guide.rst"]},
]


@pytest.fixture
def data(tmp_path):
    for path, text in PAGES.items():
        (tmp_path / "corpus" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "corpus" / path).write_text(text)
    (tmp_path / "queries.jsonl").write_text("\n\n".join(map(json.dumps, QUERIES)))
    return tmp_path


def load(data):
    corpus = load_corpus(data / "corpus")
    return corpus, load_queries(data / "queries.jsonl", corpus)


def test_documents_are_read_by_their_paths_in_the_folder(data):
    corpus, queries = load(data)
    assert set(corpus) == {"disk.md", "etcd/leader.md", "notes.txt", "guide.rst"}
    assert [sorted(query.relevant) for query in queries] == [
        ["disk.md"],
        ["etcd/leader.md", "notes.txt"],
        ["guide.rst"],
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: not a query of the form"),
        ('{"query": "x"}', "line 2: not a query of the form"),
        ('{"query": "", "relevant": ["disk.md"]}', "line 2: not a query of the form"),
        ('{"query": "x", "relevant": []}', "line 2: not a query of the form"),
        ('{"query": "x", "relevant": ["nowhere.md"]}', "line 2: 'nowhere.md' is not in the corpus"),
    ],
)
def test_a_row_that_is_no_query_is_named(data, line, says):
    (data / "queries.jsonl").write_text(json.dumps(QUERIES[0]) + "\n" + line)
    with pytest.raises(DataError, match=says):
        load(data)


def test_wrong_files_are_one_line_on_the_command_line(data):
    def run(corpus, queries):
        found = CliRunner().invoke(
            app, ["eval", "docs", "--corpus", str(data / corpus), "--queries", str(data / queries)]
        )
        assert found.exit_code == 1 and found.output.startswith("error: ") and found.output.count("\n") == 1
        return found.output

    (data / "empty").mkdir()
    (data / "empty.jsonl").write_text("\n")
    assert "is no folder" in run("none", "queries.jsonl")
    assert "holds no documents" in run("empty", "queries.jsonl")
    assert "cannot read" in run("corpus", "none.jsonl")
    assert "holds no queries" in run("corpus", "empty.jsonl")


async def test_scores_are_those_of_the_definitions():
    async def ask(query):
        return {"one": ["a", "a", "x", "b"], "two": ["x", "y", "z", "w", "v", "c"], "none": []}[query]

    found = await score(
        [Query("one", frozenset("ab")), Query("two", frozenset("c")), Query("none", frozenset("d"))], ask
    )
    assert (found.recall_at_1, found.recall_at_3, found.recall_at_5, found.recall_at_10) == (
        0.1667,
        0.3333,
        0.3333,
        0.6667,
    )
    assert found.mrr == round((1 + 1 / 6) / 3, 4)
    assert found.ndcg_at_10 == pytest.approx(((1 + 0.5) / (1 + 0.63093) + 0.35621) / 3, abs=1e-3)


async def test_every_method_and_the_baseline_answer_from_the_same_corpus(data, database):
    corpus, queries = load(data)
    seen = []

    def progress(label):
        return nullcontext(lambda done, total: seen.append((label.split()[0], done, total)))

    found = await evaluate_docs(corpus, queries, database, HashingEmbedder(), progress)
    assert list(found.methods) == ["lexical", "vector", "hybrid", "baseline"]
    assert all(
        method.recall_at_10 == 1 and method.ms_per_query > 0
        for name, method in found.methods.items()
        if name != "lexical"
    )
    assert found.methods["lexical"].mrr == 1 and found.index_seconds > 0
    assert ("storing", 4, 4) in seen and ("embedding", 4, 4) in seen
    printed = json.loads(found.to_json())
    assert set(printed) == {"methods", "index_seconds"}
    assert set(printed["methods"]["hybrid"]) == {
        "recall_at_1", "recall_at_3", "recall_at_5", "recall_at_10", "mrr", "ndcg_at_10", "ms_per_query",
    }  # fmt: skip
    assert "baseline" in table(found)
