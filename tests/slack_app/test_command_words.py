"""A command is a whole message; anything else is a question."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_app.command_words import LONGEST, CommandCall, is_stop, parse

NAMES = ["help", "reset", "session", "stop", "tools"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", ["{}", "/{}", " {} ", "{}!", "`{}`", "`/{}`", "{}?", "\n{}\n"])
def test_each_name_is_a_command_with_or_without_a_slash(name, shape):
    for words in (name, name.upper(), name.title()):
        assert parse(shape.format(words)) == CommandCall(name)


@pytest.mark.parametrize(
    ("words", "argument"),
    [
        ("why can't you restart pods here?", "restart pods here"),
        ("Why can’t you restart `payments-API` here?", "restart payments-API here"),
        ("/why can't you do that", "do that"),
        ("why cannot you do that", "do that"),
        ("why can you not do that", "do that"),
        ("why can't you", ""),
        ("why update_doc", "update_doc"),
        ("why `deploys__restart_pod`?", "deploys__restart_pod"),
        ("why `deploys-eu__restart-pod`?", "deploys-eu__restart-pod"),
        ("/why", ""),
    ],
)
def test_why_takes_what_follows_it(words, argument):
    assert parse(words) == CommandCall("why", argument)


@pytest.mark.parametrize(
    "question",
    [
        "", "/", "why?", "why is the api slow?", "why can't we deploy?", "why can't your deploys work", "why not",
        "why are you slow", "why restart", "why re-deploy", "why update_doc is slow", "help me", "help reset", "reset my password",
        "stop the deploy", "what tools are there?", "session timeout in checkout", "//help", "helpful", "resets",
    ],
)  # fmt: skip
def test_anything_else_is_a_question(question):
    assert parse(question) is None


def test_a_long_message_is_a_question_whatever_it_begins_with():
    assert parse("why can't you " + "x" * LONGEST) is None


@given(st.text())
def test_no_text_breaks_it_and_only_why_has_an_argument(text):
    for words in (text, f"why can't you {text}", f"/{text}"):
        call = parse(words)
        assert call is None or call.name == "why" or not call.argument
        assert is_stop(words) == (call == CommandCall("stop"))
