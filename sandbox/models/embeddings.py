"""Embeddings without a model: texts that share words and parts of words are near each other.

A bag of words and character n-grams, hashed with a sign into a fixed number of dimensions (feature hashing,
Weinberger et al. 2009) and L2-normalised, so that the dot product is the cosine similarity.
"""

import math
import re
import zlib
from collections import Counter
from functools import lru_cache

DIMENSIONS = 384
_WORD = re.compile(r"[^\W_]+")
_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_STOP = frozenset(
    _WORD.findall(
        "a an and are as at be been by can did do does for from had has have how i if in into is it its me my no not of"
        " on or our so that the their then there these they this to was we were what when where which who will with you"
        " your"
    )
)


def embed(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """Embed a text.

    Args:
        text: Any text; an empty one gets a unit vector as well, since cosine has no meaning for zero.
        dimensions: Length of the vector.

    Returns:
        `dimensions` floats of length one; the same for the same text on any machine.
    """
    vector = [0.0] * dimensions
    words = Counter(word.lower() for word in _WORD.findall(_CASE.sub(" ", text)))
    for word, count in words.items():
        weight = 1.0 + math.log(count)
        for number, share in _features(word):
            sign = 1.0 if number & 0x80000000 else -1.0
            vector[number % dimensions] += sign * share * weight
    norm = math.sqrt(sum(value * value for value in vector))
    if norm == 0.0:
        vector[0] = norm = 1.0
    return [value / norm for value in vector]


@lru_cache(maxsize=50_000)
def _features(word: str) -> tuple[tuple[int, float], ...]:
    """Hashes and weights: the word itself, then its trigrams, which together weigh half as much."""
    if word in _STOP:
        return ((zlib.crc32(word.encode()), 0.1),)
    padded = f"<{word}>"
    grams = {padded[at : at + 3] for at in range(len(padded) - 2)}
    share = 0.5 / math.sqrt(len(grams))
    return (
        (zlib.crc32(word.encode()), 1.0),
        *((zlib.crc32(b"#" + gram.encode()), share) for gram in sorted(grams)),
    )
