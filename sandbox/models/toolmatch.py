"""Matches a question to tools that the planner has no recipe for, and fills their arguments."""

import re
from typing import Any

from sandbox.models.chat import JSON, ToolSpec
from sandbox.models.intents import key_terms

KNOWN = frozenset(
    {
        "search_messages",
        "read_thread",
        "list_channels",
        "find_recent_activity",
        "report_usage",
        "report_channel",
        "shift_handoff",
        "lookup_runbook",
        "search_docs",
        "read_doc",
        "update_doc",
    }
)
_READING = frozenset(
    re.findall(
        r"\w+",
        "check count describe fetch find get is list look lookup query read report search show summarise summarize tell"
        " view what when where which who",
    )
)
_GENERIC = frozenset(
    re.findall(
        r"\w+",
        "and the for with from use this that tool returns return when you into are not one all any how was were what"
        " which who did does has have our their its last most message messages slack channel channels question user",
    )
)
_POLITE = re.compile(r"^(?:please|can you|could you|would you|now|ok|okay|hey|,|\s)+", re.IGNORECASE)
_QUOTED = re.compile(r"[\"“”`]([^\"“”`]+)[\"“”`]|'([^']+)'")
_NUMBER = re.compile(r"(?<![\w.-])-?\d+(?:\.\d+)?(?![\w-])")


def match_tool(question: str, tools: tuple[ToolSpec, ...]) -> tuple[ToolSpec, bool] | None:
    """The unknown tool that a question asks for, and whether the question names it.

    A tool is named by its name, or by all words of it. Otherwise two words in common with its name and
    description are enough for a tool that reads; one that changes something must be asked for by its verb.
    """
    said = {_stem(word) for word in re.findall(r"[a-z0-9]+", question.lower())}
    best: tuple[int, ToolSpec, bool] | None = None
    for tool in tools:
        if tool.name in KNOWN:
            continue
        words = _name_words(tool.name)
        stems = {_stem(word) for word in words}
        literal = tool.name.lower() in question.lower()
        reading = bool(words) and words[0] in _READING
        if not literal and not reading and not _commanded(question, words):
            continue
        telling = {_stem(word) for word in re.findall(r"[a-z0-9]+", tool.description.lower())} | stems
        common = {word for word in said & telling if len(word) > 2 and word not in _GENERIC}
        named = literal or (len(stems) > 1 and stems <= said)
        if (named or len(common) >= 2) and (best is None or (named, len(common)) > (best[2], best[0])):
            best = (len(common), tool, named)
    return (best[1], best[2]) if best else None


def fill_arguments(tool: ToolSpec, question: str) -> JSON:
    """Arguments out of the question: words of enums, quoted texts, numbers; key terms where text is required."""
    properties: JSON = tool.parameters.get("properties") or {}
    required = set(tool.parameters.get("required") or ())
    quoted = [match[1] or match[2] for match in _QUOTED.finditer(question)]
    numbers = _NUMBER.findall(_QUOTED.sub(" ", question))
    terms = _own_terms(tool, _QUOTED.sub(" ", question))
    args: JSON = {}
    for name, schema in properties.items():
        value = _fill(name, _resolve(schema, tool.parameters), question, quoted, numbers, terms, name in required)
        if value is not None:
            args[name] = value
    return args


def _fill(
    name: str, schema: JSON, question: str, quoted: list[str], numbers: list[str], terms: list[str], needed: bool
) -> Any:
    kind = schema.get("type", "string")
    if options := schema.get("enum"):
        hits = [option for option in options if re.search(rf"\b{re.escape(str(option))}\b", question, re.IGNORECASE)]
        return hits[0] if hits else options[0] if needed and "default" not in schema else None
    if kind in {"integer", "number"}:
        if numbers and (needed or name.replace("_", " ") in question.lower() or len(numbers) == 1):
            number = numbers.pop(0)
            return int(float(number)) if kind == "integer" else float(number)
        return schema.get("minimum", 0) if needed else None
    if kind == "boolean":
        return name.replace("_", " ") in question.lower() if needed else None
    if kind == "array":
        items = quoted[:] or (terms if needed else [])
        return items or ([] if needed else None)
    if kind != "string":
        return {} if needed else None
    beside = re.search(rf"\b{re.escape(name.replace('_', ' '))}\s*[:=]?\s+[\"'`]?([\w./:@-]+)", question, re.IGNORECASE)
    if quoted:
        return quoted.pop(0)
    if not needed:
        return beside[1] if beside and beside[1] in terms else None
    return " ".join(terms) or (beside[1] if beside else question)


def _own_terms(tool: ToolSpec, question: str) -> list[str]:
    """The key terms that do not merely repeat the tool's name."""
    words = {_stem(word) for word in _name_words(tool.name)} | {tool.name.lower()}
    terms = key_terms(_NUMBER.sub(" ", question)).split()
    described = {_stem(word) for word in re.findall(r"[a-z0-9]+", tool.description.lower())}
    own = [term for term in terms if _stem(term.lower()) not in words and term.lower() not in words]
    return [term for term in own if _stem(term.lower()) not in described] or own


def _resolve(schema: JSON, root: JSON) -> JSON:
    if "$ref" in schema:
        schema = (root.get("$defs") or {}).get(str(schema["$ref"]).rsplit("/", 1)[-1], {}) | schema
    options = [option for option in schema.get("anyOf") or () if option.get("type") != "null"]
    return {**schema, **_resolve(options[0], root)} if options else schema


def _name_words(name: str) -> list[str]:
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name.rsplit("__", 1)[-1])
    return [word for word in re.split(r"[\W_]+", name.lower()) if word]


def _commanded(question: str, words: list[str]) -> bool:
    first = re.match(r"\w+", _POLITE.sub("", question))
    return bool(first and words) and _stem(first[0].lower() if first else "") == _stem(words[0])


def _stem(word: str) -> str:
    for ending in ("ments", "ment", "ing", "es", "ed", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word.removesuffix(ending)
    return word
