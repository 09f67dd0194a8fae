"""What is explained is what the gate does: over policies, tools and people; and `ratchet policy explain`."""

import json
from dataclasses import replace
from itertools import product
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from agent.context import Requester
from agent.permission import Denial
from agent.question import Limits, Question
from agent.redaction import Redactor
from agent.retries import ModelCaller
from agent.runner import Runner, Waiting
from ratchet.explaining import Approvers, Explainer, Place
from ratchet.policies import Policies, Rule
from storage import channels, leases, turns
from storage.channels import User
from tests.agent.conftest import Quiet, Scripted, call, this_turn
from tests.agent.test_approvals import People
from tests.processes import ratchet
from tools.registry import build_catalogue


@tool(extras={"effect": "read"})
async def find_owner() -> str:
    """Find a service's owner."""
    return "found"


@tool(extras={"effect": "read"})
async def find_deploys() -> str:
    """Find deploys. It came with a package."""
    return "found"


@tool(extras={"effect": "post"})
async def send_note() -> str:
    """Send a note."""
    return "sent"


@tool(extras={"effect": "change"})
async def restart_pods() -> str:
    """Restart a service's pods."""
    return "restarted"


CATALOGUE = build_catalogue(
    [
        ("built-in", find_owner),
        ("entry point deploys", find_deploys),
        ("built-in", send_note),
        ("built-in", restart_pods),
    ]
)
EVERYTHING = ("@read", "@post", "@change", "find_deploys")
RULES = {
    "default": Rule(("@read",)),
    "nothing": Rule(()),
    "listed": Rule(("find_deploys", "restart_pods"), approvers=("U2",)),
    "unapproved": Rule(EVERYTHING),
    "approved": Rule(EVERYTHING, approvers=("U2", "U1")),
    "own": Rule(EVERYTHING, approvers=("U1",)),
    "own_allowed": Rule(EVERYTHING, approvers=("U1",), self_approval=True),
    "open": Rule(EVERYTHING, approvers=("U2",), allow_guests=True),
}
PEOPLE = {
    "member": User("T1", "U1", "kim", is_bot=False, is_guest=False, is_stranger=False),
    "guest": User("T1", "U1", "vendor", is_bot=False, is_guest=True, is_stranger=False),
    "stranger": User("T1", "U1", "partner", is_bot=False, is_guest=False, is_stranger=True),
    "bot": User("T1", "U1", "poller", is_bot=True, is_guest=False, is_stranger=False),
}
POLICIES = Policies(RULES["default"], {name: rule for name, rule in RULES.items() if name != "default"}, CATALOGUE)
EXPLAINER = Explainer(POLICIES, CATALOGUE)


def place(name):
    return Place("C1", name, f"#{name}")


@pytest.fixture
async def gate(database):
    """What the gate does with a call: 'ran', 'asked' people, or the audit log's word for its refusal."""
    answers = {}

    def answer(messages):
        new = this_turn(messages)
        return AIMessage(new[-1].text) if new else call(answers["tool"])

    caller = ModelCaller(database, model="scripted", tries=1, prices={}, redactor=Redactor())
    model = Scripted(answer=answer, seen=[], tools=[])
    runner = Runner(database, model, CATALOGUE, caller=caller, limits=Limits(), redactor=Redactor())

    async def ask(policy, name, user, number):
        answers["tool"] = name
        rule = RULES[policy]
        new = turns.NewTurn(
            turn_id=uuid4(),
            team_id="T1",
            channel_id="C1",
            thread_ts=f"{number}.0",
            message_ts=f"{number}.0",
            requester_id=user.user_id,
            source="mention",
            question="do it",
        )
        async with database.connection() as conn:
            await turns.insert(conn, new)
            turn = await turns.begin(conn, new.turn_id)
            lease = await leases.take(conn, turn.thread_key)
        people = People()
        people.names, people.self_approval = rule.approvers, rule.self_approval
        question = Question(
            turn=turn,
            lease=lease,
            requester=Requester(user.user_id, user.name, POLICIES.restricts(user, "C1", policy)),
            channel_label="#x",
            workspace_url="https://x.slack.com/",
            allowed_tools=POLICIES.allowed_tools("C1", policy),
            approving=people,
        )
        reply = Quiet()
        try:
            await runner.answer(question, reply, reply)
        except Waiting:
            return "asked"
        async with database.connection() as conn:
            cur = await conn.execute(
                "select action from audit_logs where details->>'turn_id' = %s", (str(turn.turn_id),)
            )
            [(action,)] = await cur.fetchall()
        return {"tool_run": "ran"}.get(action, action)

    return ask


@pytest.mark.parametrize("policy", RULES)
async def test_what_is_explained_is_what_the_gate_does(gate, policy):
    names = [*(entry.name for entry in CATALOGUE), "drop_tables"]
    for number, (name, kind) in enumerate(product(names, PEOPLE), 1):
        user = PEOPLE[kind]
        done = await gate(policy, name, user, number)
        decision = EXPLAINER.explain(name, user, place(policy), approvers=Approvers(RULES[policy].approvers))
        change = name == "restart_pods"
        expected = "tool_unknown" if decision.denial is Denial.unknown else "tool_denied"
        assert done == (("asked" if change else "ran") if decision.allowed else expected), (name, kind, decision)
        assert decision.allowed == all(reason.allows for reason in decision.reasons), (name, kind, decision)
        assert decision.allowed != bool(decision.remedy)
        assert (name in [entry.name for entry in EXPLAINER.usable(user, place(policy))]) == (
            decision.denial not in {Denial.unknown, Denial.unlisted, Denial.restricted}
        )


@pytest.mark.parametrize(
    ("policy", "name", "kind", "denial", "where"),
    [
        ("default", "find_deploys", "member", Denial.unlisted, "policies.default.tools"),
        ("listed", "find_owner", "member", Denial.unlisted, "policies.channels.listed.tools"),
        ("approved", "find_owner", "guest", Denial.restricted, "policies.channels.approved.allow_guests"),
        ("default", "find_owner", "bot", Denial.restricted, "not a setting"),
        ("unapproved", "restart_pods", "member", Denial.no_approvers, "policies.channels.unapproved.approvers"),
        ("own", "restart_pods", "member", Denial.only_own, "policies.channels.own.self_approval"),
    ],
)
def test_the_rule_that_decides_is_named_with_its_place(policy, name, kind, denial, where):
    decision = EXPLAINER.explain(name, PEOPLE[kind], place(policy), approvers=Approvers(RULES[policy].approvers))
    assert decision.denial is denial
    assert [reason.where for reason in decision.reasons if not reason.allows] == [where]


@pytest.mark.parametrize("approvers", [Approvers(["U7"]), Approvers(problem="Slack does not know @boss")])
def test_an_outsider_is_told_no_names_of_approvers_and_no_list_of_tools(approvers):
    rule = Rule(["restart_pods", "find_owner"], allow_guests=True, approvers=["@boss", "U7"])
    explainer = Explainer(Policies(rule, {}, CATALOGUE), CATALOGUE)
    here = Place("C1", "ops", "#ops")
    for name in ("guest", "stranger", "member"):
        who = PEOPLE[name]
        told = str([explainer.explain(tool, who, here, approvers=approvers) for tool in ("restart_pods", "send_note")])
        assert ("boss" in told, "find_owner" in told) == (name == "member", name == "member")


def test_a_disabled_mcp_tool_is_denied_whether_it_is_in_the_catalogue_or_not():
    explainer = Explainer(POLICIES, CATALOGUE, {"find_owner": "it changed", "away__tool": "no answer"}.get)
    for name, denial in (("find_owner", Denial.disabled), ("away__tool", Denial.unknown)):
        decision = explainer.explain(name, PEOPLE["member"], place("default"))
        assert decision.denial is denial
        assert [reason.where for reason in decision.reasons if not reason.allows] == ["mcp.servers"]
        assert "ratchet tools" in decision.remedy


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("restart pods here", ["restart_pods"]),
        ("restart the pod", ["restart_pods"]),
        ("find_owner", ["find_owner"]),
        ("find things", ["find_owner", "find_deploys"]),
        ("order pizza", []),
        ("", []),
    ],
)
def test_a_tool_is_found_by_the_words_of_a_question(words, found):
    assert EXPLAINER.nearest(words) == found


@pytest.fixture
async def installed(database, database_url, memory, tmp_path):
    """Runs `ratchet policy explain` over #ops (the default) and #deploys (changes, approved by U2)."""
    await memory.channel("C2", name="deploys")
    async with database.connection() as conn:
        twin = replace(PEOPLE["member"], user_id="U8", name="Sam")
        guest = replace(PEOPLE["guest"], user_id="U9")
        await channels.upsert_users(conn, [PEOPLE["member"], guest, twin, replace(twin, user_id="U7", name="sam")])
    policies = {"channels": {"deploys": {"tools": ["@read", "@change"], "approvers": ["U2"]}}}
    (tmp_path / "r.yaml").write_text(json.dumps({"policies": policies}))

    async def explain(*arguments):
        return await ratchet(
            "policy", "explain", *arguments, cwd=tmp_path, DATABASE_URL=database_url, RATCHET_CONFIG="r.yaml"
        )

    return explain


async def test_the_command_line_says_whether_and_why(installed):
    code, out, err = await installed("#deploys", "update_doc", "@kim")
    assert (code, err) == (0, "") and out.startswith("ALLOWED: kim may have update_doc used in #deploys")
    assert "policies.channels.deploys.approvers" in out and "U2" in out

    code, out, err = await installed("C1", "update_doc", "U1")
    assert (code, err) == (1, "") and out.startswith("DENIED: kim may not have update_doc used in #ops")
    assert "policies.default.tools" in out and "An operator of Ratchet can add update_doc" in out

    code, out, err = await installed("deploys", "search_messages", "vendor")
    assert code == 1 and "policies.channels.deploys.allow_guests" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("#opps", "search_messages", "kim"), "no channel '#opps' is known; did you mean #ops?"),
        (("ops", "search_message", "kim"), "there is no tool 'search_message'; did you mean search_messages"),
        (("ops", "search_messages", "@kin"), "nobody '@kin' is known; did you mean @kim?"),
        (("ops", "search_messages", "sam"), "several people are named 'sam': give one of U8, U7"),
        (("ops", "search_messages"), "Missing argument"),
    ],
)
async def test_bad_input_is_told_with_what_comes_near_it(installed, arguments, line):
    code, out, err = await installed(*arguments)
    assert (code, out) == (2, "") and line in err and "Traceback" not in err
