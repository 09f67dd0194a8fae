"""Edits of a document's text, and the diff that people see of them."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Sequence

from tools.context import TextEdit

MOST_EDITS = 50
NO_NEWLINE = "\\ No newline at end of file"
HIDDEN = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}  # without a shape, or one that nobody tells from a blank
# What looks like nothing although it counts as a letter, a mark or a symbol.
FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\ufffc\U00016fe4\U0001bc9d\U0001d159"
)


class EditError(ValueError):
    """An edit does not fit the text; the message tells the model which one, and what to do."""


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


def unified_diff(path: str, before: str, after: str, *, header: Sequence[str] = ()) -> str:
    """A unified diff for people: lines of our own, then the hunks, with what cannot be seen made visible."""
    if all(_is_crlf(text) for text in (before, after)):
        before, after = (text.replace("\r\n", "\n") for text in (before, after))
        header = [*header, "Line ends: CRLF"]
    name = path.replace("\n", " ")
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{name}", f"b/{name}", lineterm="")
    return reveal("\n".join([*header, *lines])) + "\n"


def count_changes(before: str, after: str) -> tuple[int, int]:
    """How many lines come in, and how many go."""
    lines = list(difflib.unified_diff(_lines(before), _lines(after), n=0, lineterm=""))[2:]
    return sum(line.startswith("+") for line in lines), sum(line.startswith("-") for line in lines)


def reveal(text: str) -> str:
    """The text with every character that is invisible, or turns the direction of others, shown as its code point."""
    return "".join(f"⟨U+{ord(char):04X}⟩" if _hides(char) else char for char in text)


def _hides(char: str) -> bool:
    if char in "\n\t" or (" " <= char <= "~"):
        return False
    return unicodedata.category(char) in HIDDEN or char in FILLERS or _is_selector(char)


def _is_selector(char: str) -> bool:
    """Variation selectors and tags, which can carry text that nobody sees; the one that makes an emoji is plain."""
    return "\ufe00" <= char <= "\ufe0e" or "\U000e0000" <= char <= "\U000e0fff"


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
