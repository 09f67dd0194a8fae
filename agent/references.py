"""References in an answer: how a claim names the tool calls that it rests on, such as ``[e3]``. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator

from langchain_core.messages import AnyMessage, ToolMessage

KEY = "reference"  # in the additional_kwargs of a tool's result
NAME = re.compile(r"[eE](\d{1,6})")
MOST = 20  # of a range such as e3-e5
MOST_PASSES = 5  # over a text in which references stand within references
SIGNS = "[【(<"  # without these nothing is read as a reference
OPENING = str.maketrans("", "", SIGNS)
SPAN = re.compile(r"(?<!`)(`++)(?:[^`]++|(?!\1(?!`))`++)++\1(?!`)")
# All the spellings of models: [e3], [e3, e4], (see e3), [[e3]], [^e3], 【e3†source】, <sup>e3</sup>, [e3](#evidence).
CITED = re.compile(
    r"""
    (?<![ \t])(?P<space>[ \t]*)
    (?:<sup>\s*)?
    (?:\[{1,2}|【|\(|<sup>)
    \s*(?:(?:refs?|references?|evidence|sources?|see|cf)\b[.:]?\s*)?
    (?P<names>\^?\#?[eE]\d{1,6}(?:\s*(?:(?:[,;&/+–—-]|and\b|\]\s?\[)\s*)?\^?\#?[eE]\d{1,6}){0,40})
    (?:[†:][^\]】)\n]{0,80})?
    \s*(?:\]{1,2}|】|\)|</sup>)
    (?:\s*</sup>)?
    (?:\((?:https?:|\#)[^()\s]{0,500}\))?
    (?:\[\^?\d{1,2}\](?![\w(\[:]))*
    """,
    re.VERBOSE,
)
# As the gate writes them; another spelling that no call bears is a fact in brackets, such as an error's code (E0308).
WRITTEN = re.compile(r"e(?:0|[1-9]\d{0,2})")
# Numbers that no result bears: the answer's own ones are given by code.
NUMBER = r"(?<!\w)(?<!\])\[\^?\d{1,2}\](?![\w(\[:])"
LENTICULAR = r"【\d{1,4}(?::\d{1,4})?(?:†[^】\n]{0,80})?】"
FOREIGN = re.compile(rf"(?<![ \t])[ \t]*(?:{NUMBER}|{LENTICULAR})")
# Those that can be nothing else, as they stand behind a sentence.
BEHIND = re.compile(
    rf"""
    (?<![ \t])(?:
        (?<=[.!?])(?:[ \t]*{NUMBER})+
      | [ \t]*{NUMBER}(?=(?:[ \t]*\[\^?\d{{1,2}}\])*[*_]*(?:[ \t]*[.;:!?|\n]|\Z))
      | [ \t]*{LENTICULAR}
    )
    """,
    re.VERBOSE,
)
FOOTNOTE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*\[\^?(?:[eE]\d{1,6}|\d{1,2})\]:.*")
RANGE = re.compile(r"[eE](\d{1,6})\s*[-–—]\s*[eE](\d{1,6})")


def of_call(given: int, position: int) -> str:
    """The reference of a turn's call, the same whenever the call is run again, and new in its thread.

    Args:
        given: the highest number that the thread gave to calls before this turn, whoever may see these now.
        position: how many calls of the turn stand before it.
    """
    return label(given + position + 1)


def highest(messages: Iterable[AnyMessage]) -> int:
    """The highest number that these messages bear; 0 where they bear none."""
    return max((number_of(_of(message)) for message in messages), default=0)


def show(message: AnyMessage) -> AnyMessage:
    """A tool's result as the model sees it: behind its reference; other messages as they are."""
    if not (reference := _of(message)):
        return message
    return message.model_copy(update={"content": f"[{reference}]\n{message.text}", "additional_kwargs": {}})


def _of(message: AnyMessage) -> str:
    return str(message.additional_kwargs.get(KEY) or "") if isinstance(message, ToolMessage) else ""


def label(number: int) -> str:
    """The reference of a thread's tool call."""
    return f"e{number}"


def number_of(reference: str) -> int:
    """The number in a reference; 0 where it is none."""
    found = NAME.fullmatch(reference)
    return int(found[1]) if found else 0


def names(text: str) -> Iterator[str]:
    """The references that a text names outside code, in their order."""
    if not _may_cite(text):
        return
    for part in _outside(text):
        for found in CITED.finditer(part):
            yield from _each(found)


def rewrite(
    text: str, show: Callable[[list[str]], str], known: Container[str] = (), *, is_quotation: bool = False
) -> str:
    """The text with other words in the places of its references, and without numbers that look like references.

    Args:
        text: Markdown without code blocks; code spans stay as they are.
        show: from the references of one place to what is to stand there; empty for nothing.
        known: the references that calls bear.
        is_quotation: somebody else's numbers stay.
    """

    def is_fact(name: re.Match[str]) -> bool:
        return not WRITTEN.fullmatch(name[0]) and label(int(name[1])) not in known

    def cites(found: re.Match[str]) -> bool:
        return not all(map(is_fact, NAME.finditer(found["names"])))

    def shown(found: re.Match[str]) -> str:
        if not cites(found):
            return found[0]
        facts = ", ".join(name[0] for name in NAME.finditer(found["names"]) if is_fact(name))
        words = " ".join(part for part in (f"[{facts}]" if facts else "", show(list(_each(found)))) if part)
        return f"{found['space']}{words}" if words else ""

    def changed(part: str) -> str:
        part = CITED.sub(shown, part if is_quotation else foreign.sub("", part))
        for _ in range(MOST_PASSES):  # those that came about as another one between their signs went
            before, part = part, CITED.sub(lambda found: "" if cites(found) else found[0], part)
            if part == before:
                return part
        return part.translate(OPENING) if any(map(cites, CITED.finditer(part))) else part

    if not _may_cite(text):
        return text
    # Where references stand, a number would be taken for one of the answer's.
    foreign = FOREIGN if any(cites(found) for part in _outside(text) for found in CITED.finditer(part)) else BEHIND
    return outside_code(text, changed)


def without(text: str) -> str:
    """A text, whole or as far as it was written yet, without its references: for showing it as it comes."""
    cut = text.rfind("[")
    begun = cut if cut >= 0 and re.fullmatch(r"\[{1,2}\^?(?:[eE][\d, eE]{0,40})?", text[cut:]) else len(text)
    return rewrite(text[:begun], lambda _: "")


def _may_cite(text: str) -> bool:
    return any(sign in text for sign in SIGNS)


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """The text with a change made outside its code spans."""
    if "`" not in text:
        return change(text)
    done, changed = 0, []
    for span in SPAN.finditer(text):
        changed += [change(text[done : span.start()]), span[0]]
        done = span.end()
    return "".join([*changed, change(text[done:])])


def _outside(text: str) -> Iterator[str]:
    yield from (SPAN.sub("\n\n", text) if "`" in text else text).split("\n\n")


def _each(found: re.Match[str]) -> Iterator[str]:
    """The references of one place, ranges in full."""
    listed = RANGE.sub(_between, found["names"])
    yield from dict.fromkeys(label(int(number)) for number in NAME.findall(listed))


def _between(found: re.Match[str]) -> str:
    first, last = int(found[1]), int(found[2])
    return ", ".join(map(label, range(first, min(last, first + MOST) + 1))) if first <= last else found[0]
