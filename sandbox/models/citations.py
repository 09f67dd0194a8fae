"""References of tool results: the caller puts one in front of each, and answers name those that they rest on."""

import re
from collections.abc import Sequence

_HEAD = re.compile(r"\A\[(e\d{1,6})\]\n")
_ITEM = re.compile(r"\s*(?:[-*>|]|\d+\.\s)")


def split_reference(text: str) -> tuple[str, str]:
    """The reference in front of a result, empty if there is none, and the result."""
    found = _HEAD.match(text)
    return (found[1], text[found.end() :]) if found else ("", text)


def cite(answer: str, references: Sequence[str]) -> str:
    """The answer with these references in its first line, and in every other one that introduces something."""
    named = f" [{', '.join(references)}]"
    lines: list[str] = []
    in_code = False
    for number, line in enumerate(answer.split("\n")):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        introduces = line.endswith(":") and not _ITEM.match(line)
        if references and not in_code and line and (number == 0 or introduces):
            end = line[len(line.rstrip(".:")) :]
            line = f"{line.removesuffix(end)}{named}{end}"  # noqa: PLW2901
        lines.append(line)
    return "\n".join(lines)
