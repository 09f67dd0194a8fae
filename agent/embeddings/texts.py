"""What texts must be before a model sees them."""

from __future__ import annotations


def encodable(text: str) -> str:
    """The text with what UTF-8 cannot hold replaced: half of a surrogate pair, as a model's JSON may have it."""
    return text.encode("utf-8", "replace").decode()


def cut_bytes(text: str, most: int) -> str:
    """The beginning of a text that takes ``most`` bytes in UTF-8, and so at most as many tokens."""
    return text.encode("utf-8", "replace")[:most].decode(errors="ignore")
