"""The buttons under the last part of an answer. Pure builders."""

from __future__ import annotations

from typing import Any

from storage.turns import Outcome, Turn

FEEDBACK = "feedback"
RETRY = "retry"
GOOD, BAD = "good", "bad"


def footer(turn: Turn, outcome: Outcome) -> list[dict[str, Any]]:
    """Slack blocks to stand below an answer; none below notices of failures, greetings and the like."""
    if outcome.failed or not outcome.answered:
        return []
    return [actions(turn), feedback(turn)]


def actions(turn: Turn) -> dict[str, Any]:
    """What people can have done with the answer."""
    retry = {
        "type": "button",
        "text": {"type": "plain_text", "text": "Retry from here"},
        "action_id": RETRY,
        "value": str(turn.turn_id),
    }
    return {"type": "actions", "block_id": "answer", "elements": [retry]}


def feedback(turn: Turn) -> dict[str, Any]:
    """Thumbs up and down; the values are ``good.TURN_ID`` and ``bad.TURN_ID``."""
    return {
        "type": "context_actions",
        "elements": [
            {
                "type": "feedback_buttons",
                "action_id": FEEDBACK,
                "positive_button": _button("👍", "This answer helped", f"{GOOD}.{turn.turn_id}"),
                "negative_button": _button("👎", "This answer did not help", f"{BAD}.{turn.turn_id}"),
            }
        ],
    }


def _button(text: str, label: str, value: str) -> dict[str, Any]:
    return {"text": {"type": "plain_text", "text": text}, "accessibility_label": label, "value": value}
