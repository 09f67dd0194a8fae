"""The buttons below an answer, as the sandbox's Slack takes them."""

from datetime import UTC, datetime
from uuid import uuid4

from slack_app.footers import footer
from slack_app.retrying import modal
from storage.turns import Outcome, Turn


def turn():
    return Turn(
        turn_id=uuid4(), team_id="T1", channel_id="C1", thread_ts="1.0", message_ts="1.0", requester_id="U1",
        source="mention", question="?", status="running", answer=None, error=None, attempts=1,
        created_at=datetime.now(UTC), started_at=None,
    )  # fmt: skip


def test_an_answer_can_be_tried_again_and_judged_in_this_order():
    asked = turn()
    blocks = footer(asked, Outcome("42", answered=True))
    assert [block["type"] for block in blocks] == ["actions", "context_actions"]
    (button,) = blocks[0]["elements"]
    assert (button["action_id"], button["value"]) == ("retry", str(asked.turn_id))
    assert modal(button["value"])["private_metadata"] == button["value"]


def test_notices_have_no_buttons():
    assert footer(turn(), Outcome("sorry", failed=True, answered=True)) == footer(turn(), Outcome("hello")) == []
