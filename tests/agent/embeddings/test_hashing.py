"""Vectors without a model."""

import math

import pytest

from agent.embeddings.hashing import HashingEmbedder


def similarity(first, second):
    return sum(one * other for one, other in zip(first, second, strict=True))


async def test_texts_that_share_words_or_parts_of_them_are_near():
    embedder = HashingEmbedder()
    query = await embedder.embed_query("why did the payments database time out?")
    same, part, none = await embedder.embed_texts(
        ["Payments: database time out", "databases of payment had timeouts", "kafka lag rises"]
    )
    assert similarity(query, same) > similarity(query, part) > similarity(query, none) + 0.1


@pytest.mark.parametrize("text", ["", "the", "…", "磁盘已满 🚨", "half a pair \ud83d", "x" * 10_000])
async def test_every_text_has_one_vector_of_length_one(text):
    embedder = HashingEmbedder()
    (vector,) = await embedder.embed_texts([text])
    assert vector == await embedder.embed_query(text)
    assert len(vector) == embedder.dimensions and math.hypot(*vector) == pytest.approx(1)


async def test_the_space_never_moves():
    """Stored vectors are compared with tomorrow's: a change of the hashing needs a new name of the space."""
    vector = await HashingEmbedder().embed_query("kafka")
    assert HashingEmbedder.space == "hashing/384"
    assert {at: round(value, 3) for at, value in enumerate(vector) if value} == {
        23: -0.894,
        42: -0.2,
        64: -0.2,
        134: -0.2,
        154: -0.2,
        380: -0.2,
    }
