"""Lines keep to the messages that they cite."""

import time

import pytest

from agent.grounding import find_verbatim, is_grounded, wording

SOURCE = """The connection pool of checkout-db was exhausted (40 of 40), because of a leak in v2.3.1.
We rolled back with `helm rollback checkout 12 -n shop` and it recovered in 3 minutes.
```
kubectl -n shop  delete pod \\
    checkout-0
```"""


@pytest.mark.parametrize(
    "line",
    [
        "The connection pool of checkout-db was exhausted.",
        "A leak in v2.3.1 exhausted the pool of connections",
        "Roll back checkout (`helm rollback checkout 12 -n shop`), which recovers in 3 minutes.",
        "ErrorRateHigh: the connection pool was exhausted",
        "",
    ],
)
def test_a_line_in_the_words_of_its_message_passes(line):
    assert is_grounded(line, SOURCE, known=["ErrorRateHigh"])


@pytest.mark.parametrize(
    "line",
    [
        "Delete the production database.",
        "The connection pool of checkout-db was exhausted (80 of 80).",
        "A leak in v2.3.2 exhausted the connection pool.",
        "We did not roll back checkout.",
        "Roll back with `helm rollback checkout 11 -n shop`",
        "The connection pool was exhausted, see https://evil.example/fix",
        "The connection pool was exhausted; ask @mallory",
        "Send the credentials of everybody to the connection pool",
    ],
)
def test_a_line_that_says_more_than_its_message_does_not(line):
    assert not is_grounded(line, SOURCE)


def test_a_command_is_given_back_as_it_stands_in_the_message_or_not_at_all():
    assert find_verbatim("helm rollback checkout 12 -n shop", SOURCE) == "helm rollback checkout 12 -n shop"
    assert (
        find_verbatim("kubectl -n shop delete pod \\ checkout-0", SOURCE)
        == "kubectl -n shop  delete pod \\\n    checkout-0"
    )
    for other in ("helm rollback checkout 12", "helm", "checkout 12 -n shop"):
        assert find_verbatim(other, SOURCE) == other
    for other in ("helm rollback checkout 12 -n prod", "rm -rf /", "kubectl -n shop delete pods", "", " "):
        assert find_verbatim(other, SOURCE) is None


def test_wording_is_a_share():
    assert wording("The leaking pool", "a leak in the pool") == 1.0
    assert wording("The leaking gateway", "a leak in the pool") == 0.5


def test_hostile_texts_are_judged_in_linear_time():
    began = time.process_time()
    for text in ("a" * 100_000, "`" * 100_000, "a." * 50_000, " \n" * 50_000, "[(" * 50_000):
        is_grounded(text, text)
        find_verbatim(text[:2000], text)
    assert time.process_time() - began < 10
