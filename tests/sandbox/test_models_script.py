from typing import Any

import pytest

from sandbox.models.chat import ChatMessage, ChatRequest, ModelFailure, Reply, ToolCall, ToolSpec
from sandbox.models.script import Script

TOOL = ToolSpec("look", "Look.", {"type": "object", "properties": {}})
ASKED = ChatMessage("human", "what?")
CALL = ToolCall("look", "{}", "call_1")


def ask(script: Script, *messages: ChatMessage, tools: tuple[ToolSpec, ...] = (TOOL,), **options: Any) -> Reply:
    return script.answer(ChatRequest(options.pop("model", "m"), messages, tools=tools, **options))


def scripted(*steps: dict[str, Any], match: str = "what", **rule: Any) -> Script:
    script = Script()
    script.replace([{"match": match, "steps": list(steps), **rule}])
    return script


def test_a_missing_rule_is_seen() -> None:
    assert ask(Script(), ASKED).text == "(script) no rule for: what?"


def test_the_step_follows_from_the_conversation_so_a_replay_gets_the_same() -> None:
    script = scripted({"tool_calls": [{"name": "look"}]}, {"text": "seen {tool[0]}"})
    after = (ASKED, ChatMessage("ai", "", (CALL,)), ChatMessage("tool", "a cat", tool_call_id="call_1"))
    for _ in range(2):
        assert ask(script, ASKED).tool_calls[0].name == "look"
        assert ask(script, *after).text == "seen a cat"
    end = ask(script, *after, ChatMessage("ai", "seen a cat"))
    assert end.text == "(script) no step 3 for: what?"


def test_the_last_step_can_repeat_for_ever() -> None:
    script = scripted({"text": "first"}, {"text": "again", "repeat": True})
    said = (ChatMessage("ai", "x"),) * 7
    assert ask(script, ASKED, *said).text == "again"


def test_placeholders_are_filled_in_text_and_arguments() -> None:
    call = {"name": "look", "args": {"deep": [{"at": "{human}"}], "count": 3}}
    script = scripted({"tool_calls": [call]}, {"text": "{history} {system} {tools} {tool[-1]} {tool[5]} {other}"})
    messages = (ChatMessage("system", "be brief"), ChatMessage("human", "hi"), ChatMessage("ai", "hello"), ASKED)
    assert ask(script, *messages).tool_calls[0].args() == {"deep": [{"at": "what?"}], "count": 3}
    result = ChatMessage("tool", "seen", tool_call_id="call_1")
    text = ask(script, *messages, ChatMessage("ai", "", (CALL,)), result).text
    assert text == "1 be brief seen seen (script) no result 5 {other}"


def test_a_call_is_not_made_when_no_tools_are_offered() -> None:
    script = scripted({"tool_calls": [{"name": "look"}]})
    assert ask(script, ASKED, tools=()).text == "(script) asked to answer without tools"


def test_an_instruction_after_results_is_no_new_question() -> None:
    script = scripted({"tool_calls": [{"name": "look"}]}, {"text": "so far: {tools}"})
    messages = (ASKED, ChatMessage("ai", "", (CALL,)), ChatMessage("tool", "a cat", tool_call_id="call_1"))
    assert ask(script, *messages, ChatMessage("human", "Answer now."), tools=()).text == "so far: a cat"
    script.replace([{"match": "Answer now", "steps": [{"text": "stopped"}]}])
    assert ask(script, *messages, ChatMessage("human", "Answer now."), tools=()).text == "stopped"


def test_faults_are_counted_for_each_conversation() -> None:
    script = scripted({"error": 503, "times": 2, "retry_after": 1}, {"text": "up"})
    other = ChatMessage("human", "what else?")
    for message in (ASKED, ASKED, other, other):
        with pytest.raises(ModelFailure) as caught:
            ask(script, ChatMessage("system", f"now {id(message)}"), message)
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
    assert ask(script, ASKED).text == ask(script, other).text == "up"


def test_faults_can_stand_between_steps_and_follow_each_other() -> None:
    steps: list[dict[str, Any]] = [{"text": "one"}, {"error": 500}, {"drop_stream_after": 2}, {"text": "two"}]
    script = scripted(*steps)
    assert ask(script, ASKED).text == "one"
    said = ChatMessage("ai", "one")
    with pytest.raises(ModelFailure):
        ask(script, ASKED, said)
    assert ask(script, ASKED, said).drop_after == 2
    assert ask(script, ASKED, said) == Reply("two")


def test_an_error_can_last_for_ever() -> None:
    script = scripted({"error": 500, "repeat": True})
    for _ in range(5):
        with pytest.raises(ModelFailure):
            ask(script, ASKED)


def test_empty_and_malformed_responses() -> None:
    broken = {"malformed_tool_call": {"name": "look", "arguments": "{"}}
    assert ask(scripted({"empty": True}), ASKED) == Reply()
    assert ask(scripted(broken), ASKED).tool_calls[0].arguments == "{"


def test_rules_can_be_for_one_model() -> None:
    script = Script()
    steps = [{"text": "small"}]
    script.replace([{"match": ".", "model": "mini$", "steps": steps}, {"match": ".", "steps": [{"text": "large"}]}])
    assert ask(script, ASKED, model="gpt-4o-mini").text == "small"
    assert ask(script, ASKED, model="gpt-4.1").text == "large"


def test_a_schema_gets_json_even_from_a_text_step() -> None:
    schema = {"type": "object", "properties": {"level": {"enum": ["low", "high"]}, "score": {"type": "integer"}}}
    script = scripted({"text": "It is high, score: 4"})
    assert ask(script, ASKED, schema=schema).text == '{"level": "high", "score": 4}'


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"match": "("}, "no regular expression"),
        ({"match": "x"}, "needs steps or structured"),
        ({"match": "x", "steps": [{}]}, "a step needs"),
        ({"match": "x", "steps": [{"error": 500, "text": "x"}]}, "has no response"),
        ({"match": "x", "steps": [{"txt": "x"}]}, "steps.0.txt"),
        ({"match": "x", "steps": [{"text": "x", "repeat": True}, {"text": "y"}]}, "only the last step"),
    ],
)
def test_a_wrong_rule_is_refused_and_the_old_ones_stay(rule: dict[str, Any], message: str) -> None:
    script = scripted({"text": "kept"})
    with pytest.raises(ValueError, match="script rule 1") as caught:
        script.replace([{"match": "y", "steps": [{"text": "z"}]}, rule])
    assert message in str(caught.value)
    assert ask(script, ASKED).text == "kept"


def test_a_reference_in_front_of_a_result_is_no_part_of_it_and_can_be_named():
    script = scripted(
        {"tool_calls": [{"name": "look"}] * 2},
        {"text": "{tool[0]} [{reference[0]}], {tool[1]} [{reference[1]}]"},
    )
    asked = ChatMessage("ai", "", (ToolCall("look", "{}", "c1"), ToolCall("look", "{}", "c2")))
    found = ChatMessage("tool", "[e7]\n[1]\nfound", tool_call_id="c1")
    failed = ChatMessage("tool", "not found", tool_call_id="c2")
    assert ask(script, ASKED, asked, found, failed).text == "[1]\nfound [e7], not found []"
