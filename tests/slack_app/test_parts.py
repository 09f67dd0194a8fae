"""Long texts cut into parts: nothing lost, nothing broken, nothing that Slack refuses."""

import re
from functools import lru_cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import slack_app.parts
from sandbox.slack.messages import check_message
from slack_app.layout import LONGEST_OPENER
from slack_app.mrkdwn import compose
from slack_app.parts import LONGEST_PART, MOST_ROWS, cut, is_visible, split, tidy

FOOTER = re.compile(r"\n\n_Part \d+/\d+_\Z")
PARSER = MarkdownIt("commonmark", {"html": False}).enable("table")
PARSER.core.ruler.enableOnly(["normalize", "block"])


def fences(text):
    """The fenced blocks of a text, as (info, words of the code, whether it is closed)."""
    count = text.count("\n") + 1
    for token in PARSER.parse(text):
        if token.type == "fence":
            lines = len(token.content.split("\n")) - token.content.endswith("\n") if token.content else 0
            start, end = token.map
            yield token.info.strip(), token.content, lines <= min(end, count) - start - 2


def squeeze(text):
    """The text without white space, and without what keeps the rest of a cut line from being a fence."""
    return "".join(text.split()).replace("\u2060", "")


def bodies(parts):
    return [FOOTER.sub("", part) for part in parts]


def test_a_text_that_fits_is_one_part():
    assert split("short") == ["short"]
    assert split("  ") == split("\u200b\n\x00") == ["…"]


def test_a_long_text_is_cut_at_paragraphs_and_numbered():
    paragraph = ("word " * 200).strip()
    parts = split("\n\n".join([paragraph] * 20))
    assert len(parts) == 3 and all(len(part) <= LONGEST_PART for part in parts)
    assert [part.rsplit("\n\n", 1)[1] for part in parts] == ["_Part 1/3_", "_Part 2/3_", "_Part 3/3_"]
    assert "\n\n".join(bodies(parts)) == "\n\n".join([paragraph] * 20)


def test_a_code_fence_that_is_cut_is_closed_and_opened_again():
    code = "\n".join(f"line {number}" for number in range(2000))
    parts = split(f"before\n\n````python\n{code}\n````\n\nafter")
    assert len(parts) > 1
    for part in parts[1:]:
        assert part.startswith("````python\n")
    for part in parts[:-1]:
        assert FOOTER.sub("", part).endswith("\n````")
    assert "\n````\n\nafter" in parts[-1]


def test_code_in_a_list_is_opened_again_without_its_indentation():
    code = "\n".join(f"     line {number}" for number in range(40))
    first, second, *_ = split(f"1. one\n   - two\n     ```sh\n{code}\n     ```\n     then\n2. three", 300)
    assert first.startswith("1. one\n   - two\n     ```sh\n     line 0\n") and "\n     ```\n\n_Part" in first
    assert second.startswith("```sh\nline ") and "\n```\n\n_Part" in second


def test_code_in_a_quotation_stays_in_it():
    first, second, *_ = split("> ~~~py\n" + "> code line\n" * 40 + "> ~~~", 300)
    assert first.startswith("> ~~~py\n> code line\n") and FOOTER.sub("", first).endswith("\n> ~~~")
    assert second.startswith("> ~~~py\n> code line\n")


def test_an_unclosed_fence_is_closed():
    assert split("see\n\n```py\nx = 1") == ["see\n\n```py\nx = 1\n```"]


def test_a_long_table_goes_on_with_its_head():
    rows = [f"| {number} | x |" for number in range(250)]
    parts = bodies(split("\n".join(["intro\n", "| a | b |", "|---|---|", *rows])))
    assert [part.count("| x |") for part in parts] == [MOST_ROWS - 1, MOST_ROWS - 1, 52]
    assert all(part.startswith("| a | b |\n|---|---|\n") for part in parts[1:])
    assert [line for part in parts for line in part.splitlines() if "x" in line] == rows


def test_a_table_that_is_too_wide_is_shown_as_code():
    wide = "\n".join(["|" + " a |" * 21, "|" + "---|" * 21, "|" + " `1` |" * 21])
    assert split(f"intro\n\n{wide}\n\nend") == [f"intro\n\n```\n{wide}\n```\n\nend"]
    narrow = "\n".join(["|" + " a |" * 20, "|" + "---|" * 20, "|" + " 1 |" * 20])
    assert split(narrow) == [narrow]


def test_a_list_that_fits_a_part_is_not_torn():
    items = "\n".join(f"- item {number} " + "word " * 10 for number in range(6))
    parts = bodies(split("\n\n".join(["word " * 60, items, "word " * 60]), 560))
    assert [part.count("- item") for part in parts] == [0, 6, 0]


def test_a_heading_stays_with_its_text():
    parts = bodies(split("\n\n".join(f"## Heading {n}\n\n" + "Some words here. " * 12 for n in range(8)), 500))
    assert len(parts) > 2 and all(not part.splitlines()[-1].startswith("#") for part in parts)


def test_sentences_then_words_are_kept_whole():
    for part in bodies(split("This is a sentence of ten words, as you see. " * 40, 400)):
        assert part.startswith("This is") and part.endswith("you see.")
    assert {word for part in bodies(split("wordword " * 200, 400)) for word in part.split()} == {"wordword"}


@pytest.mark.parametrize(
    "whole",
    ["<@U012AB3CD>", "<https://a.example/x|some words>", "&amp;", "[some words](https://a.example)", ":fire:", "\\*"],
)
def test_what_has_a_meaning_only_as_a_whole_is_not_cut(whole):
    for filling in range(180, 240):
        text = "x" * filling + whole + "y" * 100
        assert sum(whole in part for part in split(text, 240)) == 1, filling


@pytest.mark.parametrize("sign", ["👩‍💻", "👍🏽", "é", "❤️"])
def test_a_sign_of_several_characters_is_not_cut(sign):
    for filling in range(195, 222):
        assert sum(part.count(sign) for part in split("x" * filling + sign * 10, 240)) == 10, filling


@pytest.mark.parametrize(
    "text",
    [
        "```" + "x" * 30_000 + "\ncode\n```",
        "`" * 30_000,
        "~" * 30_000,
        "x" * 30_000,
        "\n" * 30_000 + "x",
        "x" + "\n" * 30_000 + "x",
        "a\n" * 15_000,
        "> " * 15_000 + "x",
        "- " * 15_000 + "x",
        "| a | b |\n|---|---|\n| " + "x" * 30_000 + " | y |",
        "[" * 30_000,
        "<" * 30_000,
        "1. " * 10_000,
    ],
    ids=lambda text: text[:6],
)
def test_texts_without_a_good_place_to_cut_are_cut_all_the_same(text):
    parts = split(text)
    assert all(len(part) <= LONGEST_PART and is_visible(part) for part in parts)
    assert "".join(piece.body for piece in cut(tidy(text), LONGEST_PART)) == tidy(text)


# Cheap to draw, and together as odd as what models write.
BITS = [
    "word ", "Some sentence. ", "x" * 90, "k" * 400, "déjà vu ", "👩‍💻", "👍🏽 ", "日本語。", "\u202eabc\u202c ", "\x00", "\x1b[31m", "\ud800",
    "\u200b", "\n", "\n", "\n", "\n\n", "\n\n", "\r\n", "\t", "    ", "  ", "```", "```py\n", "\n```\n", "\n````\n", "\n~~~\n",
    "~~~sh\n", "\n   ```\n", "\n    ```\n", "```a``` ", "`code` ", "\n- ", "\n  - ", "\n    - ", "\n* ", "\n1. ", "\n7) ", "\n> ", "\n> > ",
    "\n> ```\n", "\n- ```py\n", "\n  ```\n", "\n1. ```\n   x\n   ```\n", "\n# Head\n", "\n---\n", "\n===\n", "| a | b |\n|---|---|\n| 1 | 2 |\n", "| 3 | 4 |\n",
    "|" + " a |" * 22 + "\n|" + "---|" * 22 + "\n", "<!channel> ", "@here ", "<@U012AB3CD> ", "![i](https://a.example/i.png) ", "[a](https://a.example) ",
    "<https://a.example|a b> ", "[r]: https://a.example\n", "&amp; ", "&lt;", "<b>bold</b> ", "<!-- c -->", "<div>\n", "**bold** ", "_", "*", "\\", ":fire: ",
]  # fmt: skip
TEXT = st.binary(min_size=12, max_size=60).map(lambda drawn: "".join(BITS[byte % len(BITS)] for byte in drawn))


def check(text, longest):
    """What holds for every text."""
    clean = tidy(text)
    parts = split(text, longest)
    after = []
    for number, part in enumerate(parts, 1):
        assert len(part) <= longest and is_visible(part)
        assert (f"_Part {number}/{len(parts)}_" in part) == (len(parts) > 1)
        after += fences(part)
    assert all(closed for _, _, closed in after), parts
    pieces = slack_app.parts.cut(clean, longest - 24)
    assert "".join(piece.body for piece in pieces) == clean
    before = list(fences(clean))
    longest_opener = max((len(line) for line in clean.split("\n") if "```" in line or "~~~" in line), default=0)
    if (
        "---|---|---" not in clean and longest_opener <= LONGEST_OPENER
    ):  # a wide table becomes code, and no code is text
        assert {info for info, _, _ in after} <= {info for info, _, _ in before} | {""}
        assert squeeze("".join(code for _, code, _ in after)) == squeeze("".join(code for _, code, _ in before))
    return parts


@pytest.fixture
def cut_once(monkeypatch):
    """Texts are cut twice, for their parts and for their pieces: the second time it is known how."""
    monkeypatch.setattr("slack_app.parts.cut", lru_cache(maxsize=1)(cut))


@pytest.mark.timeout(900)  # seconds by the clock on a busy machine
@pytest.mark.parametrize("longest", [240, 300, 700])
@settings(deadline=None, max_examples=3_334, suppress_health_check=list(HealthCheck), database=None)
@given(TEXT)
def test_any_text_is_taken_whole_and_unbroken(cut_once, longest, text):
    for part in check(text, longest):
        check_message(compose(part))


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck), database=None)
@given(
    st.lists(st.tuples(st.sampled_from(BITS), st.integers(1, 400)), max_size=60).map(
        lambda bits: "".join(a * n for a, n in bits)
    )
)
def test_any_long_text_is_taken_in_real_parts(text):
    for part in check(text, LONGEST_PART):
        check_message(compose(part))
        check_message(compose(part, plain=True))
