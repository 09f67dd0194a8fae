import pytest

from sandbox.models.citations import cite, split_reference


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[e7]\n{}", ("e7", "{}")),
        ("[e7] {}", ("", "[e7] {}")),
        ("{}\n[e7]\n", ("", "{}\n[e7]\n")),
        ("", ("", "")),
    ],
)
def test_a_reference_stands_in_front_of_a_result(text, parts):
    assert split_reference(text) == parts


@pytest.mark.parametrize(
    ("answer", "cited"),
    [
        ("I found it.", "I found it [e1, e2]."),
        ("It is [here](https://x/1).\n\nIt is mine.", "It is [here](https://x/1) [e2].\n\nIt is mine."),
        (
            "Found:\n- [one](https://x/2)\n- two\n\nMore:\n1. [three](https://x/2)\n2. [four](https://x/1)",
            "Found [e1, e2]:\n- [one](https://x/2)\n- two\n\nMore:\n1. [three](https://x/2) [e1]\n2. [four](https://x/1) [e2]",
        ),
        ("# Title\n\nList:\n- [one](https://x/1)", "# Title\n\nList:\n- [one](https://x/1) [e2]"),
        ("It\n```\n[a](https://x/1):\n```\nb", "It [e1, e2]\n```\n[a](https://x/1):\n```\nb"),
        ("So:\n> [quoted](https://x/1)", "So [e1, e2]:\n> [quoted](https://x/1)"),
        ("`look` could not answer:\n> no", "`look` could not answer:\n> no"),
        ("", ""),
    ],
)
def test_an_answer_names_behind_its_claims_the_results_that_they_come_from(answer: str, cited: str) -> None:
    assert cite(answer, {"e1": "https://x/1 https://x/2", "e2": '"https://x/1"'}) == cited
    assert cite(answer, {}) == answer


def test_with_one_result_all_claims_name_it() -> None:
    assert cite("# Handoff\n\nOpen:\n- one\n\nAll is well.", {"e1": ""}) == (
        "# Handoff\n\nOpen:\n- one [e1]\n\nAll is well [e1]."
    )
