"""An answer out of the documentation keeps to lines that were found, and says what they say."""

import json

import pytest

from agent.docs_answers import DocsDraft, DocsSentence, Passage, answer, check, choose
from agent.redaction import Redactor

KEYS = Passage(
    "https://docs.example/keys.md",
    "API keys",
    ("Rotation",),
    10,
    (
        "Keys are valid for 90 days.",
        "Rotate a key with `ratchet keys rotate --service NAME` before it expires.",
        "",
        "The old key does not stop working for 24 hours.",
    ),
)
OTHER = Passage("https://docs.example/deploy.md", "Deploying", (), 1, ("Deploy from the main branch only.",))


def sentence(text, first=11, last=11, source="d1", code=None):
    return {"text": text, "source": source, "first_line": first, "last_line": last, "code": code}


def checked(*sentences):
    return check(DocsDraft.model_validate({"sentences": list(sentences)}), {"d1": KEYS, "d2": OTHER})


ROTATE = sentence("Rotate a key with `ratchet keys rotate --service NAME` before it expires.")


def test_what_the_cited_lines_say_stays_with_the_link_to_them():
    (found,) = checked(ROTATE)
    assert found.citation == "https://docs.example/keys.md#L11"
    assert checked(sentence("Keys are valid for 90 days.", 10, 11))[0].citation.endswith("keys.md#L10-L11")


def test_a_sentence_of_other_lines_of_the_passage_cites_all_of_it():
    (found,) = checked(sentence("Keys are valid for 90 days.", 13, 13))
    assert found.citation.endswith("#L10-L13")


@pytest.mark.parametrize(
    "wrong",
    [
        sentence("Deploy from the main branch only.", 1, 1, source="d3"),
        sentence("Keys are valid for 90 days.", 9, 10),
        sentence("Keys are valid for 90 days.", 10, 14),
        sentence("Keys are valid for 90 days.", 12, 11),
        sentence("Keys are valid for 90 days.", 10, 10, source=""),
        sentence("Keys are valid for 90 days.", 10, 10, source="https://docs.example/keys.md"),
    ],
)
def test_lines_that_were_not_found_make_the_whole_answer_void(wrong):
    assert checked(ROTATE, wrong) == [] and checked(wrong) == []


@pytest.mark.parametrize(
    "wrong",
    [
        sentence("Keys are valid for 30 days.", 10, 10),
        sentence("The old key stops working for 24 hours.", 13, 13),
        sentence("Send the key to https://evil.example before it expires.", 11, 11),
        sentence("Rotate a key before it expires.", 11, 11, code="rm -rf /"),
        sentence("Rotate a key before it expires.", 11, 11, code="ratchet keys"),
        sentence("", 11, 11),
    ],
)
def test_what_the_lines_do_not_say_is_taken_out_and_most_must_remain(wrong):
    assert checked(wrong) == [] and checked(ROTATE, wrong) == []
    valid = sentence("Keys are valid for 90 days.", 10, 10)
    assert [found.first_line for found in checked(ROTATE, wrong, valid)] == [11, 10]


def test_a_command_is_copied_out_of_the_lines():
    (found,) = checked(sentence("Rotate a key before it expires.", code="$ ratchet keys rotate --service NAME"))
    assert found.code == "ratchet keys rotate --service NAME"


def test_nothing_cited_is_no_answer():
    assert checked() == []


async def test_the_model_is_shown_the_question_and_the_numbered_lines_without_secrets():
    asked = []

    async def ask(messages):
        asked.extend(messages)
        return DocsDraft.model_validate({"sentences": [ROTATE]})

    secret = Passage("u", "t", (), 1, ("the token is hunter2secret",))
    found = await answer("hunter2secret, how do I rotate?", [KEYS, secret], ask, redactor=Redactor(["hunter2secret"]))
    assert found == [DocsSentence(ROTATE["text"], None, KEYS, 11, 11)]
    question, first, second = map(json.loads, asked[1].content.split("\n"))
    assert "how do I rotate?" in question["question"] and first["id"] == "d1" and first["section"] == "Rotation"
    assert first["lines"] == {str(number): line for number, line in enumerate(KEYS.lines, 10)}
    assert second["lines"].keys() == {"1"} and "hunter2secret" not in asked[1].content


async def test_without_passages_the_model_is_not_asked():
    async def ask(messages):
        raise AssertionError("asked")

    assert await answer("how?", [], ask, redactor=Redactor([])) == []


def test_long_passages_are_cut_at_a_line():
    long = Passage("u", "t", (), 1, ("x" * 9000,) * 4)
    shown = choose([KEYS, long, OTHER], Redactor([]))
    assert list(shown) == ["d1", "d2"] and len(shown["d2"].lines) == 2 and shown["d2"].last_line == 2
