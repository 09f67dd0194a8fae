"""Texts made harmless, and cut so that nothing is lost."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slack_app.mrkdwn import LONGEST_PART, _open_fence, fallback, neutralise, split, unmention

FOOTER = re.compile(r"\n\n_Part \d+/\d+_$")
LIVE = re.compile(r"(?:<|&lt;)!(?:channel|here|everyone|subteam)|@(?:channel|here|everyone)\b", re.IGNORECASE)


@pytest.mark.parametrize(
    "mention",
    [
        "<!channel>",
        "<!here|here>",
        "<!EVERYONE>",
        "<!subteam^S0123ABC|@sre>",
        "@channel",
        "@here,",
        "@Everyone!",
        r"<\!channel>",
        "&lt;!channel&gt;",
        r"&lt;\!here>",
        "<!&#99;hannel>",
        "[x](!channel)",
        "`<!here>`",
    ],
)
def test_nobody_is_notified_in_a_mass(mention):
    sent = neutralise(f"hey {mention} look")
    assert not LIVE.search(sent) and not LIVE.search(fallback(sent)) and not LIVE.search(fallback(sent, 40_000))
    assert "look" in fallback(sent)


def test_other_mentions_addresses_and_words_stay_as_they_are():
    text = "<@U1> wrote to here@example.com about #channel: 5 > 3 & !important <https://a.example|a>"
    assert neutralise(text) == text


@pytest.mark.parametrize(
    "image", ["![a graph](https://x.example/a.png)", "![a [b] c](https://x.example/a.png)", "![a][r]"]
)
def test_images_become_links(image):
    assert neutralise(f"see {image} there") == f"see {image[1:]} there"


def test_an_exclamation_is_no_image():
    assert neutralise("done! [docs](https://x.example) and a[!] (b)") == "done! [docs](https://x.example) and a[!] (b)"


def test_the_fallback_is_mrkdwn_and_short_and_never_empty():
    assert fallback("**bold** and [a](https://a.example)").replace("\u200b", "") == "*bold* and <https://a.example|a>"
    assert len(fallback("word " * 5000)) == 3000
    assert fallback("  ") == "…"


def test_a_text_that_fits_is_one_part():
    assert split("short") == ["short"]
    assert split("  ") == ["…"]


def test_a_long_text_is_cut_at_paragraphs_and_numbered():
    paragraph = "word " * 200
    parts = split("\n\n".join([paragraph.strip()] * 20))
    assert len(parts) == 3 and all(len(part) <= LONGEST_PART for part in parts)
    assert [part.rsplit("\n\n", 1)[1] for part in parts] == ["_Part 1/3_", "_Part 2/3_", "_Part 3/3_"]
    assert all(FOOTER.sub("", part).endswith("word") and part.startswith("word") for part in parts)


def test_a_code_fence_that_is_cut_is_closed_and_opened_again():
    code = "\n".join(f"line {number}" for number in range(2000))
    parts = split(f"before\n\n````python\n{code}\n````\n\nafter")
    assert len(parts) > 1
    for part in parts[1:]:
        assert part.startswith("````python\n")
    for part in parts[:-1]:
        assert FOOTER.sub("", part).endswith("\n````")
    assert "\n````\n\nafter" in parts[-1]


@pytest.mark.parametrize(
    "text",
    [
        "```" + "x" * 30_000 + "\ncode\n```",
        "`" * 30_000,
        "~" * 30_000,
        "x" * 30_000,
        "\n" * 30_000 + "x",
        "a\n" * 15_000,
    ],
    ids=["long fence", "backticks", "tildes", "one word", "blank lines", "short lines"],
)
def test_texts_without_a_good_place_to_cut_are_cut_all_the_same(text):
    parts = split(text)
    assert all(len(part) <= LONGEST_PART for part in parts)


WORD = st.text("abcdefghij", min_size=1, max_size=12) | st.text("k", min_size=150, max_size=400)
LINE = st.lists(WORD, min_size=1, max_size=12).map(" ".join)
CODE = st.builds(
    lambda fence, language, lines: f"{fence}{language}\n" + "\n".join(lines) + f"\n{fence}",
    st.sampled_from(["```", "~~~", "````"]),
    st.sampled_from(["", "sh", "python"]),
    st.lists(LINE | st.just("") | st.just("    indented"), max_size=30),
)
TEXT = st.lists(LINE | CODE, min_size=1, max_size=12).map("\n\n".join)


def bare(text):
    """The text without fences and white space."""
    lines = (line for line in text.splitlines() if not line.startswith(("```", "~~~")))
    return "".join("".join(lines).split())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(TEXT, st.integers(220, 900))
def test_parts_keep_the_whole_text_fit_and_close_their_fences(text, longest):
    parts = split(text, longest)
    assert all(len(part) <= longest for part in parts)
    assert all(not _open_fence(part) for part in parts)
    assert bare("\n".join(FOOTER.sub("", part) for part in parts)) == bare(text)


@pytest.mark.parametrize("mention", ["<@U123>", "<@W123|anna>", "‹@U123>", "&lt;@U123&gt;", "<\\@U123>", "<&#64;U123>"])
def test_a_person_is_not_notified_where_their_mention_is_quoted(mention):
    sent = unmention(f"ask {mention} or mail admin@UAT.example")
    assert "@U123" not in sent + fallback(sent) and "mail admin@UAT.example" in sent
