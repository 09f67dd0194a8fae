"""Finding chunks of documents by their words and by their meaning."""

import pytest

from storage import chunk_vectors, document_search, documents, vectors
from storage.documents import NewDocument, embedded_text
from storage.vectors import SpaceVector
from tools.docs.chunks import split

PAGES = {
    "etcd.md": "# etcdNoLeader\n\nThe cluster has no leader.\n\n## Mitigation\n\nRestore a member with `etcdctl --force-new-cluster`.",
    "disk.md": "# Full disks\n\nDelete old logs under /var/log/pods when the disk of a node is full.",
    "billing.md": "# Billing database\n\n" + "\n\n".join(
        f"## Part {number}\n\nThe billing database is slow in case {number}: look at its replica." for number in range(12)
    ),
    "release.md": "# Releases\n\nA release is cut each Tuesday. The disk image is built before.",
}  # fmt: skip


@pytest.fixture
async def conn(database):
    async with database.connection() as opened:
        for path, text in PAGES.items():
            await put(opened, path, text)
        yield opened


async def put(conn, path, text, source="docs"):
    found = split(text, path)
    await documents.put(conn, NewDocument(source, path, f"https://x/{path}", found.title, text, text), found.chunks)


async def embed(conn, model):
    """Embed what waits; returns how many chunks that were."""
    space = await vectors.open_space(conn, model.space, model.dimensions)
    claimed = await chunk_vectors.claim(conn, space, limit=100)
    await chunk_vectors.store(conn, space, [(c, model._embed(c.text)) for c in claimed])
    return len(claimed)


async def search(conn, query, limit=3, model=None, **more):
    vector = None
    if model:
        vector = SpaceVector(await document_search.find_space(conn, model.space), model._embed(query))
    return await document_search.search(conn, query, limit=limit, vector=vector, **more)


def paths(found):
    return [hit.url.removeprefix("https://x/") for hit in found.hits]


async def test_words_are_found_as_soon_as_the_text_is_stored(conn):
    found = await search(conn, "the disk of a node is full")
    assert paths(found)[0] == "disk.md" and found.hits[0].first_line == 1
    assert (await search(conn, "nothingofthekind")).hits == [] and (await search(conn, "the of")).hits == []


@pytest.mark.parametrize(
    "query", ["etcdctl --force-new-cluster", "what is etcdNoLeader", "ETCD leader", "force-new-cluster"]
)
async def test_identifiers_and_their_parts_are_found(conn, query):
    hit = (await search(conn, query)).hits[0]
    assert hit.url == "https://x/etcd.md"


async def test_a_hit_is_word_for_word_its_lines(conn):
    for query in ("restore a member", "billing replica", "release"):
        for hit in (await search(conn, query, limit=10)).hits:
            lines = PAGES[hit.url.removeprefix("https://x/")].split("\n")
            assert hit.text == "\n".join(lines[hit.first_line - 1 : hit.last_line])


async def test_no_document_crowds_out_the_others(conn):
    found = await search(conn, "slow database disk", limit=3)
    assert len(paths(found)) == 3 and len(set(paths(found))) == 3
    more = await search(conn, "slow billing database", limit=4)
    assert paths(more).count("billing.md") > 1  # nothing else is there
    lines = [range(hit.first_line, hit.last_line + 1) for hit in more.hits if hit.url == "https://x/billing.md"]
    assert sum(map(len, lines)) == len(set().union(*lines))


async def test_neighbours_are_joined(conn):
    hit = (await search(conn, "billing database slow replica", limit=1)).hits[0]
    assert hit.text.count("## Part") > 1


async def test_a_word_in_a_title_weighs_more(conn):
    await put(conn, "other.md", "# Other\n\nReleases and releases of this. And more words on something else.")
    assert paths(await search(conn, "releases"))[0] == "release.md"


async def test_what_says_the_same_in_other_words_is_found_by_its_vector(conn, concepts):
    model = concepts()
    assert await document_search.find_space(conn, model.space) is None
    assert await embed(conn, model) > 10
    assert paths(await search(conn, "sluggish postgres", model=model))[0] == "billing.md"
    assert paths(await search(conn, "sluggish postgres")) == []
    assert paths(await search(conn, "etcdNoLeader postgres", model=model))[0] == "etcd.md"
    assert paths(await search(conn, "etcdNoLeader postgres", model=model, by_words=False))[0] == "billing.md"


async def test_only_documents_of_a_source_are_searched_when_one_is_named(conn, concepts):
    model = concepts()
    await put(conn, "copy.md", "# Money\n\nThe billing database is slow.", source="else")
    await embed(conn, model)
    assert set(paths(await search(conn, "slow billing", limit=9, source="else"))) == {"copy.md"}
    assert set(paths(await search(conn, "sluggish postgres", limit=9, source="else", model=model))) == {"copy.md"}


async def test_an_unchanged_chunk_keeps_its_vector(conn, concepts):
    model = concepts()
    await embed(conn, model)
    await put(conn, "billing.md", PAGES["billing.md"])
    assert await embed(conn, model) == 0
    await put(conn, "billing.md", "\n\n" + PAGES["billing.md"] + "\n\n## New\n\nAnother part.")
    assert await embed(conn, model) == 1
    cur = await conn.execute("select count(*) from chunk_embeddings")
    before = (await cur.fetchone())[0]
    await documents.remove(conn, "docs", ["billing.md"])
    cur = await conn.execute("select count(*) from chunk_embeddings")
    assert (await cur.fetchone())[0] == before - 13


async def test_the_counts_of_words_stay_exact(conn):
    async def counts():
        cur = await conn.execute("select lexeme, chunks from chunk_lexemes order by 1")
        words = dict(await cur.fetchall())
        cur = await conn.execute("select chunks, words from chunk_totals")
        return words, await cur.fetchone()

    before = await counts()
    assert before[0]["bill"] == 12 and before[0]["etcdctl"] == 1 and before[1][0] == 16
    await put(conn, "disk.md", "# Something else entirely")
    assert "log" not in (await counts())[0]
    await put(conn, "disk.md", PAGES["disk.md"])
    assert await counts() == before
    await documents.remove_sources_except(conn, [])
    assert await counts() == ({}, (0, 0))


async def test_confidence_tells_what_the_documents_are_about(conn):
    inside = await search(conn, "etcd has no leader")
    outside = await search(conn, "who cooks lunch in the kitchen on release day in Berlin")
    assert inside.confidence > 0.6 > 0.4 > outside.confidence and outside.hits


async def test_what_a_query_is_made_of_breaks_nothing(conn):
    for query in (
        "'; drop table documents; --",
        "a & b | !c",
        "\\ ' \" :* <->",
        "x" * 9000,
        "\x00\ud800",
        "%s %(x)s",
        "",
    ):
        await search(conn, query)


def test_what_is_embedded_says_each_heading_once():
    assert embedded_text("Guide", ["Guide", "Install"], "Run.") == "Guide > Install\nRun."
