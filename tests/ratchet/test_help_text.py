"""What Ratchet writes in help channels links to its sources only and notifies nobody but the owner."""

import pytest
from markdown_it import MarkdownIt

from agent.docs_answers import DocsSentence, Passage
from ratchet.help_channels.text import show_answer, show_nudge, show_proposal

URL = "https://docs.example/keys (1).md"


def said(text="Rotate a key.", code=None, *, url=URL, title="API keys", headings=("Rotation",), first=3, last=9):
    return DocsSentence(text, code, Passage(url, title, headings, 1, ("x",) * 20), first, last)


def links(markdown):
    tokens = [child for token in MarkdownIt().parse(markdown) for child in token.children or []]
    return [token.attrs["href"] for token in tokens if token.type == "link_open"]


def test_each_sentence_cites_its_lines_and_the_sources_are_listed_once():
    text, blocks = show_answer([said(), said("Twice."), said("Then wait.", first=12, last=12)], "1.5")
    three, twelve = "https://docs.example/keys%20%281%29.md#L3-L9", "https://docs.example/keys%20%281%29.md#L12"
    assert links(text) == [three, three, twelve, three, twelve]
    assert "1. [API keys › Rotation, lines 3 to 9]" in text and "2. [API keys › Rotation, line 12]" in text
    assert "by myself" in text
    (actions,) = [block for block in blocks if block["type"] == "actions"]
    assert [(b["action_id"], b["value"]) for b in actions["elements"]] == [
        ("docs_helpful", "1.5"),
        ("docs_unhelpful", "1.5"),
    ]


def test_a_document_without_an_address_is_named_with_its_lines():
    text, _ = show_answer([said(url="docs/keys.md")], "1.5")
    assert "Rotate a key. (1)" in text and "`docs/keys.md#L3-L9`" in text and links(text) == []


@pytest.mark.parametrize(
    "hostile", ["[click](https://evil.example)", "a ` b [x](https://evil.example)", "<https://evil.example>"]
)
def test_nothing_in_an_answer_makes_another_link(hostile):
    text, _ = show_answer([said(f"Rotate {hostile}", title=hostile, headings=(hostile,))], "1.5")
    assert {link.partition("#")[0] for link in links(text)} == {"https://docs.example/keys%20%281%29.md"}


@pytest.mark.parametrize("code", ["a\nb", "a ``` b", "[x](https://evil.example)", "```\n[x](https://evil.example)"])
def test_a_command_stands_in_a_fence_of_its_own(code):
    text, _ = show_answer([said(code=code), said("Then wait.")], "1.5")
    fences = [token.content for token in MarkdownIt().parse(text) if token.type == "fence"]
    assert fences == [code + "\n"] and "Then wait." in text


def test_an_answer_mentions_nobody():
    assert "<@U" not in show_answer([said("Ask <@U123ABC> first.")], "1.5")[0]


def test_the_owner_is_addressed_as_what_they_are():
    assert show_nudge(4, user_id="U1")[0].startswith("<@U1>, nobody has answered this question in 4 hours.")
    text, blocks = show_nudge(1, group_id="S1")
    assert "1 hour." in text and "<!subteam^S1>" in blocks[0]["text"]["text"]
    assert show_nudge(1.5, name="@platform")[0].startswith("@platform, nobody has answered this question in 1.5 hours.")


def test_a_proposal_has_one_button_for_its_question():
    _, (actions,) = show_proposal("1.5")
    assert [(b["action_id"], b["value"]) for b in actions["elements"]] == [("docs_draft_update", "1.5")]
