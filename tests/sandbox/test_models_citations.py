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
        ("Found:\n- one:\n- two\n\nMore:\n1. three:", "Found [e1, e2]:\n- one:\n- two\n\nMore [e1, e2]:\n1. three:"),
        ("It\n```\na:\n```\nb", "It [e1, e2]\n```\na:\n```\nb"),
        ("So:\n> quoted:", "So [e1, e2]:\n> quoted:"),
        ("", ""),
    ],
)
def test_an_answer_names_its_references_where_it_introduces_something(answer, cited):
    assert cite(answer, ["e1", "e2"]) == cited
    assert cite(answer, []) == answer
