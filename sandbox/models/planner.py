"""Answers the demo's questions without a language model: plain questions are mapped to the tools on offer.

Every answer says so in its closing line. The plan is worked out anew from the conversation at each request, so
a turn that is resumed goes on where it was.
"""

import json
import re

from sandbox.models import docs
from sandbox.models.answers import answer_unknown, show_error
from sandbox.models.chat import ChatRequest, Reply, ToolCall, Turn
from sandbox.models.citations import cite
from sandbox.models.questions import Ask, clean, read_ask, read_now
from sandbox.models.recipes import RECIPES, Call, Kitchen, Next
from sandbox.models.runbooks import draft_runbook, is_runbook
from sandbox.models.structured import fill_schema
from sandbox.models.toolmatch import KNOWN, fill_arguments, match_tool

CLOSING = "_Offline demo model: I match plain questions to tools; connect a real model for reasoning._"
_STRONG = frozenset({"help", "thread", "channels", "usage", "report", "handoff", "alerts", "fix", "docs", "update"})
_SUMMARISE = re.compile(r"^\s*summari[sz]e\b", re.IGNORECASE)


def plan(request: ChatRequest) -> Reply:
    """The next response of the demo model: tool calls, or the answer."""
    turns = request.turns()
    turn = turns[-1] if turns else Turn("")
    question = clean(turn.question)
    if request.forced_tool:
        return _forced(request, turn)
    if request.schema is not None and is_runbook(request.schema):
        return Reply(json.dumps(draft_runbook(request)))
    if request.schema is not None and docs.is_draft(request.schema):
        return Reply(json.dumps(docs.draft_answer(request.humans[-1] if request.humans else "")))
    if request.schema is not None:
        return Reply(json.dumps(fill_schema(request.schema, _evidence(request, turn))))
    if not request.tools and not turn.results and _SUMMARISE.match(turn.question) and "\n" in turn.question:
        return _say(_digest(turn.question))
    ask = read_ask(request, turns)
    kitchen = Kitchen({tool.name: tool for tool in request.tools}, turn.results, read_now(request))
    step = _next(request, ask, question, kitchen)
    if isinstance(step, list):
        return _calls(request, step)
    if request.must_call and not turn.results:
        tool = next((tool for tool in request.tools if tool.name not in KNOWN), request.tools[0])
        return _calls(request, [(tool.name, fill_arguments(tool, question))])
    lead = (
        "I stopped at a limit of this turn; this is what I have so far, the rest is unchecked.\n" if turn.note else ""
    )
    results = {result.reference: result.text for result in kitchen.results if result.reference}
    return _say(lead + cite(step, results))


def _next(request: ChatRequest, ask: Ask, question: str, kitchen: Kitchen) -> Next:
    """The next calls, or the answer: a tool that the question names, else the recipe, else another tool that fits."""
    others = [result for result in kitchen.results if result.name not in KNOWN]
    if others:
        failed = others[-1].text.lower().startswith("error")
        return show_error(others[-1]) if failed else answer_unknown(others[-1])
    if not kitchen.results and (match := match_tool(question, request.tools)):
        tool, named = match
        if named or not (ask.explicit and ask.intent in _STRONG):
            return [(tool.name, fill_arguments(tool, question))]
    if not kitchen.tools and not kitchen.results and ask.intent != "help":
        return "No tools are offered to me and nothing was looked up yet, so I cannot answer that."
    return RECIPES[ask.intent](ask, kitchen)


def _calls(request: ChatRequest, calls: list[Call]) -> Reply:
    chosen = calls if request.parallel else calls[:1]
    return Reply(
        tool_calls=tuple(
            ToolCall(name, json.dumps(args), request.call_id(position)) for position, (name, args) in enumerate(chosen)
        )
    )


def _say(text: str) -> Reply:
    return Reply(f"{text}\n\n{CLOSING}")


def _forced(request: ChatRequest, turn: Turn) -> Reply:
    """A call of the tool that `tool_choice` names: clients ask for structured output that way too."""
    tool = next((tool for tool in request.tools if tool.name == request.forced_tool), None)
    if tool is None:
        return _say(f"The tool `{request.forced_tool}` is demanded but not offered.")
    args = fill_schema(tool.parameters, _evidence(request, turn))
    return _calls(request, [(tool.name, args)])


def _evidence(request: ChatRequest, turn: Turn) -> str:
    """The texts that a schema is filled from."""
    asked = turn.question if not turn.question.startswith("Earlier in this thread:") else clean(turn.question)
    return "\n".join([asked, *(result.text for result in turn.results)]) or request.system


def _digest(text: str) -> str:
    """A transcript cut down to its questions and the beginnings of their answers."""
    kept = [
        line[:240]
        for line in text.splitlines()[1:]
        if re.match(r"(?:User|Human|Agent|Assistant|AI|Asked|Answered):", line) and CLOSING not in line
    ]
    return "\n".join(kept[-40:]) or "The text holds no questions or answers that I can list."
