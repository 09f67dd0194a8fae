"""Edits of a document's text, and the diff that people see of them."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tools.context import TextEdit

MOST_EDITS = 50
CONTEXT_LINES = 3
FINE = 4096  # a changed place is compared line by line up to so many pairs of lines: that takes their square and more
NO_NEWLINE = "\\ No newline at end of file"
HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}  # without a shape, or one that nobody tells from a blank
# What looks like nothing although it counts as a letter, a mark or a symbol.
FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\U00016fe4\U0001bc9d\U0001d159"
)


class EditError(ValueError):
    """An edit does not fit the text; the message tells the model which one, and what to do."""


@dataclass(frozen=True)
class Diff:
    """A unified diff, and how many lines come in and go."""

    text: str
    added: int
    removed: int


@dataclass(frozen=True)
class Kept:
    """Characters that edits left alone: where they were, where they are, and how many."""

    before: int
    after: int
    length: int


def apply_edits(text: str, edits: Sequence[TextEdit]) -> str:
    """The text after edits, one after the other, in the line ends that it has.

    Raises:
        EditError: what an edit looks for does not stand there exactly once, or nothing changes.
    """
    if not 0 < len(edits) <= MOST_EDITS:
        raise EditError(f"give 1 to {MOST_EDITS} edits, not {len(edits)}")
    changed = text
    for number, edit in enumerate(edits, 1):
        find, replace = (_with_line_ends(part, text) for part in (edit.find, edit.replace))
        if not find:
            raise EditError(f"edit {number} looks for nothing: its find must be text of the document")
        if re.search("[\0\ud800-\udfff]", replace):
            raise EditError(f"the replacement of edit {number} holds characters that no text file can hold")
        count = _count(changed, find)
        if count != 1:
            raise EditError(_misfit(number, find, changed, count))
        changed = changed.replace(find, replace)
    if changed == text:
        raise EditError("the edits change nothing")
    return changed


def new_text(edits: Sequence[TextEdit]) -> str:
    """The text of a new document: one edit, which looks for nothing and puts in all of it.

    Raises:
        EditError: it is not that.
    """
    if len(edits) != 1 or edits[0].find:
        raise EditError("this document does not exist; to create it give one edit with an empty find")
    return apply_edits("\n", [TextEdit("\n", edits[0].replace.rstrip("\n") + "\n")])


def unified_diff(
    path: str, before: str, after: str, *, edits: Sequence[TextEdit] = (), header: Sequence[str] = ()
) -> Diff:
    """A unified diff for people: lines of our own, then the hunks, with what cannot be seen made visible.

    Args:
        path: the file.
        before: its text.
        after: the text that ``edits`` made of it.
        edits: those of ``apply_edits``. They tell which lines are still the same, so that no others are compared,
            however often a line stands in the text. Without them all is compared between the first and last difference.
        header: the lines of our own.
    """
    codes = _opcodes(before, after, _kept(before, edits))
    if all(_is_crlf(text) for text in (before, after)):
        before, after = (text.replace("\r\n", "\n") for text in (before, after))
        header = [*header, "Line ends: CRLF"]
    name = path.replace("\n", " ")
    lines = [*header, f"--- a/{name}", f"+++ b/{name}", *_hunks(_lines(before), _lines(after), codes)]
    changed = [code for code in codes if code[0] != "equal"]
    return Diff(
        reveal("\n".join(lines)) + "\n",
        added=sum(j2 - j1 for _, _, _, j1, j2 in changed),
        removed=sum(i2 - i1 for _, i1, i2, _, _ in changed),
    )


def reveal(text: str) -> str:
    """The text with every character that is invisible, or turns the direction of others, shown as its code point."""
    return re.sub(r"[^\n\t -~]", lambda found: _reveal(found[0]), text)


def _reveal(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩" if _hides(char) else char


def _hides(char: str) -> bool:
    if char in "\n\t" or (" " <= char <= "~"):
        return False
    return unicodedata.category(char) in HIDDEN or char in FILLERS or _is_selector(char)


def _is_selector(char: str) -> bool:
    """Variation selectors and tags, which can carry text that nobody sees; the one that makes an emoji is plain."""
    return "\ufe00" <= char <= "\ufe0e" or "\U000e0000" <= char <= "\U000e0fff"


Opcode = tuple[str, int, int, int, int]  # as difflib's: what, lines from and to before, lines from and to after


def _kept(text: str, edits: Sequence[TextEdit]) -> list[Kept]:
    """What edits leave alone of a text, in order."""
    changed, kept = text, [Kept(0, 0, len(text))]
    for edit in edits:
        find, replace = (_with_line_ends(part, text) for part in (edit.find, edit.replace))
        if not find:
            return []  # a new document
        start = changed.index(find)
        end, shift = start + len(find), len(replace) - len(find)
        changed = changed[:start] + replace + changed[end:]
        parts: list[Kept] = []
        for part in kept:
            last = part.after + part.length
            if part.after < start:
                parts.append(Kept(part.before, part.after, min(last, start) - part.after))
            if last > end:
                skipped = max(0, end - part.after)
                parts.append(Kept(part.before + skipped, part.after + skipped + shift, part.length - skipped))
        kept = parts
    return kept if edits else []


def _opcodes(before: str, after: str, kept: Sequence[Kept]) -> list[Opcode]:
    """Which lines are the same, and which are not: linear in the texts' lengths."""
    olds, news = _lines(before), _lines(after)
    old_starts, new_starts = _starts(olds), _starts(news)
    codes: list[Opcode] = []
    i = j = 0
    for part in kept:
        first = bisect_left(old_starts, part.before)
        shift = part.after - part.before
        # A line is the same from where it begins in both texts to where it ends in both.
        aligned = not part.after or after[part.after - 1] == "\n"
        if first < len(olds) and old_starts[first] == part.before and not aligned:
            first += 1
        end = part.before + part.length
        last = bisect_left(old_starts, end + 1) - 1
        if end == len(before) and part.after + part.length == len(after):
            last = len(olds)
        if last <= first:
            continue
        there = bisect_left(new_starts, old_starts[first] + shift)
        codes += [*_compare(olds, news, i, first, j, there), ("equal", first, last, there, there + last - first)]
        i, j = last, there + last - first
    return _merge([*codes, *_compare(olds, news, i, len(olds), j, len(news))])


def _compare(olds: list[str], news: list[str], i1: int, i2: int, j1: int, j2: int) -> list[Opcode]:
    """A place that changed: what is the same at its head and tail, and in between where it is small."""
    head = 0
    while i1 + head < i2 and j1 + head < j2 and olds[i1 + head] == news[j1 + head]:
        head += 1
    tail = 0
    while i2 - tail > i1 + head and j2 - tail > j1 + head and olds[i2 - tail - 1] == news[j2 - tail - 1]:
        tail += 1
    a1, a2, b1, b2 = i1 + head, i2 - tail, j1 + head, j2 - tail
    middle: list[Opcode] = [("replace", a1, a2, b1, b2)]
    if (a2 - a1) * (b2 - b1) <= FINE:
        matcher = SequenceMatcher(None, olds[a1:a2], news[b1:b2], autojunk=False)
        middle = [(what, k1 + a1, k2 + a1, l1 + b1, l2 + b1) for what, k1, k2, l1, l2 in matcher.get_opcodes()]
    return [("equal", i1, a1, j1, b1), *middle, ("equal", a2, i2, b2, j2)]


def _merge(codes: Sequence[Opcode]) -> list[Opcode]:
    """Without what is empty, and with neighbours that say the same made one."""
    merged: list[Opcode] = []
    for what, i1, i2, j1, j2 in codes:
        if (i1, j1) == (i2, j2):
            continue
        kind = what if what == "equal" else "replace"
        start, there = (merged[-1][1], merged[-1][3]) if merged and merged[-1][0] == kind else (i1, j1)
        if (start, there) != (i1, j1):
            merged.pop()
        merged.append((kind, start, i2, there, j2))
    return merged


def _hunks(olds: list[str], news: list[str], codes: list[Opcode]) -> Iterator[str]:
    matcher: SequenceMatcher[str] = SequenceMatcher()
    vars(matcher)["opcodes"] = codes  # its grouping, of places that are known already
    for group in matcher.get_grouped_opcodes(CONTEXT_LINES):
        (_, i1, _, j1, _), (_, _, i2, _, j2) = group[0], group[-1]
        yield f"@@ -{_range(i1, i2)} +{_range(j1, j2)} @@"
        for what, k1, k2, l1, l2 in group:
            if what == "equal":
                yield from (f" {line}" for line in olds[k1:k2])
            else:
                yield from (f"-{line}" for line in olds[k1:k2])
                yield from (f"+{line}" for line in news[l1:l2])


def _range(start: int, end: int) -> str:
    return f"{start + 1 if end > start else start},{end - start}"


def _starts(lines: Sequence[str]) -> list[int]:
    """Where each line begins in the text."""
    starts, at = [], 0
    for line in lines:
        starts.append(at)
        at += len(line) + 1
    return starts


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += f"\n{NO_NEWLINE}"
    else:
        lines.pop()
    return lines


def _is_crlf(text: str) -> bool:
    return "\r\n" in text and not re.search(r"(?<!\r)\n|\r(?!\n)", text)


def _with_line_ends(part: str, text: str) -> str:
    plain = part.replace("\r\n", "\n")
    return plain.replace("\n", "\r\n") if _is_crlf(text) else plain


def _count(text: str, find: str) -> int:
    """Occurrences, also those that overlap."""
    count, at = 0, text.find(find)
    while at >= 0:
        count, at = count + 1, text.find(find, at + 1)
    return count


def _misfit(number: int, find: str, text: str, count: int) -> str:
    shown = repr(find if len(find) <= 120 else f"{find[:120]}…")
    if count:
        return f"what edit {number} looks for stands in the document {count} times: {shown}. Add text around it."
    if " ".join(find.split()) in " ".join(text.split()):
        return f"what edit {number} looks for stands in the document with other spaces or line ends: {shown}."
    return (
        f"what edit {number} looks for does not stand in the document as it is now: {shown}. "
        "read_doc shows the text; copy it exactly."
    )
