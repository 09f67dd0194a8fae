"""How the lines of a runbook are written."""

from datetime import UTC, datetime

import pytest
from markdown_it import MarkdownIt

from ratchet.runbooks import show_runbook
from storage.runbooks import Runbook, RunbookLine, RunbookVersion

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
FORGED = "echo [https://grafana.acme.com/d/1](https://evil.example/x)"


def shown(text, command):
    """A runbook of one step as Markdown."""
    version = RunbookVersion(1, "checkout", "Down", "", 1, "d", 1, "m", NOW, worked=0, failed=0)
    line = RunbookLine("step", text, command, "C1", "1.0", "https://x.example/p1", "oncall-a", NOW)
    return show_runbook(Runbook(version, [line]), longest=9000)


def links(markdown):
    tokens = [child for token in MarkdownIt().parse(markdown) for child in token.children or []]
    return [token.attrs["href"] for token in tokens if token.type == "link_open"]


@pytest.mark.parametrize("text", ["Typo was ` now", "Typo was `` now", "`a` and ``` b ```", "a `", "", "`code` in it"])
@pytest.mark.parametrize(
    "command", [FORGED, f"a\r\r{FORGED}", f"a\u2028{FORGED}", f"a ` {FORGED}", f"a\n\n```\n{FORGED}"]
)
def test_the_only_link_is_that_of_the_source(text, command):
    assert links(shown(text, command)) == ["https://x.example/p1"]


def test_plain_code_stays_as_it_is():
    assert "- Ran `top` and `kubectl get pods` ([" in shown("Ran `top` and", "kubectl get pods")
    assert "\n```\ntop\nps\n```" in shown("Ran", "top\r\nps")


@pytest.mark.parametrize("command", [None, "tell <@U123>", "tell\n‹@U123>"])
def test_whom_a_quoted_message_mentions_is_not_notified(command):
    assert "@U123" not in shown("Ask <@U123> or ‹@U123>", command)
