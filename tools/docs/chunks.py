"""Cuts a document into chunks that follow its headings, each with its exact lines.

A section is one chunk. A longer one is cut where its structure is least deep: between paragraphs rather than between
items of a list, there rather than between lines. Fenced code is never cut. Front matter is a chunk of its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from storage.documents import NewChunk

TARGET = 1600  # characters of a chunk; from 1,000 to 4,000 measure alike, and the shorter cite more exactly
OVERLAP = 160  # characters that two chunks of one section share at most
NEVER, LINE = 1000, 900  # where a text is not cut, and between two lines of a paragraph
WHOLE = ("fence", "code_block")
ANCHOR = re.compile(r"\s*\{[#.:][^}]*\}\s*$")
UNDERLINE = re.compile(r"([^\w\s])\1{2,}\s*$")
MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Split:
    """A document's title, and its chunks in their order."""

    title: str
    chunks: list[NewChunk]


@dataclass
class _Outline:
    """What is known of a text's lines, from 0.

    Attributes:
        title: if the text says it.
        start: where the front matter ends.
        headings: by the line where they begin: level, text, first line behind it.
        depth: how bad a cut before each line is.
    """

    depth: list[int]
    title: str = ""
    start: int = 0
    headings: dict[int, tuple[int, str, int]] = field(default_factory=dict)


def split(text: str, path: str, *, target: int = TARGET, overlap: int = OVERLAP) -> Split:
    r"""Cut a document.

    Args:
        text: all of it. Lines end with ``\n``; each chunk's text is exactly that of its lines.
        path: tells by its ending what it is: ``.md`` or ``.mdx``, ``.rst``, anything else is plain text.
        target: how long a chunk should be at most, in characters; what cannot be cut is longer.
        overlap: how much two chunks of one section may share, in characters.
    """
    lines = text.split("\n")
    kind = PurePosixPath(path).suffix.lower()
    outline = _Outline([LINE] * (len(lines) + 1))
    if kind in (".md", ".mdx", ".markdown"):
        _read_front_matter(lines, outline)
        _read_markdown(lines, outline)
    else:
        _read_plain(lines, outline, titles=kind == ".rst")
    sections = _sections(outline, len(lines))
    _keep_headings(lines, outline)
    pieces: list[tuple[tuple[str, ...], int, int]] = [((), 0, outline.start)] if outline.start else []
    for headings, first, last in sections:
        pieces += [(headings, *piece) for piece in _cut(lines, outline.depth, first, last, target, overlap)]
    chunks: list[NewChunk] = []
    for headings, begin, end in pieces:
        chunk = _chunk(lines, headings, begin, end)
        if chunk.text and (not chunks or chunk.last_line > chunks[-1].last_line):  # else it is all overlap
            chunks.append(chunk)
    return Split(outline.title or _first_heading(outline) or _name(path), chunks)


def _read_front_matter(lines: Sequence[str], outline: _Outline) -> None:
    fence = lines[0].rstrip()
    if fence not in ("---", "+++"):
        return
    ends = ("---", "...") if fence == "---" else ("+++",)
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() in ends), None)
    if end is None:
        return
    block = "\n".join(line.rstrip("\r") for line in lines[1:end])
    try:
        found = yaml.safe_load(block) if fence == "---" else tomllib.loads(block)
    except (yaml.YAMLError, tomllib.TOMLDecodeError, ValueError, RecursionError):
        found = None
    outline.start = end + 1
    if isinstance(found, dict) and isinstance(found.get("title"), str):
        outline.title = found["title"].strip()


def _read_markdown(lines: Sequence[str], outline: _Outline) -> None:
    # A carriage return alone ends a line in Markdown, and not in a link to lines.
    body = "\n".join(line.rstrip("\r").replace("\r", " ") for line in lines[outline.start :])
    tokens = MARKDOWN.parse(body)
    for number, token in enumerate(tokens):
        if token.map is None or token.nesting < 0 or token.type == "inline":
            continue
        begin, end = (line + outline.start for line in token.map)
        outline.depth[begin] = min(outline.depth[begin], token.level)
        if token.type in WHOLE:
            outline.depth[begin + 1 : end] = [NEVER] * (end - begin - 1)
        if token.type == "heading_open":
            outline.depth[begin + 1 : end + 1] = [NEVER] * (end - begin)
            if token.level == 0:
                outline.headings[begin] = (int(token.tag[1]), _plain(tokens[number + 1]), end)


def _plain(inline: Token) -> str:
    shown = {"text": "", "code_inline": "", "image": "", "softbreak": " ", "hardbreak": " "}
    parts = [child.content + shown[child.type] for child in inline.children or () if child.type in shown]
    return " ".join(ANCHOR.sub("", "".join(parts)).split())


def _read_plain(lines: Sequence[str], outline: _Outline, *, titles: bool) -> None:
    """Paragraphs, and the underlined titles of reStructuredText, whose levels are in the order of their first use."""
    styles: list[str] = []
    literal: int | None = None  # the indentation below which a literal block ends
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        blank = not line.strip()
        if not blank and literal is not None and indent <= literal:
            literal = None
        after_blank = number == 0 or not lines[number - 1].strip()
        if literal is not None:
            outline.depth[number] = NEVER
        elif not blank and after_blank:
            outline.depth[number] = min(indent, 8)
        if not titles or blank:
            continue
        if literal is None and (line.rstrip().endswith("::") or line.lstrip().startswith(".. ")):
            literal = indent
        style = _underlined(lines, number)
        if style and literal is None:
            over = number > 0 and lines[number - 1].strip() == lines[number + 1].strip()
            begin = number - 1 if over else number
            mark = style + style if over else style
            if mark not in styles:
                styles.append(mark)
            outline.depth[begin] = 0
            outline.depth[begin + 1 : number + 3] = [NEVER] * len(outline.depth[begin + 1 : number + 3])
            outline.headings[begin] = (styles.index(mark) + 1, " ".join(line.split()), number + 2)


def _underlined(lines: Sequence[str], number: int) -> str | None:
    """The character that a title is underlined with; None where the line is no title."""
    if number + 1 >= len(lines) or UNDERLINE.match(lines[number].strip()):
        return None
    title, below = lines[number].rstrip(), lines[number + 1].rstrip()
    return below[0] if UNDERLINE.match(below) and len(below) >= len(title.strip()) else None


def _sections(outline: _Outline, count: int) -> list[tuple[tuple[str, ...], int, int]]:
    """The headings above each section, and its lines; one that is a heading only begins the next one."""
    sections: list[tuple[tuple[str, ...], int, int]] = []
    path: list[tuple[int, str]] = []
    begin, body = outline.start, outline.start
    for line in [*sorted(outline.headings), count]:
        level, text, behind = outline.headings.get(line, (0, "", line))
        empty = all(outline.depth[number] >= LINE for number in range(body, line))
        if line > begin and not (empty and path and (level > path[-1][0])):
            sections.append((tuple(name for _, name in path), begin, line))
            begin = line
        while path and path[-1][0] >= level:
            path.pop()
        path.append((level, text))
        body = behind
    return sections


def _keep_headings(lines: Sequence[str], outline: _Outline) -> None:
    """Let no heading stand without what follows it."""
    for _, _, behind in outline.headings.values():
        follows = next((number for number in range(behind, len(lines)) if lines[number].strip()), None)
        if follows is not None and follows not in outline.headings:
            outline.depth[follows] = NEVER


def _cut(
    lines: Sequence[str], depth: Sequence[int], first: int, last: int, target: int, overlap: int
) -> list[tuple[int, int]]:
    """The lines of the chunks of one section, which begin at first and end before last."""
    pieces: list[tuple[int, int]] = []
    begin = first
    while begin < last:
        end, size = begin, 0
        while end < last and (end == begin or size + len(lines[end]) + 1 <= target):
            size += len(lines[end]) + 1
            end += 1
        if end < last:
            half = begin + 1 + (end - begin) // 2
            places = [place for place in range(half, end + 1) if depth[place] < NEVER]
            places = places or [place for place in range(begin + 1, half) if depth[place] < NEVER]
            if places:
                end = min(places, key=lambda place: (depth[place], -place))
            else:
                end = next((place for place in range(end + 1, last) if depth[place] < NEVER), last)
        pieces.append((begin, end))
        begin = _overlapping(lines, depth, begin, end, overlap) if end < last else end
    return pieces


def _overlapping(lines: Sequence[str], depth: Sequence[int], begin: int, end: int, overlap: int) -> int:
    """Where the next chunk begins: at most ``overlap`` characters before the end of the last one."""
    found, size = end, 0
    for place in range(end - 1, begin, -1):
        size += len(lines[place]) + 1
        if size > overlap:
            break
        if depth[place] < LINE:
            found = place
    return found


def _chunk(lines: Sequence[str], headings: tuple[str, ...], begin: int, end: int) -> NewChunk:
    """Without the blank lines around it."""
    while begin < end and not lines[begin].strip():
        begin += 1
    while end > begin and not lines[end - 1].strip():
        end -= 1
    return NewChunk(headings, begin + 1, end, "\n".join(lines[begin:end]))


def _first_heading(outline: _Outline) -> str:
    """The first heading of the highest level."""
    found = sorted((level, line, text) for line, (level, text, _) in outline.headings.items() if text)
    return found[0][2] if found else ""


def _name(path: str) -> str:
    """What a file is called, as words."""
    return " ".join(re.split(r"[-_\s]+", PurePosixPath(path).stem)).strip() or path
