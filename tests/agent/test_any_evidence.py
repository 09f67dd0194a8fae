"""Whatever an answer says: no reference of the model's own is left, code stays, and nothing takes long."""

import re
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import answer_blocks, references
from agent.evidence import ground
from tests.agent.test_evidence import ALERTS, CALLS, HOST, SEARCH, THREAD, shown

PIECES = [
    "[e1]", "[e9]", "(e2)", "【e3】", "[^e4]", "[e1, e2]", "[1]", "`a [e1] b`", "```\n[e1] x\n```", "~~~", "```", "- ", "  - ",
    "1. ", "> ", "# ", "**", "_", "|", "\n", "\n\n", "| a | b |\n|---|---|\n| c | d [e2] |\n", "The pool was full", ". ", "?", ":",
    " because of ", "root cause", "(confidence: high)", "Confidence: 80%", ALERTS, f"[x]({THREAD})", "<!here>", "\r\n", "\t",
    "Evidence:", "[^e1]: x", "[x][y]", "\n\n[y]: https://example.com/x\n", "é", "の", "\x00", " ", "[", "]", "(", ")", "e1", "🙂", "\\", "    ",
]  # fmt: skip
ANSWERS = st.one_of(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.text(max_size=200))


@given(text=ANSWERS, looked_up=st.booleans(), known=st.sampled_from([[], [SEARCH], CALLS]))
def test_any_text_is_grounded(text, looked_up, known):
    answer = ground(text, known, looked_up=looked_up, workspace_url=HOST, invented={("C0OPS", "1700000000.000002")})
    assert isinstance(answer, str)
    assert (
        bool(answer)
        or answer_blocks.read(text).links
        or not re.sub(r"[\s`]", "", references.without(text))
        or not answer.strip()
    )


@given(text=ANSWERS)
def test_of_any_text_no_reference_of_the_model_is_left_outside_code(text):
    text = text.replace("`", "'").replace("~", "-").replace("\t", " ").replace("    ", " ")
    answer = ground(text, [SEARCH], looked_up=True)
    assert not re.search(r"\[\^?e\d\]|\(e\d\)|【e\d】", answer)


@given(text=ANSWERS)
def test_a_text_without_references_names_none(text):
    assert list(references.names(references.without(text.replace("`", "'")))) == []


@given(
    code=st.lists(st.sampled_from(["[e1]", "x", " ", "\n", "- a", "The pool was full.", "[9]", "|"]), max_size=12).map(
        "".join
    )
)
def test_fenced_code_is_never_changed(code):
    answer = ground(f"It fired [e1]:\n\n```\n{code}\n```\n\nIt is over [e9].", [SEARCH], looked_up=True)
    assert f"```\n{code}\n```" in answer


def count_calls(run):
    """How many functions are called meanwhile, of Python and C."""
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls


LONG = {
    "a list": lambda n: "Findings:\n\n" + "\n".join(f"- The service number {i} was broken" for i in range(n)),
    "a nested list": lambda n: "\n".join(f"- Service {i}:\n  - it was broken by people" for i in range(n)),
    "plans": lambda n: "Next steps:\n\n" + "\n".join(f"- Service {i} was broken by people" for i in range(n)),
    "causes": lambda n: "# Root causes\n\nRoot cause:\n\n" + "\n".join(f"- Service {i} was full" for i in range(n)),
    "lists": lambda n: "\n\n".join(f"So it is {i}:\n\n- it was broken\n\nAll of it." for i in range(n)),
    "paragraphs": lambda n: "\n\n".join(f"The service number {i} was broken by people" for i in range(n)),
    "tables": lambda n: "| a | b |\n|---|---|\n| c | 1234 |\n\n" * n,
    "sections": lambda n: "# It is so [e1]\n\nThe service was broken by people.\n\n" * n,
    "abbreviations": lambda n: "It is so, " + "e.g. A " * n,
    "references in references": lambda n: "[e" * n + "[e1]" + "1]" * n,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_the_work_grows_with_the_text(text):
    shown(text(5))  # what is kept from the first time on
    small, large = (count_calls(lambda n=n: shown(text(n))) for n in (60, 120))
    assert large < 2.2 * small


HOSTILE = {
    "abbreviations": "It is so, " + "e.g. A " * 4_000,
    "references in references": "[e" * 4_000 + "[e1]" + "1]" * 4_000,
    "closing signs": "It fell because of the pool." + ")" * 40_000 + "x",
    "blanks": "It fell because of the pool" + " " * 40_000 + "x",
    "quotations": "It fell because of the pool " + "„" * 40_000,
    "digits": "It fell because of the pool " + "1" * 40_000 + "x",
    "low lines": "It fell because of the pool x" + "_" * 40_000 + "x",
    "code": " ".join("`" * size for size in range(1, 300)),
    "tables": "| a | b |\n|---|---|\n\n" * 2_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_takes_long(text):
    begun = time.process_time()
    shown(text, invented={("C0OPS", "1700000000.000002")}, workspace_url=HOST)
    assert time.process_time() - begun < 2
