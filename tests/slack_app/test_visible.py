"""What a person sees of a message."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slack_app.visible import LONGEST, visible_text


def rich(*elements):
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(elements)}]}


def said(text):
    return {"type": "text", "text": text}


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        ({"text": "down"}, "down"),
        ({"text": "a &lt;b&gt; &amp; c"}, "a <b> & c"),
        ({"text": None}, ""),
        (
            {
                "text": "",
                "attachments": [
                    {
                        "fallback": "never shown",
                        "pretext": "before",
                        "author_name": "monitor",
                        "title": "[FIRING:1] DiskFull",
                        "text": "93 % of /data",
                        "fields": [{"title": "Service", "value": "checkout"}, {"value": "alone"}],
                        "footer": "prometheus",
                    }
                ],
            },
            "before\nmonitor\n[FIRING:1] DiskFull\n93 % of /data\nService: checkout\nalone\nprometheus",
        ),
        ({"attachments": [{"fallback": "only this"}]}, "only this"),
        ({"attachments": [{"blocks": [{"type": "section", "text": said("inside")}]}]}, "inside"),
        (
            {
                "text": "the same as the blocks",
                "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "the same as  the blocks"}}],
            },
            "the same as  the blocks",
        ),
        (
            {
                "text": "much longer than what the only block says",
                "blocks": [{"type": "header", "text": said("short")}],
            },
            "much longer than what the only block says\nshort",
        ),
        (
            {
                "blocks": [
                    {"type": "header", "text": said("Title")},
                    {"type": "divider"},
                    {
                        "type": "section",
                        "fields": [{"type": "mrkdwn", "text": "*a* 1"}, {"type": "mrkdwn", "text": "b 2"}],
                    },
                    {"type": "context", "elements": [{"type": "image"}, {"type": "plain_text", "text": "since 9:30"}]},
                    {"type": "image", "alt_text": "a graph"},
                    {"type": "markdown", "text": "**bold**"},
                    {"type": "actions", "elements": [{"type": "button", "text": said("Silence")}]},
                ]
            },
            "Title\n*a* 1\nb 2\nsince 9:30\na graph\n**bold**",
        ),
        (
            {
                "blocks": [
                    rich(
                        said("ask "),
                        {"type": "user", "user_id": "U1"},
                        said(" in "),
                        {"type": "channel", "channel_id": "C1"},
                        said(" "),
                        {"type": "link", "url": "https://a.example", "text": "here"},
                        said(" "),
                        {"type": "link", "url": "https://b.example"},
                        {"type": "emoji", "name": "fire"},
                    )
                ]
            },
            "ask <@U1> in <#C1> <https://a.example|here> https://b.example:fire:",
        ),
        (
            {
                "blocks": [
                    {
                        "type": "rich_text",
                        "elements": [
                            {
                                "type": "rich_text_list",
                                "elements": [
                                    {"type": "rich_text_section", "elements": [said("one")]},
                                    {"type": "rich_text_section", "elements": [said("two")]},
                                ],
                            },
                            {"type": "rich_text_preformatted", "elements": [said("kubectl get pods")]},
                        ],
                    }
                ]
            },
            "one\ntwo\nkubectl get pods",
        ),
        (
            {
                "blocks": [
                    {
                        "type": "table",
                        "rows": [
                            [{"type": "raw_text", "text": "pod"}, {"type": "raw_text", "text": "state"}],
                            [rich(said("x-7f9c")), {"type": "raw_text", "text": "OOMKilled"}],
                        ],
                    }
                ]
            },
            "pod | state\nx-7f9c | OOMKilled",
        ),
        (
            {
                "text": "see",
                "files": [{"name": "graph.png", "mimetype": "image/png"}, {"title": "notes"}, {}, "odd"],
            },
            "see\n[file: graph.png (image/png)]\n[file: notes (?)]\n[file: unnamed (?)]",
        ),
        ({"text": "a\x00b"}, "ab"),
    ],
)
def test_a_message_is_flattened_to_the_lines_that_slack_shows(message, seen):
    assert visible_text(message) == seen


def test_a_message_is_never_longer_than_the_database_takes():
    assert len(visible_text({"text": "x" * (LONGEST + 1)})) == LONGEST


def test_blocks_nested_without_end_are_read_to_a_depth():
    element = said("deep")
    for _ in range(1000):
        element = {"type": "rich_text_section", "elements": [element]}
    assert visible_text({"blocks": [rich(element)], "text": "top"}) == "top"


WORDS = ["text", "blocks", "elements", "fields", "rows", "attachments", "files", "type", "title", "name", "url"]
KINDS = ["rich_text", "table", "section", "context", "link", "user", "rich_text_list", "text"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(KINDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(WORDS), ANYTHING))
def test_no_shape_of_a_message_is_an_error(message):
    assert isinstance(visible_text(message), str)
