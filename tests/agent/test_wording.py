"""Tool calls and their results in plain words."""

import json

import pytest
from langchain_core.tools import tool

from agent.wording import LONGEST_TITLE, LONGEST_VALUE, name_call, name_outcome
from tools.registry import build_catalogue


@tool(extras={"effect": "read", "doing": "Looking for {what|everything}[ in {place}][ since {since}]"})
async def look_for(what: str = "", place: str = "", since: str = "") -> str:
    """Look for something."""
    return what


@tool(extras={"effect": "read", "outcome": "{hits} of {total}"})
async def plain_tool(word: str) -> str:
    """Do something."""
    return word


TOLD, SILENT = build_catalogue([("test", look_for), ("test", plain_tool)])


@pytest.mark.parametrize(
    ("args", "title"),
    [
        ({"what": "OOMKilled", "place": "#ops", "since": "7d"}, "Looking for OOMKilled in #ops since 7d"),
        ({"what": "OOMKilled", "since": ""}, "Looking for OOMKilled"),
        ({"what": None}, "Looking for everything"),
        ({"what": ["a", "list"], "place": {"an": "object"}}, "Looking for everything"),
        ({"what": "two\nlines \u202eand\x00more"}, "Looking for two lines and more"),
        ({"what": "{place}[x]", "place": "{what}"}, "Looking for {place}[x] in {what}"),
    ],
)
def test_a_call_is_named_by_its_tool_with_the_arguments_that_are_there(args, title):
    assert name_call(TOLD, "look_for", args) == title


def test_a_call_of_another_tool_is_named_by_the_tool():
    assert name_call(SILENT, "plain_tool", {"word": "x"}) == "Running plain_tool(word: x)"
    assert name_call(None, "deploys__list", {}) == "Running deploys__list"


def test_long_arguments_and_names_are_cut():
    title = name_call(TOLD, "look_for", {"what": "x" * 500, "place": "y" * 500})
    assert title == f"Looking for {'x' * (LONGEST_VALUE - 1)}… in {'y' * (LONGEST_VALUE - 1)}…"
    assert len(name_call(None, "z" * 500, {})) == LONGEST_TITLE


def test_what_a_result_calls_its_things_is_cut_and_stands_on_one_line():
    outcome = name_outcome(None, json.dumps({"one\n\ntwo" + "z" * 500: [1, 2]}))
    assert outcome.startswith("2 one twoz") and len(outcome) == LONGEST_TITLE


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"total": 14, "messages": [1, 2]}, "14 hits"),
        ({"channels": [1], "note": None}, "1 channel"),
        ({"open_incidents": [1, 2, 3], "questions": [1]}, "3 open incidents"),
        ({"total": 0}, "nothing found"),
        ([1, 2], "2 results"),
        ([], "nothing found"),
        ({"answer": "yes"}, ""),
        ({"total": True}, ""),
        ("words", ""),
    ],
)
def test_a_result_says_how_much_was_found(result, words):
    assert name_outcome(TOLD, json.dumps(result)) == words


def test_a_tool_may_say_what_of_its_result_counts():
    assert name_outcome(SILENT, json.dumps({"hits": [1, 2], "total": 9})) == "2 of 9"
    assert name_outcome(SILENT, "no JSON") == ""
