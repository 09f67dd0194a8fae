"""Answers from documentation: quotes the lines that were found, and links them."""

import json
import re
from typing import Any

from sandbox.models.answers import show_error
from sandbox.models.chat import JSON, ToolResult
from sandbox.models.intents import key_terms
from sandbox.models.questions import Ask
from sandbox.models.results import excerpt, read_result, rows

KINDS = frozenset({"runbook", "runbooks", "guide", "guides", "docs", "documentation", "playbook", "page", "policy"})
_LINES = 14
_MORE = 2


def answer_docs(ask: Ask, result: ToolResult) -> str:
    """The best place word for word, and the next ones with how they begin; or that there is none."""
    value = read_result(result)
    if value is None:
        return show_error(result)
    found = rows(value, "results")
    if not found:
        return "The documentation does not cover this."
    best, *others = found
    quoted = _quote(str(best.get("text") or ""), ask.query.lower().split())
    lines = [f"The documentation says, in {_place(best)}:", quoted]
    if others:
        lines += ["", "See also:"]
        lines += [f"- {_place(other)}: {_begin(other)}".removesuffix(": ") for other in others[:_MORE]]
    return "\n".join(lines)


def _place(row: JSON) -> str:
    """The section with a link to its lines; what is no address in a browser stands as it is."""
    source, title = str(row.get("source") or ""), str(row.get("title") or "a document")
    section = str(row.get("section") or "")
    label = (
        title if not section or section == title else section if section.startswith(title) else f"{title}, {section}"
    )
    name = source.rsplit("/", 1)[-1]
    shown = f"[{name}]({source})" if source.startswith(("http://", "https://")) else f"`{source}`"
    return f"{label} ({shown})"


def _quote(text: str, terms: list[str]) -> str:
    """The lines that speak of the question, below their heading, as a quotation; code blocks in it are whole."""
    lines = _without_front_matter(text.strip("\n").splitlines())
    if len(lines) > _LINES:
        told = [sum(term in line.lower() for term in terms) for line in lines]
        best = told.index(max(told))
        start = max((at for at in range(best + 1) if lines[at].startswith("#")), default=0)
        start = start if best - start < _LINES else max(0, best - _LINES // 2)
        inside = _fences(lines[:start]) % 2
        kept = (["```"] if inside else []) + lines[start : start + _LINES]
        more = start + _LINES < len(lines)
        lines = kept + (["```"] if _fences(kept) % 2 else []) + (["…"] if more else [])
    return "\n".join(f"> {line}" for line in lines)


def _fences(lines: list[str]) -> int:
    return sum(line.lstrip().startswith("```") for line in lines)


def _without_front_matter(lines: list[str]) -> list[str]:
    if lines[:1] == ["---"] and "---" in lines[1:]:
        lines = lines[lines.index("---", 1) + 1 :]
        return lines[next((at for at, line in enumerate(lines) if line.strip()), 0) :]
    return lines


def _begin(row: JSON) -> str:
    """What a place says first in words: behind its head, its heading and its code."""
    inside, said = False, ""
    for line in _without_front_matter(str(row.get("text") or "").strip("\n").splitlines()):
        plain = line.strip()
        if plain.startswith(("```", "~~~")):
            inside = not inside
        elif plain and not inside and not plain.startswith(("#", "|", "---")):
            said = plain.lstrip("-*> ")
            break
    return _balanced(excerpt(said, 120))


def _balanced(text: str) -> str:
    """The text without a code mark that was cut off from its other half."""
    return text if text.count("`") % 2 == 0 else text.replace("`", "")


def is_draft(schema: JSON) -> bool:
    """Whether a schema asks for an answer out of passages."""
    return set(schema.get("properties") or {}) == {"sentences"}


def draft_answer(prompt: str) -> JSON:
    """The sentences of the line that has most of the question's words, each with its place; none where it has few.

    Args:
        prompt: a JSON object a line: the question, then passages with numbered lines.
    """
    given: list[Any] = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    question = next((row["question"] for row in given if "question" in row), "")
    terms = key_terms(question).lower().split()
    lines = [
        (sum(term in line.lower() for term in terms), passage["id"], int(number), line)
        for passage in given
        for number, line in passage.get("lines", {}).items()
        if not line.lstrip().startswith(("#", "`", "|", "---"))
    ]
    found, source, number, line = max(lines, key=lambda entry: entry[0], default=(0, "", 0, ""))
    if found < min(2, len(terms)) or not found:
        return {"sentences": []}
    place = {"source": source, "first_line": number, "last_line": number, "code": None}
    told = re.split(r"(?<=[.!?])\s+", line.strip().lstrip("-* "))
    return {"sentences": [{"text": sentence, **place} for sentence in told[:3]]}
