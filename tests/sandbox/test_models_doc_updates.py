"""The demo model finds the document that holds the words, and proposes others in their place."""

import json

import pytest

from sandbox.models.chat import ChatMessage, ChatRequest, ToolCall, ToolSpec
from sandbox.models.docs import draft_answer
from sandbox.models.intents import find_intent
from sandbox.models.planner import plan

SEARCH = ToolSpec("search_docs", "Search.", {"properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}})
UPDATE = ToolSpec(
    "update_doc", "Update.", {"properties": {name: {"type": "string"} for name in ("identifier", "edits", "reason")}}
)
ASKED = 'update the docs: replace "four hours" with "two hours"'
PLACE = {"source": "https://g.example/a/b/blob/main/docs/x.md#L3-L9", "title": "X", "text": "for at most four hours"}
NOWHERE = {"results": [{**PLACE, "text": "other words"}]}


def ask(question, *results, tools=(SEARCH, UPDATE)):
    """The plan after some results, given as (tool, result)."""
    messages = [ChatMessage("human", question)]
    for number, (name, result) in enumerate(results):
        call = ToolCall(name, "{}", f"c{number}")
        text = result if isinstance(result, str) else json.dumps(result)
        messages += [ChatMessage("ai", "", (call,)), ChatMessage("tool", text, (), f"c{number}")]
    return plan(ChatRequest("offline-demo", tuple(messages), tools))


def test_the_words_are_looked_for_and_replaced_where_they_stand():
    [call] = ask(ASKED).tool_calls
    assert (call.name, call.args()["query"]) == ("search_docs", "four hours")
    [call] = ask(ASKED, ("search_docs", {"results": [PLACE]})).tool_calls
    args = call.args()
    assert call.name == "update_doc" and args["identifier"] == "https://g.example/a/b/blob/main/docs/x.md"
    assert args["edits"] == [{"find": "four hours", "replace": "two hours"}] and ASKED.split(":")[1] in args["reason"]
    opened = {"pull_request": "https://g.example/a/b/pull/7", "number": 7}
    text = ask(ASKED, ("search_docs", {"results": [PLACE]}), ("update_doc", opened)).text
    assert "[pull request #7](https://g.example/a/b/pull/7)" in text


def test_words_that_stand_nowhere_are_looked_for_once_more_and_then_said_to():
    [call] = ask(ASKED, ("search_docs", NOWHERE)).tool_calls
    assert call.args()["query"] == ASKED
    assert "no document that says “four hours”" in ask(ASKED, ("search_docs", NOWHERE), ("search_docs", NOWHERE)).text


def test_what_cannot_be_done_is_said_in_words():
    assert "which words to put in place of which" in ask("update the docs: the freeze begins at noon").text
    refused = ask(ASKED, ("search_docs", {"results": [PLACE]}), ("update_doc", "Error: rejected by a person"))
    assert "rejected by a person" in refused.text
    assert "`update_doc`, which is not offered" in ask(ASKED, tools=(SEARCH,)).text


@pytest.mark.parametrize("question", ["how do I update the docs?", "who changed the deploy?", "search the docs"])
def test_other_questions_are_no_updates(question):
    assert find_intent(question) != "update"


def test_an_answer_out_of_passages_keeps_to_the_line_that_has_the_questions_words():
    lines = {"1": "# Access", "2": "Ask in #help for cluster access. It expires.", "3": "Nothing else."}
    rows = [{"question": "How do I get access to the cluster?"}, {"id": "d1", "title": "A", "lines": lines}]
    place = {"source": "d1", "first_line": 2, "last_line": 2, "code": None}
    told = draft_answer("\n".join(map(json.dumps, rows)))
    assert told == {
        "sentences": [{"text": "Ask in #help for cluster access.", **place}, {"text": "It expires.", **place}]
    }
    rows[0]["question"] = "How do I book a flight to Lisbon?"
    assert draft_answer("\n".join(map(json.dumps, rows))) == {"sentences": []}
