"""Where code stands in a Markdown text: what is there is shown as it is, and notifies nobody."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from itertools import accumulate

from markdown_it import MarkdownIt

LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
CLOSING = re.compile(r"[\s>]*(?:`{3,}|~{3,})\s*")
DOUBTFUL = re.compile(r"\\`|\]\([^)\s]*`")  # backticks that may be no marks of code
Change = Callable[[str], str]


def rewrite(markdown: str, *, outside: Change = str, inside: Change = str) -> str:
    """The text with a change made outside its code, and one inside: fenced, indented, and in code spans.

    Where it is in doubt whether something is code, it counts as none.
    """
    done, changed = 0, []
    for start, end in _code(markdown):
        changed += [outside(markdown[done:start]), inside(markdown[start:end])]
        done = end
    return "".join([*changed, outside(markdown[done:])])


def _code(markdown: str) -> list[tuple[int, int]]:
    """The beginnings and ends of all code, in their order."""
    lines = LINE.findall(markdown)
    starts = list(accumulate(map(len, lines), initial=0))
    found: list[tuple[int, int]] = []
    spans: dict[tuple[int, int], list[str]] = defaultdict(list)
    row: tuple[int, int] | None = None
    for token in _parser().parse(markdown):
        first, last = token.map or row or (0, 0)
        first, last = min(first, len(lines)), min(last, len(lines))
        if token.type == "tr_open":
            row = (first, last)
        elif token.type == "table_close":
            row = None
        elif token.type == "code_block":
            found.append((starts[first], starts[last]))
        elif token.type == "fence" and last - first >= 2 and CLOSING.fullmatch(lines[last - 1]):
            found.append((starts[first + 1], starts[last - 1]))
        elif token.type == "inline":
            spans[first, last] += [each.content for each in token.children or () if each.type == "code_inline"]
    for (first, last), contents in spans.items():
        text = markdown[starts[first] : starts[last]]
        matches = list(SPAN.finditer(text))
        # The parser tells no places; they are sure when the same spans are found in the same order.
        if not DOUBTFUL.search(text) and [_content(match[2]) for match in matches] == contents:
            found += [(starts[first] + match.start(), starts[first] + match.end()) for match in matches]
    return sorted(found)


def _content(span: str) -> str:
    """What a code span says: line ends are blanks, and one blank at both ends is not part of it."""
    text = re.sub(r"\r\n?|\n", " ", span)
    return text[1:-1] if text.startswith(" ") and text.endswith(" ") and text.strip() else text


@cache
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table")
