"""Cutting documents: every line is in a chunk, each chunk is exactly its lines, and nothing is torn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.docs.chunks import split

LINES = [
    "", "", "text of a paragraph", "more words " * 20, "# One", "## Two", "### Three `code`", "Setext", "======", "---", "```",
    "```sh", "~~~", "    indented", "- item", "  - nested item", "1. first", "| a | b |", "| - | - |", "| 1 | 2 |", "> quote",
    "<div>", "</div>", "<!--", "-->", "import X from 'y'", "title: T", "+++", ".. code-block:: sh", "literal::", "\r", "a\rb",
]  # fmt: skip
texts = st.lists(st.sampled_from(LINES) | st.text(max_size=30), max_size=60).map("\n".join)


def headings(found):
    return [chunk.headings for chunk in found.chunks]


@settings(max_examples=120, deadline=None)
@given(texts, st.sampled_from(["a.md", "a.mdx", "a.rst", "a.txt"]), st.sampled_from([40, 200, 1600]))
def test_every_line_is_in_a_chunk_and_a_chunk_is_its_lines(text, path, target):
    lines = text.split("\n")
    covered = set()
    before = (0, 0)
    for chunk in split(text, path, target=target, overlap=target // 5).chunks:
        assert chunk.text == "\n".join(lines[chunk.first_line - 1 : chunk.last_line])
        assert 1 <= chunk.first_line <= chunk.last_line <= len(lines)
        assert (chunk.first_line, chunk.last_line) > before and chunk.last_line > before[1]
        before = (chunk.first_line, chunk.last_line)
        covered |= set(range(chunk.first_line, chunk.last_line + 1))
    assert covered >= {number for number, line in enumerate(lines, 1) if line.strip()}


blocks = st.sampled_from(["word " * 30, "# Heading", "- item\n- item", "| a |\n| - |\n| b |", "1. one\n\n   two"])
fences = st.lists(st.sampled_from(["code", "", "# no heading", "- no list"]), max_size=30).map(
    lambda code: "\n".join(["```sh", *code, "```"])
)


@settings(max_examples=80, deadline=None)
@given(st.lists(blocks | fences, max_size=12).map("\n\n".join))
def test_fenced_code_is_never_cut(text):
    lines = text.split("\n")
    marks = [number for number, line in enumerate(lines, 1) if line.startswith("```")]
    for chunk in split(text, "a.md", target=120, overlap=40).chunks:
        for begin, end in zip(marks[::2], marks[1::2], strict=True):
            inside = {number for number in range(begin, end + 1) if lines[number - 1].strip()}
            taken = inside & set(range(chunk.first_line, chunk.last_line + 1))
            assert not taken or taken == inside


def test_chunks_follow_the_headings():
    text = "# Guide\n\n## Install\n\nRun it.\n\n## Use\n\n### Daily\n\nAsk.\n\nWeekly\n------\n\nReport.\n"
    found = split(text, "guide.md")
    assert found.title == "Guide"
    assert headings(found) == [("Guide", "Install"), ("Guide", "Use", "Daily"), ("Guide", "Weekly")]
    assert [(chunk.first_line, chunk.last_line) for chunk in found.chunks] == [(1, 5), (7, 11), (13, 16)]


def test_a_heading_in_code_or_in_a_list_is_none():
    assert headings(split("# A\n\n```\n# no\n```\n\n- # no\n", "a.md")) == [("A",)]


def test_what_marks_up_a_heading_is_left_out_of_it():
    assert split("# The `--force` [flag](x.md) *now* {#force}\n\ntext", "a.md").title == "The --force flag now"


@pytest.mark.parametrize(
    "front", ["---\ntitle: Named\ntags: [a]\n---", '+++\ntitle = "Named"\n+++', "---\ntitle: Named\n..."]
)
def test_front_matter_is_a_chunk_of_its_own_and_names_the_document(front):
    found = split(f"{front}\n# Heading\n\ntext", "a.md")
    assert found.title == "Named" and found.chunks[0].text == front and headings(found) == [(), ("Heading",)]


@pytest.mark.parametrize(
    "text", ["---\n{bad: [\n---\n# H", "---\ntitle: 3\n---\n# H", "---\n# H\n", "+++\n# H", "---\nx\n---\n# H"]
)
def test_front_matter_that_says_nothing_leaves_the_heading(text):
    assert split(text, "a.md").title == "H"


@pytest.mark.parametrize(
    ("path", "title"), [("how-to_x.md", "how to x"), ("a/b.txt", "b"), (".md", ".md"), ("README", "README")]
)
def test_without_a_heading_the_file_is_the_title(path, title):
    assert split("just text", path).title == title and split("", path).chunks == []


def test_titles_of_restructured_text():
    text = "=====\nGuide\n=====\n\nIntro::\n\n  Not\n  ---\n\nInstall\n-------\n\nRun.\n\nDeeper\n~~~~~~\n\nMore.\n\nUse\n---\n\nAsk."
    found = split(text, "a.rst")
    assert found.title == "Guide"
    assert headings(found) == [("Guide",), ("Guide", "Install"), ("Guide", "Install", "Deeper"), ("Guide", "Use")]


def test_a_long_section_is_cut_between_blocks_and_its_chunks_share_a_little():
    paragraphs = [f"Paragraph {number} " + "word " * 30 for number in range(20)]
    found = split("# Long\n\n" + "\n\n".join(paragraphs), "a.md", target=600, overlap=200)
    assert len(found.chunks) > 4 and {chunk.headings for chunk in found.chunks} == {("Long",)}
    assert all(len(chunk.text) <= 800 for chunk in found.chunks)
    for first, second in zip(found.chunks, found.chunks[1:], strict=False):
        assert second.text.startswith("Paragraph") and second.first_line <= first.last_line


def test_a_heading_stays_with_what_follows_it():
    text = "# A\n\nshort\n\n## B\n\n```\n" + "code\n" * 200 + "```\n"
    [_, code] = split(text, "a.md", target=100).chunks
    assert code.text.startswith("## B") and code.text.endswith("```")


def test_a_large_document_takes_a_moment():
    import time

    text = "\n\n".join(f"## Section {number}\n\n" + "- item with words\n" * 40 for number in range(1500))
    began = time.process_time()
    assert len(split(text, "a.md").chunks) >= 1500
    assert time.process_time() - began < 10
