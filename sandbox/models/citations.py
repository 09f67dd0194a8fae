"""References of tool results: the caller puts one in front of each, and answers name those that they rest on."""

import re
from collections.abc import Mapping

_HEAD = re.compile(r"\A\[(e\d{1,6})\]\n")
_ITEM = re.compile(r"\s*(?:[-*|]|\d+\.)\s")
_LINK = re.compile(r"\]\((https?://[^()\s]+)\)")


def split_reference(text: str) -> tuple[str, str]:
    """The reference in front of a result, empty if there is none, and the result."""
    found = _HEAD.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def cite(answer: str, results: Mapping[str, str]) -> str:
    """The answer with the references of its results behind what it claims.

    A claim names the latest result that holds what it links to. What introduces a list at the answer's beginning names
    it for the whole list; other headings, quotations, remarks in italics and code name none.

    Args:
        answer: in Markdown.
        results: the texts of the results that the answer is made of, by their references.
    """
    lines = answer.split("\n")
    introduced: list[str] = []
    in_code = False
    for number, line in enumerate(lines):
        is_fence = line.lstrip().startswith("```")
        in_code ^= is_fence
        if is_fence or in_code or not line or line.startswith((">", "#", "_")):
            continue
        is_item = bool(_ITEM.match(line))
        introduces = line.endswith(":") and not is_item
        named = _find(line, results, is_first=number == 0)
        if introduces:
            introduced = named = [] if number or line.endswith("could not answer:") else named
        if named and not (is_item and set(named) <= set(introduced)):
            end = line[len(line.rstrip(".:")) :]
            lines[number] = f"{line.removesuffix(end)} [{', '.join(named)}]{end}"
    return "\n".join(lines)


def _find(line: str, results: Mapping[str, str], *, is_first: bool) -> list[str]:
    """The references of a line: of what it links to at its end, else of all there is, if it can be nothing else."""
    for url in _LINK.findall(line)[-1:]:
        for reference, text in reversed([*results.items()]):
            if url in text:
                return [reference]
    return [*results] if is_first or len(results) == 1 else []
