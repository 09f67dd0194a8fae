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
    for other in ("helm rollback checkout 12 -n prod", "rm -rf /", "kubectl -n shop delete pods", "", " "):
        assert find_verbatim(other, SOURCE) is None


@pytest.mark.parametrize(
    ("command", "source"),
    [
        ("rm -rf /", "Fixed it with `rm -rf /var/tmp/checkout-cache`"),
        ("rm -rf /", "Fixed it with rm -rf /var/tmp/checkout-cache"),
        ("kubectl delete pod checkout", "`kubectl delete pod checkout-7f --dry-run=client`"),
        ("kubectl delete pod checkout-7f", "```\nkubectl delete pod checkout-7f --dry-run=client\n```"),
        ("kubectl delete pod checkout-7f", "kubectl delete pod checkout-7f --dry-run=client"),
        ("kubectl delete pod checkout-7f", "kubectl delete pod checkout-7f\n  --dry-run=client"),
        ("kubectl delete pod checkout-7f", "```\nkubectl delete pod checkout-7f \\\n  --dry-run=client\n```"),
        ("kubectl delete pod checkout-7f \\", "```\nkubectl delete pod checkout-7f \\\n  --dry-run=client\n```"),
        ("rm -rf /", "```\n# rm -rf /\n```"),
        ("rm -rf /", "```\necho \\\nrm -rf /\n```"),
        ("kubectl get pods", "kubectl get pods `-n shop`"),
        ("helm rollback checkout 12", "`helm rollback checkout 12 -n shop`"),
        ("checkout 12 -n shop", "`helm rollback checkout 12 -n shop`"),
        ("rm -rf /", "Never run `rm -rf /`"),
        ("rm -rf /", "Please don't ever run:\n```\nrm -rf /\n```"),
        ("rm -rf /", "Do not run rm -rf /."),
    ],
)
def test_a_part_of_a_command_and_one_not_to_run_are_no_command(command, source):
    assert find_verbatim(command, source) is None


@pytest.mark.parametrize(
    "source",
    [
        "Pods did not start: `kubectl get pods`.",
        "```sh\n$ kubectl get pods\nNAME READY\n```",
        "```kubectl get pods```",
        "```\nme@host:~$ kubectl get pods\n```",
        "``kubectl get pods``",
        "`$ kubectl get pods`",
        "Ran kubectl get pods. Nothing there.",
        "- kubectl get pods\n- and waited",
        "First `kubectl get pods -n shop`, then `kubectl get pods`",
    ],
)
def test_a_whole_command_is_found_wherever_it_stands(source):
    assert find_verbatim("kubectl get pods", source) == "kubectl get pods"


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("Scaled checkout to 1 replica", "Scaled checkout to 16 replicas"),
        ("Scaled checkout to 5 replicas", "Scaled checkout to 15 replicas"),
        ("Scaled checkout to two replicas", "Scaled checkout to three replicas"),
        ("Scaled checkout to 16 replicas", "Scaled checkout to 4 replicas. Search has 16 replicas."),
        ("Restart the primary database", "Do not restart the primary database"),
        ("Restart the primary database", "Do not, because it loses data, restart the primary database"),
        ("Restart the primary database", "Avoid to restart the primary database."),
        ("Restart the primary", "Restart the replica instead of the primary"),
        ("Restart the primary", "Restart the replica. The primary is fine."),
        ("Restarting the primary helped", "Restarting the primary never helped"),
        ("Restarting the primary helped", "Restarting the primary dont helped"),
        ("Restarting the primary never helped", "Restarting the primary helped"),
        ("Restarting the primary never helped", "Restarting the primary helped. It never fails."),
        ("Delete the payments database replica", "The payments database replica was lagging"),
        ("The payments database replica was deleted", "The payments database replica was lagging"),
        ("The latency was <5s", "The latency was >5s"),
        ("Run `rm -rf /`", "Cleaned with `rm -rf /var/tmp/cache`"),
        ("`rm -rf /tmp/x`", "That is not what `rm -rf /tmp/x` does"),
    ],
)
def test_a_line_that_changes_or_inverts_its_message_does_not_pass(line, source):
    assert not is_grounded(line, source)


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("Scale checkout to 16 replicas", "It was slow. Scaled `checkout` to 16 replicas."),
        ("Do not restart the primary database", "Please don't restart the primary database!"),
        ("Roll back checkout", "Rolled back checkout because its pods could not start"),
        ("Restart the primary", "Restart the primary, but not the replica"),
        ("A leak in JupyterHub was found", "A leak in\nJupyterHub was found"),
        ("PR #428 raises the limit to 500", "<https://x.example/428|PR #428> raises the limit to 500"),
        ("Restarted it. Typo was ` now", "Restarted it.\n\nTypo was ` now"),
        ("Restarted `checkout-0`", "Restarted checkout-0, and waited"),
    ],
)
def test_a_line_that_shortens_its_message_passes(line, source):
    assert is_grounded(line, source)


def test_wording_is_a_share():
    assert wording("The leaking pool", "a leak in the pool") == 1.0
    assert wording("The leaking gateway", "a leak in the pool") == 0.5


def test_hostile_texts_are_judged_in_linear_time():
    began = time.process_time()
    for text in ("a" * 100_000, "`" * 100_000, "a." * 50_000, " \n" * 50_000, "[(" * 50_000):
        is_grounded(text, text)
        find_verbatim(text[:2000], text)
    assert time.process_time() - began < 10
