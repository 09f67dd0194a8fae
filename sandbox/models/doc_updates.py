"""Updates of documents: which words are to be put in place of which, where they stand, and what came of it."""

import re

from sandbox.models.answers import show_error
from sandbox.models.chat import JSON, ToolResult
from sandbox.models.results import excerpt, read_result, rows

_QUOTE = r"[\"“”`]([^\"“”`]+)[\"“”`]"
_SWAP = re.compile(rf"{_QUOTE}\s*(?:with|by|to|->|→|should (?:be|say|read))\s*{_QUOTE}", re.IGNORECASE)
HOW = (
    "I am told by rule, so say which words to put in place of which: "
    '`update the docs: replace "the words as they stand" with "the new words"`.'
)


def read_swap(text: str) -> tuple[str, str] | None:
    """The words that are there, and those that are to be; None where the text does not say."""
    found = _SWAP.search(text)
    return (found[1], found[2]) if found else None


def find_place(old: str, found: list[ToolResult]) -> JSON | None:
    """The passage that holds the words."""
    passages = (row for result in found for row in rows(read_result(result), "results"))
    return next((row for row in passages if old in str(row.get("text"))), None)


def build_call(text: str, old: str, new: str, found: list[ToolResult]) -> JSON | str:
    """The arguments of `update_doc`, or why there are none."""
    if read_result(found[-1]) is None:
        return show_error(found[-1])
    place = find_place(old, found)
    if place is None:
        return f"I found no document that says “{old}”. It must stand there word for word."
    return {
        "identifier": str(place.get("source")).partition("#")[0],
        "edits": [{"find": old, "replace": new}],
        "reason": f"Asked for in Slack: {excerpt(text, 300)}",
    }


def answer_update(result: ToolResult) -> str:
    """The draft pull request with its link, or the tool's words."""
    value = read_result(result)
    if value is None or not value.get("pull_request"):
        return show_error(result)
    number, url = value.get("number"), value["pull_request"]
    return f"The update is proposed as draft [pull request #{number}]({url}). Nothing changes until somebody merges it."
