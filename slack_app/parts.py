"""Cuts a long Markdown text into parts that Slack takes (behaviour C6).

A cut falls between paragraphs if it can, else between list items, table rows, lines, sentences, words. What is cut
is opened again in the next part: a code fence with its language, a table with its head, a list item without its
indentation. Apart from these marks the parts are the text: ``Piece.body`` of all pieces joined is the text again.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from slack_app.layout import WORST, Code, Container, Layout, find_unclosed, read_layout, strip, untab

LONGEST_PART = 9000  # a markdown block takes 12,000 characters; text and blocks of a message share about 13,200
MOST_ROWS = 100  # of a table, with its head
FOOTER = 24  # room for "Part i/n", and some guards
PER_LINE = 3  # the line's end, a guard, a blank line before it
WORD_JOINER = "\u2060"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNPAIRED = re.compile("[\ud800-\udfff]")
FENCE_LIKE = re.compile(r"^((?:[ \t>]|[-+*][ \t]|\d{1,9}[.)][ \t])*)(?=`{3,}[^`]*$|~{3,})")
MARK = re.compile(r"(?:[-+*]|#{1,6}|\d{1,9}[.)])(?:\s|$)|>")
SENTENCE = re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]")
SPACE = re.compile(r"\s+")
# What is never cut: links, mentions, entities, emoji codes, escapes, code spans.
WHOLE = re.compile(
    r"<[^<>\n]{1,1000}>|&#?\w{1,31};|\[[^\[\]\n]{0,300}\]\([^()\s]{0,1000}\)|:[\w+-]{1,60}:|`[^`\n]{1,300}`|\\."
    r"|https?://[^\s<>]{1,1000}"
)
REACH = 1400  # as far as the longest of these


@dataclass(frozen=True)
class Piece:
    """One part: ``body`` as it stands in the text, ``shown`` as it is sent."""

    body: str
    shown: str


@dataclass(frozen=True)
class _Place:
    line: int
    column: int = 0


def split(markdown: str, longest: int = LONGEST_PART) -> list[str]:
    """A text as parts of at most ``longest`` characters (240 or more), never empty.

    Where there are several, each ends with "Part i/n".
    """
    text = tidy(markdown)
    if not is_visible(text):
        return ["…"]
    shown = [piece.shown for piece in cut(text, longest - FOOTER) if is_visible(piece.shown)]
    if len(shown) == 1:
        return shown
    return [f"{part}\n\n_Part {number}/{len(shown)}_" for number, part in enumerate(shown, 1)]


def tidy(markdown: str) -> str:
    """The text without control characters and blank lines around it; lines end with a bare newline."""
    text = re.sub(r"\r\n?", "\n", markdown)
    return re.sub(r"\A(?:[ \t]*\n)+", "", CONTROL.sub("", UNPAIRED.sub("\ufffd", text))).rstrip()


def is_visible(text: str) -> bool:
    """Whether anything of it can be seen."""
    return any(not c.isspace() and unicodedata.category(c) not in {"Cf", "Cc", "Cn", "Mn"} for c in text)


def shorten(text: str, longest: int) -> str:
    """The beginning of a text, cut where a sentence or a word ends."""
    return text if len(text) <= longest else text[: _cut_line(text, longest, code=False)].rstrip()


def cut(text: str, room: int) -> list[Piece]:
    """Cut a tidy text into pieces that show as at most ``room`` characters each."""
    return _Cutter(read_layout(text), room).pieces()


class _Cutter:
    def __init__(self, layout: Layout, room: int) -> None:
        self._layout = layout
        self._room = room
        self._lines = layout.lines

    def pieces(self) -> list[Piece]:
        found: list[Piece] = []
        at = _Place(0)
        while at.line < len(self._lines):
            end = self._end(at)
            found.append(Piece(self._body(at, end), self._show(at, end)))
            at = end
        return found

    def _end(self, at: _Place) -> _Place:
        """Where the piece that begins at ``at`` ends."""
        layout, room = self._layout, self._room
        used = sum(len(line) + 1 for line in self._opening(at)) + 2 * _quotes(self._inherited(at))
        edges: list[tuple[int, int]] = []
        number = at.line
        while number < len(self._lines):
            size = self._size(number) - (at.column if number == at.line else 0)
            if used + size + self._closing_size(number) > room:
                break
            if self._is_full(at, number):
                return self._skip_blanks(_Place(number))
            used += size
            number += 1
            edges.append((number, used))
        else:
            return _Place(number)
        ranks = layout.ranks
        good = [edge for edge, size in edges if ranks[edge] == 0 and size >= room // 4]
        if good:
            return self._skip_blanks(_Place(good[-1]))
        half = [edge for edge, size in edges if ranks[edge] < WORST and size >= room // 2]
        if half:
            return self._skip_blanks(_Place(min(half, key=lambda edge: (ranks[edge], -edge))))
        some = [edge for edge, size in edges if ranks[edge] < WORST and size >= room // 8]
        if some:
            return self._skip_blanks(_Place(some[-1]))
        left = room - used - self._closing_size(number) - PER_LINE
        if edges and (left < room // 8 or self._is_edge(number)):
            return self._skip_blanks(_Place(edges[-1][0]))
        column = at.column if number == at.line else 0
        line = self._lines[number][column:]
        if not line:
            return _Place(number + 1)
        length = _cut_line(line, min(max(left, 1), len(line)), code=layout.codes[number] is not None)
        return _Place(number, column + length)

    def _is_full(self, at: _Place, number: int) -> bool:
        """Whether a table has as many rows in this piece as it may have, before this line."""
        table = self._layout.tables[number]
        return table is not None and number - max(table.start + 2, at.line) >= MOST_ROWS - 1

    def _is_edge(self, number: int) -> bool:
        code = self._layout.codes[number]
        if code is None or code.added:
            return False
        return number == code.start or (code.closed and number == code.end - 1)

    def _size(self, number: int) -> int:
        code, added = self._layout.codes[number], 0
        if code and code.added and code.start == number:
            added = len(code.opener) + 1 + 2 * _quotes(code.chain)
        if code and not code.closed and code.end - 1 == number:
            added += self._closing_size(number)
        return len(untab(self._lines[number])) + PER_LINE + _quotes(self._layout.chains[number]) + added

    def _closing_size(self, number: int) -> int:
        code = self._layout.codes[number]
        return 1 + len(code.marker) + sum(max(c.width, 2) for c in code.chain) if code else 0

    def _skip_blanks(self, at: _Place) -> _Place:
        """Blank lines at a cut belong to the piece before it."""
        number = at.line
        while number < len(self._lines) and not self._lines[number].strip() and not self._inside(number):
            number += 1
        return _Place(number)

    def _inside(self, number: int) -> bool:
        code = self._layout.codes[number]
        return code is not None and code.start < number

    def _body(self, start: _Place, end: _Place) -> str:
        taken = self._lines[start.line : end.line + 1]
        if end.line < len(self._lines):
            taken[-1] = taken[-1][: end.column]
        taken[0] = taken[0][start.column :]
        return "\n".join(taken)

    def _inherited(self, at: _Place) -> tuple[Container, ...]:
        """What was opened before this piece, and goes on in it."""
        if at.line >= len(self._lines):
            return ()
        return tuple(c for c in self._layout.chains[at.line] if c.start < at.line or at.column)

    def _opened(self, at: _Place) -> Code | None:
        """The code that goes on at ``at``."""
        code = self._layout.codes[at.line] if at.line < len(self._lines) else None
        return code if code and (code.start < at.line or at.column) else None

    def _opening(self, at: _Place) -> list[str]:
        """The lines that open again what was cut at ``at``."""
        quotes = "> " * _quotes(self._inherited(at))
        if code := self._opened(at):
            return [quotes + code.opener]
        table = self._layout.tables[at.line]
        if table and at.line >= table.start + 2 and not at.column:
            head = [strip(self._lines[n], self._inherited(at), n) for n in (table.start, table.start + 1)]
            if sum(map(len, head)) <= self._room // 3:
                return head
        return []

    def _show(self, start: _Place, end: _Place) -> str:
        layout, inherited = self._layout, self._inherited(start)
        shown = self._opening(start)
        active = inherited
        for number in range(start.line, min(end.line + (end.column > 0), len(self._lines))):
            code = layout.codes[number]
            line = self._lines[number]
            if number == end.line:
                line = line[: end.column]
            before, active = active, tuple(c for c in inherited if number < c.end)
            torn = start.column and number == start.line + 1 and number not in layout.follows
            torn = torn and layout.codes[start.line] is None
            if len(active) < len(before) or torn:
                shown.append("")
            if number == start.line and start.column:
                quotes = "> " * _quotes(active)
                line = quotes + (line[start.column :] if code else _as_words(line[start.column :]))
            elif any(c.width for c in active):
                line = strip(line, active, number)
            if code is None:
                if not shown and number in layout.follows:
                    line = _as_words(line)
                if number not in layout.raw or number == end.line:
                    line = FENCE_LIKE.sub(lambda match: match[1] + WORD_JOINER, line)
            elif number == end.line or (number == start.line and start.column):
                line = re.sub(rf"^([ >]*)(?={code.marker}[`~]*\s*$)", r"\1" + WORD_JOINER, line)
            if code and code.added and code.start == number and not (number == start.line and start.column):
                shown.append(self._indent(code, active) + code.opener)
            shown.append(line)
            if code and number == code.end - 1 and not code.closed and (end.line > number):
                shown.append(self._indent(code, active) + code.marker)
        last = end.line if end.column else end.line - 1
        unfinished = self._opened(end)
        if unfinished and last >= start.line:
            shown.append(self._indent(unfinished, active) + unfinished.marker)
        return _guard(re.sub(r"\A(?:[ \t]*\n)+", "", "\n".join(shown)).rstrip())

    def _indent(self, code: Code, active: tuple[Container, ...]) -> str:
        """What stands before a fence that is added inside containers."""
        return "".join(" " * c.width if c.width and c not in active else "" if c.width else "> " for c in code.chain)


def _as_words(line: str) -> str:
    """What goes on with a paragraph, where a part begins with it: no list, heading or quotation."""
    words = line.lstrip()
    return WORD_JOINER + words if MARK.match(words) else words


def _guard(shown: str) -> str:
    """The same, where nothing but what was code opens a fence: with a cut before it, a line may read otherwise."""
    if "```" not in shown and "~~~" not in shown:
        return shown
    lines = shown.split("\n")
    for _ in lines:
        number = find_unclosed("\n".join(lines))
        if number is None:
            break
        lines[number] = re.sub(r"(?=`{3}|~{3})", WORD_JOINER, lines[number], count=1)
    return "\n".join(lines)


def _quotes(chain: tuple[Container, ...]) -> int:
    return sum(container.width == 0 for container in chain)


def _cut_line(line: str, room: int, *, code: bool) -> int:
    """How much of a line to take: up to a sentence's end, or a word's, or what fits."""
    if code:
        spaces = [match.end() for match in SPACE.finditer(line, room // 2, room)]
        return _whole_character(line, spaces[-1] if spaces else room)
    for pattern in (SENTENCE, SPACE):
        ends = [match.end() for match in pattern.finditer(line, room // 2, room)]
        for end in reversed(ends[-20:]):
            if _whole(line, end) == end:
                return end
    end = _whole(line, room)
    return _whole_character(line, end if end >= max(1, room // 8) else room)


def _whole(line: str, end: int) -> int:
    """The same place, or the beginning of the link, mention or entity that it lies in."""
    start = max(0, end - REACH)
    for match in WHOLE.finditer(line, start, min(len(line), end + REACH)):
        if match.start() < end < match.end():
            return match.start()
        if match.start() >= end:
            break
    return end


def _whole_character(line: str, end: int) -> int:
    """The same place, or one before it that separates no sign from what it belongs to."""
    for place in range(end, max(0, end - 32), -1):
        after, before = line[place : place + 1], line[place - 1]
        joined = before == "\u200d" or (
            after
            and (unicodedata.category(after) in {"Mn", "Me", "Mc"} or after in "\u200d\ufe0f" or "🏻" <= after <= "🏿")
        )
        if not joined:
            return place
    return end
