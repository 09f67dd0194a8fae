"""How a Markdown text is built, line by line: where it may be cut, and what must be opened again there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

WORST = 40  # a cut of this rank and above tears what belongs together
LINE, CODE, ROW = 10, 11, 9
LONGEST_OPENER = 120  # a longer line is no fence, but text
LONGEST_AGAIN = 60  # of the line that opens a fence again
MOST_COLUMNS = 20
ITEM = re.compile(r"( *)([-+*]|\d{1,9}[.)])( *)(.*)")
QUOTE = re.compile(r" {0,3}> ?")


@dataclass(frozen=True)
class Container:
    """A list item, whose lines are indented by ``width``, or a quotation (``width`` 0); lines start to end - 1."""

    start: int
    end: int
    width: int


@dataclass(frozen=True)
class Code:
    """A fenced block; ``added`` where the fence is ours, around what Slack could not show otherwise."""

    start: int
    end: int
    opener: str
    marker: str
    closed: bool
    chain: tuple[Container, ...] = ()
    added: bool = False


@dataclass(frozen=True)
class Table:
    """A table; its head is two lines."""

    start: int
    end: int


@dataclass
class Layout:
    """A text's lines, and for each line what it belongs to.

    ``ranks[i]`` says how bad a cut before line ``i`` is: 0 between paragraphs, more inside lists, quotations, tables,
    paragraphs and code.
    """

    lines: list[str]
    ranks: list[int]
    chains: list[tuple[Container, ...]]
    codes: list[Code | None]
    tables: list[Table | None]
    follows: set[int] = field(default_factory=set)  # lines that go on with a paragraph
    raw: set[int] = field(default_factory=set)  # lines of indented code


def read_layout(text: str) -> Layout:
    """Read a text whose lines end with a bare newline."""
    lines = text.split("\n")
    count = len(lines)
    layout = Layout(lines, [LINE] * (count + 1), [()] * count, [None] * count, [None] * count)
    tokens = [token for token in _parser().parse(text) if token.map and token.nesting >= 0 and token.type != "inline"]
    for token in tokens:
        start, end = token.map or (0, 0)
        _place(layout, token, start, min(end, count))
    for token in tokens:
        if token.type == "heading_open" and token.map:
            _keep_with_next(layout, *token.map)
    for start, code in ((i, code) for i, code in enumerate(layout.codes) if code and code.start == i):
        _rank(layout, start + 1, code.end, CODE)
        if not code.added:
            layout.ranks[start + 1] = WORST + 10
            if code.closed:
                layout.ranks[code.end - 1] = WORST + 10
    for table in {table for table in layout.tables if table}:
        _rank(layout, table.start + 1, table.end, ROW)
        _rank(layout, table.start + 1, min(table.start + 3, table.end), WORST + 20)
    return layout


def find_unclosed(text: str) -> int | None:
    """The line at which the first code fence begins that is never closed."""
    count = text.count("\n") + 1
    for token in _parser().parse(text):
        if token.type == "fence" and token.map and not _is_closed(token, token.map[0], min(token.map[1], count)):
            return token.map[0]
    return None


def strip(line: str, chain: tuple[Container, ...], number: int) -> str:
    """A line without the indentation and the marks of the containers that it stands in; quotations are marked anew."""
    rest, quotes = line, 0
    for container in chain:
        if container.width == 0:
            mark = QUOTE.match(rest)
            quotes += bool(mark)
            rest = rest[mark.end() :] if mark else rest
            continue
        rest = untab(rest)
        if container.start == number:
            rest = rest[container.width :]
        else:
            rest = rest[min(container.width, len(rest) - len(rest.lstrip(" "))) :]
    return "> " * quotes + rest


def untab(line: str) -> str:
    """A line whose indentation is of spaces."""
    lead = len(line) - len(line.lstrip(" \t"))
    return line[:lead].expandtabs(4) + line[lead:]


@cache
def _parser() -> MarkdownIt:
    """Reads blocks only: what stands in the lines does not matter here."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _place(layout: Layout, token: Token, start: int, end: int) -> None:
    rank = min(token.level, LINE - 2)
    for edge in (start, end):
        layout.ranks[edge] = min(layout.ranks[edge], rank)
    match token.type:
        case "blockquote_open":
            _contain(layout, Container(start, end, 0))
        case "list_item_open":
            _contain(layout, Container(start, end, _width(layout, start)))
        case "fence":
            code = _code(layout, token, start, end)
            if code:
                layout.codes[start:end] = [code] * (end - start)
        case "code_block":
            layout.raw.update(range(start, end))
        case "table_open":
            _tabulate(layout, start, end)
        case "paragraph_open" | "heading_open":
            layout.follows.update(range(start + 1, end))
        case _:
            pass


def _keep_with_next(layout: Layout, start: int, end: int) -> None:
    """A heading is not cut off from what it heads."""
    while end < len(layout.lines) and not layout.lines[end].strip(" \t>"):
        end += 1
    _rank(layout, start + 1, end + 1, WORST)


def _rank(layout: Layout, start: int, end: int, rank: int) -> None:
    layout.ranks[start:end] = [rank] * max(0, end - start)


def _contain(layout: Layout, container: Container) -> None:
    for number in range(container.start, container.end):
        layout.chains[number] = (*layout.chains[number], container)


def _width(layout: Layout, start: int) -> int:
    """How far the lines of a list item are indented, seen from what contains it."""
    line = strip(layout.lines[start].expandtabs(4), layout.chains[start], start)
    match = ITEM.match(line.removeprefix("> " * sum(c.width == 0 for c in layout.chains[start])))
    if match is None:
        return 2
    gap = len(match[3]) if match[4] and len(match[3]) <= 4 else 1
    return len(match[1]) + len(match[2]) + gap


def _code(layout: Layout, token: Token, start: int, end: int) -> Code | None:
    opener = token.markup + token.info.rstrip()
    if len(token.markup) > LONGEST_AGAIN or len(layout.lines[start]) > LONGEST_OPENER:
        return None
    if len(opener) > LONGEST_AGAIN:
        opener = token.markup
    return Code(start, end, opener, token.markup, _is_closed(token, start, end), layout.chains[start])


def _is_closed(token: Token, start: int, end: int) -> bool:
    inside = len(token.content.split("\n")) - token.content.endswith("\n") if token.content else 0
    return inside <= end - start - 2


def _tabulate(layout: Layout, start: int, end: int) -> None:
    columns = re.split(r"(?<!\\)\|", layout.lines[start + 1].strip(" \t>").strip("|"))
    if len(columns) > MOST_COLUMNS:
        longest = max((len(run) for line in layout.lines[start:end] for run in re.findall("`+", line)), default=0)
        marker = "`" * max(3, longest + 1)
        if len(marker) <= LONGEST_AGAIN:
            code = Code(start, end, marker, marker, closed=False, chain=layout.chains[start], added=True)
            layout.codes[start:end] = [code] * (end - start)
            return
    layout.tables[start:end] = [Table(start, end)] * (end - start)
