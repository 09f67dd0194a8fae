"""The demo model answers how-to questions from documentation, and the sandbox shows the lines that it links."""

import json

import httpx2
import pytest

from sandbox.demo_data import DOCS
from sandbox.models.chat import ChatMessage, ChatRequest, ToolCall, ToolSpec
from sandbox.models.intents import find_intent
from sandbox.models.planner import plan
from sandbox.server import open_sandbox

TEXT = DOCS.joinpath("payments-operations.md").read_text()
LINK = "http://127.0.0.1:1/docs/payments-operations.md#L1-L17"
SEARCH = ToolSpec("search_docs", "Search the documentation.", {"properties": {"query": {"type": "string"}}})
MESSAGES = ToolSpec("search_messages", "Search.", {"properties": {"query": {"type": "string"}}})


def ask(question, *results, tools=(SEARCH, MESSAGES)):
    messages = [ChatMessage("human", question)]
    for number, result in enumerate(results):
        call = ToolCall("search_docs", json.dumps({"query": question}), f"c{number}")
        messages += [ChatMessage("ai", "", (call,)), ChatMessage("tool", json.dumps(result), (), f"c{number}")]
    return plan(ChatRequest("offline-demo", tuple(messages), tools))


def passage(text=TEXT, source=LINK):
    return {"source": source, "title": "Payments operations", "section": "The queue is old", "text": text}


@pytest.mark.parametrize(
    "question",
    [
        "how do I redrive the payments queue?",
        "How can we get access to production?",
        "how to silence an alert",
        "what do the docs say about failover?",
        "is there documentation on rotating certificates?",
        "what is the process for a major incident?",
        "where is the runbook for payments",
        "what is our deploy freeze policy",
    ],
)
def test_a_how_to_question_is_looked_up_in_the_documentation(question):
    [call] = ask(question).tool_calls
    assert (call.name, call.args()) == ("search_docs", {"query": question})


@pytest.mark.parametrize(
    "question",
    [
        "how did we fix HighErrorRate last time?",
        "how do I fix checkout errors?",
        "which alerts fired most in #ops-alerts this week?",
        "what is going on with payments right now?",
        "how many alerts fired?",
    ],
)
def test_other_questions_are_not(question):
    assert find_intent(question) != "docs"


def test_without_that_tool_the_messages_are_searched():
    [call] = ask("how do I redrive the payments queue?", tools=(MESSAGES,)).tool_calls
    assert call.name == "search_messages"


def test_the_lines_that_answer_are_quoted_below_their_heading_with_the_link():
    text = ask("how do I redrive poison messages?", {"results": [passage()], "note": None}).text
    assert f"[payments-operations.md#L1-L17]({LINK})" in text
    assert "> ## The queue is old" in text and "never purge that queue, redrive it" in text
    assert "service: payments" not in text
    quoted = [line[2:] for line in text.splitlines() if line.startswith("> ")]
    assert sum(line.startswith("```") for line in quoted) % 2 == 0
    assert all(line in TEXT for line in quoted if line not in ("```", "…"))


def test_what_is_no_address_in_a_browser_is_named_only():
    text = ask("how do I redrive?", {"results": [passage(source="docs://runbooks/a.md#L1-L2")], "note": None}).text
    assert "`docs://runbooks/a.md#L1-L2`" in text and "](docs" not in text


def test_what_the_documentation_does_not_cover_is_said_in_the_tools_words():
    nothing = {"results": [], "note": "The documentation does not cover this."}
    [again] = ask("how do I book a flight?", nothing).tool_calls
    assert again.args() == {"query": "book flight operations"}
    text = ask("how do I book a flight?", nothing, nothing).text
    assert text.startswith("The documentation does not cover this.") and "http" not in text


def test_the_next_places_are_shown_in_words():
    texts = [
        "---\ntitle: A\n---\n\n# A\n\n```\nrm -rf\n```\n\nAsk first.",
        "# B\n\n- Run `" + "x " * 80 + "` now",
    ]
    found = [passage(), *(passage(text, f"https://x.example/{n}") for n, text in enumerate(texts))]
    lines = ask("how do I redrive?", {"results": found, "note": None}).text.splitlines()
    first, second = (line for line in lines if line.startswith("- "))
    assert first.endswith(": Ask first.") and "---" not in first
    assert "Run x x" in second and "`" not in second


async def test_the_sandbox_shows_each_line_of_a_document_and_nothing_else():
    async with open_sandbox() as sandbox, httpx2.AsyncClient(base_url=sandbox.url) as web:
        page = await web.get("/docs/payments-operations.md")
        assert page.status_code == 200 and page.text.count("<li>") == len(TEXT.split("\n"))
        assert "<li># Payments operations</li>" in page.text
        assert "payments-operations.md" in (await web.get("/docs")).text
        for name in ("../users.yaml", "..%2fusers.yaml", "%2e%2e/users.yaml", "gone.md", "*.md"):
            assert (await web.get(f"/docs/{name}")).status_code == 404, name
