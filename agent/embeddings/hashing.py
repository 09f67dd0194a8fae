"""Vectors without a model: texts that share words, or parts of words, are near each other.

Feature hashing (Weinberger et al. 2009): each word and each of its character trigrams adds to one of the dimensions,
with a sign, so that what collides cancels out on average.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from zlib import crc32

from agent.embeddings.texts import encodable

WORD = re.compile(r"[^\W_]+")
TRIGRAMS_SHARE = 0.5  # of a word's own weight, for all its trigrams together
COMMON_WORDS = frozenset(
    WORD.findall(
        "a an and are as at be but by can do for from has have how i if in is it its my no not of on or so that the "
        "then there they this to was we were what when where which who why will with you your"
    )
)


class HashingEmbedder:
    """The same text has the same vector on every machine."""

    space = "hashing/384"
    dimensions = 384

    async def embed_texts(self, texts: Sequence[str]) -> list[list[float]]:
        """See ``tools.context.Embedder``; it never fails."""
        return await asyncio.to_thread(lambda: [_embed(text, self.dimensions) for text in texts])

    async def embed_query(self, query: str) -> list[float]:
        """The same as for a text."""
        return _embed(query, self.dimensions)


def _embed(text: str, dimensions: int) -> list[float]:
    vector = [0.0] * dimensions
    words = Counter(word for word in WORD.findall(encodable(text).lower()) if word not in COMMON_WORDS)
    for word, count in words.items():
        for feature, weight in _features(word):
            number = crc32(feature.encode())
            sign = 1.0 if number & 0x80000000 else -1.0
            vector[number % dimensions] += sign * weight * (1.0 + math.log(count))
    length = math.hypot(*vector)
    if length == 0.0:  # no words: cosine knows no zero vector
        vector[0] = length = 1.0
    return [value / length for value in vector]


def _features(word: str) -> Iterator[tuple[str, float]]:
    yield word, 1.0
    padded = f"<{word}>"
    trigrams = [padded[at : at + 3] for at in range(len(padded) - 2)]
    for trigram in trigrams:
        yield f"#{trigram}", TRIGRAMS_SHARE / math.sqrt(len(trigrams))
