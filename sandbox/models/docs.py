"""Answers from documentation: quotes the lines that were found, and links them."""

from sandbox.models.answers import show_error
from sandbox.models.chat import JSON, ToolResult
from sandbox.models.questions import Ask
from sandbox.models.results import excerpt, read_result, rows

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
        lines += [f"- {_place(other)}: {excerpt(_begin(other), 120)}" for other in others[:_MORE]]
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
        return lines[lines.index("---", 1) + 1 :]
    return lines


def _begin(row: JSON) -> str:
    """What a place says first, behind its heading."""
    lines = [line for line in str(row.get("text") or "").splitlines() if line.strip() and not line.startswith("#")]
    return lines[0] if lines else ""
