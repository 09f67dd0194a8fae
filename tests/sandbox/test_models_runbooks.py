"""The offline model's runbooks: sentences and commands of the messages, with their ids."""

import json

from sandbox.models.chat import ChatMessage, ChatRequest
from sandbox.models.planner import plan

SCHEMA = {"properties": {"overview": {}, "root_causes": {}, "steps": {}}}


def draft(*texts):
    rows = [{"alert": "A", "service": "s"}, *({"id": f"m{n}", "text": text} for n, text in enumerate(texts, 1))]
    told = ChatMessage("human", "\n".join(map(json.dumps, rows)))
    return json.loads(plan(ChatRequest("m", (told,), schema=SCHEMA)).text)


def test_causes_and_fixes_are_copied_with_the_message_that_they_come_from():
    found = draft(
        "Checkout is slow.\nIs anyone on it?",
        "Root cause: the pool was\nexhausted. Restarted it with `kubectl rollout restart deploy/checkout`",
        "Thanks!",
    )
    assert found["overview"] == [{"text": "Checkout is slow.", "source": "m1"}]
    assert found["root_causes"] == [{"text": "Root cause: the pool was exhausted.", "source": "m2"}]
    (step,) = [step for step in found["steps"] if step["command"]]
    assert (step["command"], step["source"]) == ("kubectl rollout restart deploy/checkout", "m2")


def test_commands_go_before_talk_when_there_is_too_much():
    found = draft(*(f"Fixed part {n}." for n in range(30)), "$ kubectl get pods")
    assert len(found["steps"]) == 20 and found["steps"][-1]["command"] == "kubectl get pods"


def test_without_messages_nothing_is_said():
    assert draft() == {"overview": [], "root_causes": [], "steps": []}
