"""Answers with what they rest on: references, hypotheses, confidence, links."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from agent import references
from agent.backing import Call, collect, facts_in
from agent.evidence import EVIDENCE, GENERAL, HYPOTHESES, HYPOTHESIS, INVENTED, NOT_NOW, ground
from agent.wording import TITLE

HOST = "https://acme.slack.com"
ALERTS = f"{HOST}/archives/C0OPS/p1700000000000001"
THREAD = f"{HOST}/archives/C0OPS/p1700000000000002"
RUNBOOK = "https://github.com/acme/docs/blob/main/pool.md#L3-L9"
SEARCH = Call(
    "e1",
    "Searching #ops-alerts for “HighErrorRate”",
    "search",
    f'{{"total": 14, "messages": [{{"permalink": "{ALERTS}", "text": "HighErrorRate payments-api at 10:42, 502s"}}]}}',
)
READ = Call("e2", "read_thread", "thread", f'{{"messages": [{{"permalink": "{THREAD}", "text": "max_conns 100"}}]}}')
DOCS = Call("e3", "search_docs(query: pool)", "docs", f'{{"results": [{{"source": "{RUNBOOK}", "text": "raise it"}}]}}')
CALLS = [SEARCH, READ, DOCS]


def shown(text, calls=CALLS, *, looked_up=True, **options):
    return ground(text, calls, looked_up=looked_up, **options)


def body(text, *args, **options):
    return shown(text, *args, **options).split(f"\n\n{EVIDENCE}")[0]


def test_references_are_numbered_as_they_come_and_their_calls_are_listed():
    assert shown("It was read [e2].\n\nIt fired 14 times [e1], as read [e2].") == (
        "It was read [1].\n\nIt fired 14 times [2], as read [1].\n\n**Evidence**\n"
        f"- [1] read\\_thread: 1 message ([message]({THREAD}))\n".replace("\\_", "_")
        + f"- [2] Searching #ops-alerts for “HighErrorRate”: 14 hits ([message]({ALERTS}))"
    )


@pytest.mark.parametrize(
    "spelling",
    [
        "[e1]", "[E1]", "(e1)", "[^e1]", "【e1】", "【e1†source】", "[[e1]]", "[ e1 ]", "(see e1)", "[ref: e1]", "[source e1]",
        "[e1](#evidence)", "[e1: 14 hits]", "<sup>e1</sup>", "<sup>[e1]</sup>", "[#e1]", "[e1, e9]", "[e9; e1]", "[e1][e9]",
        "[e1] [e7]", "[evidence: e1]", "[e1](https://example.com/x)",
    ],
)  # fmt: skip
def test_every_spelling_of_a_reference_is_read(spelling):
    assert body(f"It fired 14 times {spelling}.") == "It fired 14 times [1]."


@pytest.mark.parametrize(
    ("named", "numbers"),
    [("[e1, e2]", "[1, 2]"), ("[e1][e2]", "[1, 2]"), ("[e1-e3]", "[1, 2, 3]"), ("[e2 and e1]", "[1, 2]"), ("(e1/e3)", "[1, 2]")],
)  # fmt: skip
def test_several_references_stand_together(named, numbers):
    assert body(f"It fired 14 times {named}.") == f"It fired 14 times {numbers}."


@pytest.mark.parametrize(
    "spelling", ["[e9]", "(e9)", "【e9】", "[^e9]", "[e7, e8]", "[1]", "[^2]", "【3】", "【4:0†source】"]
)
def test_what_names_no_successful_call_is_dropped(spelling):
    assert shown(f"It fired 14 times {spelling}.") == f"{HYPOTHESIS} It fired 14 times."


@pytest.mark.parametrize(
    "text",
    [
        "error[E0308] came up in the build (E4012: connection refused by peer) {}.",
        "It has an Intel card (e1000) {}.",
        "It names the unit [e07] {}.",
        "It is so {}:\n\n> [E1234] pool exhausted on partition [3]",
        "Was partition [3] of the topic full? Which one, [E0308] or [E0309]?",
    ],
)
def test_facts_in_brackets_are_no_references(text):
    assert body(text.format("[e1]")) == text.format("[1]")


def test_numbers_that_could_be_taken_for_those_of_the_evidence_are_dropped():
    assert body("The pool [2] was full [e1].") == "The pool was full [1]."
    assert body("Was it full? [2] [3] Since when **[4]**, and why [5] [6]?") == (
        "Was it full? Since when **[4]**, and why?"
    )


def test_links_whose_addresses_stand_elsewhere_are_written_out():
    defined = "[1]: https://example.com/a_(b)\n[pool limits]: <https://example.com/c> 'A title'\n\n> [1]:\n> https://example.com/d"
    text = (
        "Follow [the `run [x]` book][1] or [this][Pool\n Limits] or [pool limits][]. So it is [1] `[a][1]` [b](c) [e1]."
    )
    assert body(f"{text}\n\n```\n[a][1]\n```\n\n{defined}") == (
        "Follow [the `run [x]` book](https://example.com/a_%28b%29) or [this](https://example.com/c) or "
        "[pool limits](https://example.com/c). So it is [source](https://example.com/a_%28b%29) `[a][1]` [b](c) [1]."
        "\n\n```\n[a][1]\n```"
    )


def test_of_a_list_of_links_that_are_written_out_no_heading_is_left():
    for heading in ("Sources:", "## References"):
        assert (
            body(f"Follow [it][1].\n\n{heading}\n\n[1]: https://example.com/x") == "Follow [it](https://example.com/x)."
        )


def test_code_stays_as_it_is():
    text = "See `x [e1]` and [e1].\n\n```\ncat [e9] [1]\n```\n\n    indented [e9]\n\n- item [e2]\n\n  ~~~py\n  a[1] = [e1]\n  ~~~"
    assert body(text) == text.replace("and [e1]", "and [1]").replace("item [e2]", "item [2]")


def test_a_fence_that_is_left_open_does_not_swallow_the_evidence():
    assert shown("It is so [e2]:\n```\ncode") == (
        f"It is so [1]:\n```\ncode\n```\n\n{EVIDENCE}\n- [1] read_thread: 1 message ([message]({THREAD}))"
    )


def test_the_models_own_list_of_sources_gives_way_and_counts_for_the_whole_answer():
    for written in (
        "**Sources**\n- [e1] search_messages\n- [e2] read_thread",
        "Evidence: [e1], [e2]",
        "## References\n[e1] a",
    ):
        answer = shown(f"It fired 14 times.\n\nIt is over now.\n\n{written}")
        assert answer.startswith(f"It fired 14 times.\n\nIt is over now.\n\n{EVIDENCE}\n- [1] Searching")
    assert body("It is so [^e1].\n\n[^e1]: Searched for it") == "It is so [1]."
    kept = "It is so [e1].\n\nSources:\n- [runbook](https://example.com/x)"
    assert "[runbook](https://example.com/x)" in body(kept)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("The pool was exhausted at noon.", f"{HYPOTHESIS} The pool was exhausted at noon."),
        (
            "I could not read #db. The pool was exhausted at noon. It is over.",
            f"I could not read #db. {HYPOTHESIS} The pool was exhausted at noon. It is over.",
        ),
        ("- it fired [e1]\n- the pool was full", f"- it fired [1]\n- {HYPOTHESIS} the pool was full"),
        ("1. [ ] the pool was full\n2. it fired [e1]", f"1. [ ] {HYPOTHESIS} the pool was full\n2. it fired [1]"),
        (
            "What I make of it, in short:\n- the pool was full\n- the disk was full",
            f"{HYPOTHESIS} What I make of it, in short:\n- the pool was full\n- the disk was full",
        ),
        (
            "It fired [e1].\n\n| service | state |\n|---|---|\n| payments | down |",
            "It fired [1].\n\n| service | state |\n|---|---|\n| payments | down |",
        ),
        (
            "| service | state |\n|---|---|\n| payments | down |\n\nAsk again later.",
            f"{HYPOTHESIS}\n\n| service | state |\n|---|---|\n| payments | down |\n\nAsk again later.",
        ),
        ("## Findings\n\nThe pool was full.", f"## Findings\n\n{HYPOTHESIS} The pool was full."),
        ("- one thing happened:\n  - the pool was full", f"- {HYPOTHESIS} one thing happened:\n  - the pool was full"),
        (
            "It fired [e1].\n\n**What happened**\n1. the pool was full\n2. it was enlarged [e2]",
            f"It fired [1].\n\n**What happened**\n1. {HYPOTHESIS} the pool was full\n2. it was enlarged [2]",
        ),
        ("> the pool was full, Dana said", "> the pool was full, Dana said"),
    ],
)
def test_a_claim_without_a_reference_is_shown_as_a_hypothesis(text, marked):
    assert body(text) == marked


@pytest.mark.parametrize(
    "text",
    [
        "These alerts fired [e1]:\n- HighErrorRate, often\n- DiskFull, once or twice\n  - mostly at night\n\n  and never by day",
        "These alerts fired:\n- HighErrorRate, often [e1]\n- DiskFull, once or twice [e2]",
        "- HighErrorRate fired often\n- DiskFull fired twice\n\nAll of this is from [e1].",
        "| a | b |\n|---|---|\n| the pool | was full [e1] |",
        "| a | b |\n|---|---|\n| the pool | was full |\n\n(Source: [e1])",
        "What happened at noon [e1]:\n\n| a | b |\n|---|---|\n| the pool | was full |",
        "## At noon [e1]\n\nThe pool was full.\n\nIt was enlarged then.",
        "**At noon [e1]**\n\nThe pool was full.",
        f"Dana enlarged the pool ([message]({THREAD})).",
        f"The limit is raised there, see <{RUNBOOK}|the runbook>.",
        "payments-api answered 502s at 10:42.",
        "Which service is it?\n\nLet me know.",
        "Hello. Here is what I can do:\n- the alerts of a week, counted\n- the runbook of an alert",
        "Next steps:\n1. Dana reads the deploy log\n   - and the one of the day before\n2. the pool gets larger",
        "## Recommendations\n\n- a larger pool for payments",
        "",
    ],
)
def test_what_is_backed_or_claims_nothing_bears_no_mark(text):
    assert HYPOTHESIS not in shown(text) and HYPOTHESES not in shown(text)


def test_what_introduces_a_list_rests_on_the_calls_of_its_items():
    calls = [replace(call, entry=SimpleNamespace(tool=SimpleNamespace(extras={}))) for call in CALLS]
    text = "The pool was full:\n- it fired [e1]\n- it was enlarged [e2]"
    assert body(text, calls) == text.replace("e1", "1").replace("e2", "2")


def test_what_links_to_a_result_or_quotes_it_gets_its_reference():
    assert (
        body(f"Dana enlarged the pool ([message]({THREAD})).") == f"Dana enlarged the pool ([message]({THREAD})). [1]"
    )
    assert body("HighErrorRate came at 10:42 from payments-api, 502s mostly.").endswith("mostly. [1]")
    assert body("HighErrorRate came at 11:17 with 502.").startswith(HYPOTHESIS)
    assert shown(f"So it is ([doc]({RUNBOOK})).").endswith(f"{EVIDENCE}\n- [1] search_docs(query: pool): 1 result")


def test_an_answer_that_names_nothing_at_all_bears_one_mark():
    text = "The pool was full.\n\nThe disk was full.\n\nThe cache was cold.\n\nThe queue was long."
    assert shown(text) == f"{HYPOTHESES}\n\n{text}"


def test_without_any_call_one_line_says_so():
    text = "A pod is killed when it uses more memory than its limit.\n\nThe kernel does that."
    assert shown(text, [], looked_up=False) == f"{text}\n\n{GENERAL}"
    assert shown(text, CALLS, looked_up=False) == f"{text}\n\n{NOT_NOW}"
    assert shown("Hello! Which channel do you mean?", [], looked_up=False) == "Hello! Which channel do you mean?"
    assert shown("It fired 14 times [e1].", looked_up=False).startswith("It fired 14 times [1].\n\n**Evidence**")
    assert shown("It is down.", [], looked_up=True) == f"{HYPOTHESIS} It is down."


@pytest.mark.parametrize(
    ("text", "limited"),
    [
        ("The root cause was the pool.", "The root cause was the pool (confidence: low)."),
        ("The root cause was the pool (confidence: high).", "The root cause was the pool (confidence: low)."),
        ("The root cause was the pool [e1].", "The root cause was the pool [1] (confidence: medium)."),
        ("The root cause was the pool [e1] (confidence: high).", "The root cause was the pool [1] (confidence: medium)."),
        ("The root cause was the pool [e1, e2].", "The root cause was the pool [1, 2] (confidence: medium)."),
        ("Caused by the pool [e1, e2] (high confidence)", "Caused by the pool [1, 2] (confidence: high)"),
        ("Caused by the pool [e1, e2], confidence: 90%.", "Caused by the pool [1, 2], (confidence: high)."),
        ("Caused by the pool [e1, e2] (confidence: 55 %)", "Caused by the pool [1, 2] (confidence: medium)"),
        ("Caused by the pool [e1, e2] (confidence: low)", "Caused by the pool [1, 2] (confidence: low)"),
        # Nothing that it names stands in the results.
        ("Caused by v9.9.9 [e1, e2] (confidence: high)", "Caused by v9.9.9 [1, 2] (confidence: medium)"),
        ("Caused by v9.9.9 [e1].", "Caused by v9.9.9 [1] (confidence: low)."),
        ("Caused by max_conns [e2] (confidence: high).", "Caused by max_conns [1] (confidence: medium)."),
        ("Caused by `OOMKilled` (confidence: high).", "Caused by `OOMKilled` (confidence: low)."),
        ("It fired 14 times [e1].", "It fired 14 times [1]."),
        ("**Root cause**\n\nThe pool was full [e1].", "**Root cause**\n\nThe pool was full [1] (confidence: medium)."),
        ("The root cause was the pool [e1].\n\n**Confidence:** high", "The root cause was the pool [1].\n\n(confidence: medium)"),
    ],
)  # fmt: skip
def test_how_sure_a_cause_is_does_not_exceed_what_stands_behind_it(text, limited):
    assert body(text).replace(f"{HYPOTHESIS} ", "") == limited


def test_the_same_call_twice_makes_nothing_surer():
    again = Call("e2", READ.words, SEARCH.identity, SEARCH.result)
    assert "(confidence: medium)" in shown("Caused by the pool [e1, e2] (confidence: high)", [SEARCH, again])


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("see [the thread]({})", f"see the thread {INVENTED}"),
        ("see <{}|it>", f"see it {INVENTED}"),
        ("see <{}>", f"see {INVENTED}"),
        ("see {} there", f"see {INVENTED} there"),
        ("see [it]({}?thread_ts=1.2)", f"see it {INVENTED}"),
        ("see [it][x]\n\n[x]: {}", f"see it {INVENTED}"),
    ],
)
def test_a_link_to_a_message_that_nobody_was_shown_is_dropped(written, kept):
    invented = {("C0OPS", "1700000000.000009")}
    url = f"{HOST}/archives/C0OPS/p1700000000000009"
    assert shown(written.format(url), workspace_url=f"{HOST}/", invented=invented) == kept
    for other in (ALERTS, url.replace("acme", "other"), "https://example.com/a"):
        assert other in shown(written.format(other), workspace_url=f"{HOST}/", invented=invented)


def test_words_of_a_call_are_no_markup_in_the_list():
    call = Call("e1", "find(q: *x* [y](http://z) <!here> `c` _d_ a_b | \\)", "x", "")
    assert shown("It is so [e1].", [call]).endswith(
        "- [1] find(q: \\*x\\* (y)(http://z) ‹!here› \\`c\\` \\_d\\_ a_b / \\\\)"
    )


def test_what_a_result_calls_its_things_is_no_markup_in_the_list():
    result = '{"x](https://evil.example)\\n\\n**Approved by** <@U012AB3CD> [deploy": [1, 2]}'
    evidence = shown("It is so [e1].", [Call("e1", "deploys", "x", result)]).partition(EVIDENCE)[2]
    assert evidence == "\n- [1] deploys: 2 x)(https://evil.example) \\*\\*Approved by\\*\\* ‹@U012AB3CD› (deploys"


def test_calls_are_collected_with_their_references():
    def result(call_id, text, **fields):
        return ToolMessage(text, name="lookup", tool_call_id=call_id, **fields)

    asked = [{"name": "lookup", "args": {"word": word}, "id": word, "type": "tool_call"} for word in "abcde"]
    found = collect(
        [
            HumanMessage("?"),
            AIMessage("", tool_calls=asked),
            result("a", "A", additional_kwargs={references.KEY: "e1"}),
            result("b", "B", additional_kwargs={references.KEY: "e2"}, status="error"),
            result("c", "C"),
            result("d", "D", additional_kwargs={references.KEY: "e1", TITLE: "Looking d up"}),
            result("e", "E", additional_kwargs={references.KEY: "e3"}),
        ],
        {},
    )
    assert [(call.reference, call.words, call.result) for call in found] == [
        ("e1", "Looking d up", "D"),
        ("e3", "Running lookup", "E"),
    ]


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("14 times at 10:42, 1,502 in all, v2.3.1", ["10:42", "1,502", "v2.3.1"]),
        ("HighErrorRate of max_conns on db-3, on-call", ["HighErrorRate", "max_conns", "db-3"]),
        (f"see [502]({THREAD}) or <{RUNBOOK}|api.example.com>", ["502", "api.example.com"]),
        ("nothing of that kind", []),
    ],
)
def test_facts_are_what_can_be_found_again(text, facts):
    assert facts_in(text) == facts


def test_text_that_is_still_being_written_shows_no_references():
    assert references.without("It fired 14 times [e1]. It is [e") == "It fired 14 times. It is "
    assert references.without("It is [a] list [") == "It is [a] list "
