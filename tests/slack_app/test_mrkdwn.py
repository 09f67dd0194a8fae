"""Texts made harmless."""

import re

import pytest

from slack_app.mrkdwn import compose, fallback, neutralise, unmention

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
        r"\`<!here>`",
        "`<!here>",
        "``<!here>`",
        "```\n<!here>",
        "[x](`y) `<!here>",
    ],
)
def test_nobody_is_notified_in_a_mass(mention):
    sent = neutralise(f"hey {mention} look")
    assert not LIVE.search(sent) and not LIVE.search(fallback(sent)) and not LIVE.search(fallback(sent, 40_000))
    assert "look" in fallback(sent)


@pytest.mark.parametrize("text", ["```<!here>\nx\n```", "```\n<!here>", "- a\n\n    <!here>", "a\n    <!here>"])
def test_what_only_looks_like_code_is_none(text):
    assert neutralise(text) == text.replace("<!", "<!\u2060")


DIFF = "-![a graph](https://x.example/a.png) @here\n+<!channel> ![b][r] <@U123> &lt;!here>"


@pytest.mark.parametrize(
    "code",
    [
        f"```diff\n{DIFF}\n```",
        f"````\n```\n{DIFF}\n````",
        f"~~~\n{DIFF}\n~~~",
        "- a:\n  ```\n  +<!here>\n  ```",
        "> ```\n> +<!here>\n> ```",
        f"a\n\n{''.join(f'    {line}' for line in DIFF.splitlines(keepends=True))}\n\nb",
        "say `<!channel>`, ``![`x`](y)`` or `@here`, to `<@U123>`",
        "say `a\n@here` there",
        "| a | b |\n| - | - |\n| `@here` | `<@U123>` |",
    ],
)
def test_code_is_shown_as_it_is_and_only_the_plain_text_is_changed(code):
    text = f"<!here> ![x](https://x.example)\n\n{code}\n\n@channel"
    assert neutralise(text) == f"<!\u2060here> [x](https://x.example)\n\n{code}\n\n@\u2060channel"
    assert unmention(code) == code.replace("<@U", "<@\u2060U")  # people are not notified out of code either
    for plain in (False, True):
        shown = compose(text, plain=plain)["text"]
        assert not LIVE.search(shown) and "@U123" not in shown


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
    assert fallback("word " * 5000) == "word " * 599 + "word"
    assert fallback("x" * 2990 + " <https://a.example/b?c=d> y") == "x" * 2990
    assert fallback("  ") == fallback("\u200b\u2060") == "…"


def test_what_renders_to_nothing_is_shown_as_it_was_written():
    assert fallback("[a]: https://a.example") == "[a]: https://a.example"


def test_a_message_has_its_markdown_above_its_blocks_or_is_plain_text():
    below = {"type": "divider"}
    assert compose("**a** <!here>", [below]) == {
        "text": fallback("**a** <!here>"),
        "blocks": [{"type": "markdown", "text": "**a** <!\u2060here>"}, below],
    }
    assert compose("**a**", [below], plain=True) == {"text": fallback("**a**"), "blocks": None}
    assert compose("\u200b")["blocks"] == [{"type": "markdown", "text": "…"}]


@pytest.mark.parametrize("mention", ["<@U123>", "<@W123|anna>", "‹@U123>", "&lt;@U123&gt;", "<\\@U123>", "<&#64;U123>"])
def test_a_person_is_not_notified_where_their_mention_is_quoted(mention):
    sent = unmention(f"ask {mention} or mail admin@UAT.example")
    assert "@U123" not in sent + fallback(sent) and "mail admin@UAT.example" in sent
