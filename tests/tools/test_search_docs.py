"""search_docs and read_doc."""

import json

import pytest
from langchain_core.tools import ToolException

from agent.embeddings.minilm import MiniLM, find_files
from storage import chunk_vectors, document_search, documents, vectors
from storage.documents import NewDocument
from tools.docs.chunks import split
from tools.read_doc import LONGEST, read_doc
from tools.search_docs import search_docs

URL = "https://github.com/acme/docs/blob/main/etcd.md"
TEXT = "# etcdNoLeader\n\nThe etcd cluster has no leader.\n\n## Mitigation\n\nRestore a member from its snapshot.\n"


@pytest.fixture
async def stored(memory):
    async def put(text=TEXT, url=URL, path="etcd.md"):
        found = split(text, path)
        async with memory.database.connection() as conn:
            await documents.put(conn, NewDocument("docs", path, url, found.title, text[:40], text), found.chunks)

    await put()
    return put


async def test_passages_come_with_the_link_to_their_lines(ask, stored):
    found = await ask(search_docs, query="etcd has no leader")
    assert found["results"][0] == {
        "source": f"{URL}#L1-L7",
        "title": "etcdNoLeader",
        "section": "etcdNoLeader",
        "text": TEXT.rstrip("\n"),
    }
    assert "no embedding model" in found["note"]


async def test_what_the_documents_do_not_cover_is_said_and_nothing_is_shown(ask, stored):
    found = await ask(search_docs, query="how do I request vacation for next summer in the leader portal")
    assert found["results"] == [] and "does not cover" in found["note"] and "added" in found["note"]


async def test_what_is_not_embedded_yet_is_compared_all_the_same(ask, stored):
    model = MiniLM(find_files())
    found = await ask(search_docs, query="how do I renew the passport of the leader?", embedder=model)
    assert found["results"] == [] and "does not cover" in found["note"]
    found = await ask(search_docs, query="the etcd cluster lost its leader, what now?", embedder=model)
    assert found["results"][0]["source"] == f"{URL}#L1-L3"


async def test_without_any_documents_nothing_is_found(ask, memory):
    assert (await ask(search_docs, query="etcd"))["results"] == []


async def test_meaning_counts_when_chunks_are_embedded(ask, stored, memory, concepts):
    model = concepts()
    await stored("# Money\n\nPayments wait for the replica.", "https://x/money.md", "money.md")
    assert (await ask(search_docs, query="billing postgres", embedder=model))["results"] == []
    async with memory.database.connection() as conn:
        space = await vectors.open_space(conn, model.space, model.dimensions)
        claimed = await chunk_vectors.claim(conn, space, limit=9)
        await chunk_vectors.store(conn, space, [(c, model._embed(c.text)) for c in claimed])
    found = await ask(search_docs, query="billing postgres", embedder=model)
    assert found["results"][0]["source"] == "https://x/money.md#L1-L3" and found["note"] is None
    model.fails = True
    assert "failed" in (await ask(search_docs, query="etcd leader", embedder=model))["note"]


async def test_a_huge_passage_is_cut_at_a_line_and_cites_what_it_shows(ask, stored):
    text = "# Dump\n\n```\n" + "\n".join(f"etcdctl line {number}" for number in range(900)) + "\n```\n"
    await stored(text, "https://x/dump.md", "dump.md")
    [hit] = (await ask(search_docs, query="dump etcdctl line", limit=1))["results"]
    last = int(hit["source"].rpartition("-L")[2])
    assert len(hit["text"]) <= 6000 and hit["text"] == "\n".join(text.split("\n")[:last])


@pytest.mark.parametrize(
    ("args", "says"), [({"query": "x", "limit": 0}, "limit must be 1 to 10"), ({"query": " "}, "What is")]
)
async def test_wrong_arguments_are_explained(ask, memory, args, says):
    with pytest.raises(ToolException, match=says):
        await ask(search_docs, **args)


@pytest.mark.parametrize("identifier", [URL, f"{URL}#L3-L4", f"<{URL}>", f"<{URL}#L3|the runbook>"])
async def test_a_document_is_read_whole(ask, stored, identifier):
    page = await ask(read_doc, identifier=identifier)
    assert (
        page["text"] == TEXT.rstrip("\n")
        and page["source"] == f"{URL}#L1-L7"
        and page["lines"] == 7
        and page["note"] is None
    )


@pytest.mark.parametrize(
    "identifier", ["etcd.md", "/etc/passwd", "file:///etc/passwd", "https://github.com/acme/docs/blob/main/x.md", ""]
)
async def test_only_indexed_documents_are_read(ask, stored, identifier):
    with pytest.raises(ToolException, match="No indexed document"):
        await ask(read_doc, identifier=identifier)


async def test_a_long_document_is_read_in_pages_of_whole_lines(ask, stored):
    text = "\n".join(f"line {number} " + "x" * 100 for number in range(1, 1001))
    await stored(text, "https://x/long.txt", "long.txt")
    read, first = [], 1
    while first:
        page = await ask(read_doc, identifier="https://x/long.txt", first_line=first)
        assert len(page["text"]) <= LONGEST and page["source"] == f"https://x/long.txt#L{first}-L{page['last_line']}"
        read.append(page["text"])
        first = page["last_line"] + 1 if page["note"] else None
    assert "\n".join(read) == text and len(read) > 3
    with pytest.raises(ToolException, match="first_line must be 1 to 1000"):
        await ask(read_doc, identifier="https://x/long.txt", first_line=1001)


async def test_each_cited_range_holds_its_text_word_for_word(shared_data, ask, stored, memory):
    """Thirty real questions over the pages that they are about, and as many others."""
    folder = shared_data / "docs"
    rows = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    rows = rows[:: len(rows) // 30][:30]
    pages = {path for row in rows for path in row["relevant"]}
    pages |= {
        path.relative_to(folder / "corpus").as_posix() for path in sorted((folder / "corpus").rglob("*.md"))[::20]
    }
    for path in sorted(pages):
        await stored((folder / "corpus" / path).read_bytes().decode(), f"https://docs/{path}", path)
    shown = answered = 0
    for row in rows:
        async with memory.database.connection() as conn:
            found = await document_search.search(conn, row["query"], limit=3)
        results = (await ask(search_docs, query=row["query"]))["results"]
        assert len(results) in (0, len(found.hits))
        for result in results:
            url, _, lines = result["source"].partition("#L")
            first, _, last = lines.partition("-L")
            text = (folder / "corpus" / url.removeprefix("https://docs/")).read_bytes().decode()
            assert result["text"] == "\n".join(text.split("\n")[int(first) - 1 : int(last or first)])
            shown += 1
        answered += any(hit.url.removeprefix("https://docs/") in row["relevant"] for hit in found.hits)
    assert len(rows) == 30 and shown >= 30 and answered >= 24
