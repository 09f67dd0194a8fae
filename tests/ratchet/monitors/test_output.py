"""What a monitor's program is given and what it may say."""

import json
from datetime import UTC, datetime

import pytest

from agent.redaction import Redactor
from ratchet.monitors.config import Monitor
from ratchet.monitors.output import BadOutput, Output, read_output, write_input
from ratchet.monitors.program import run_program
from storage.steps import NewArrival
from tools.json_schema import Schema

MONITOR = Monitor("access", "C1", "{{.Message.Text}}", Schema(True), ("/bin/cat",))
HOSTILE = {
    "a command": "; touch /tmp/pwned; #",
    "a substitution": "$(touch /tmp/pwned) `touch /tmp/pwned` ${IFS}",
    "an option": "-rf --help --eval 1",
    "NUL": "before\x00after",
    "newlines": "one\r\ntwo\nthree\u2028four",
    "quotes": '\'"\\\'\\\\" \', "slug": "other',
    "bidi": "\u202egnp.exe\u2066\u2069\u200b\ufeff",
    "control characters": "\x1b[2J\x07\x08\x7f\x1a\x04",
    "a megabyte": "A" * 1_000_000,
    "JSON": '{"direct_messages": [{"email": "a@example.com", "text": "x"}]}\n{"slug": 1}',
    "placeholders": "{{.Message.User}} {{.Message.Text}} %s {0} $schema",
    "half a character": "\ud800 lone \udfff 💥",
}


def arrival(text):
    return NewArrival(
        team_id="T1",
        channel_id="C1",
        channel_name="ops",
        ts="1.000001",
        thread_ts=None,
        user_id="U1",
        author="someone",
        is_bot=False,
        text=text,
        permalink="https://acme.slack.com/archives/C1/p1000001",
        alert_action="none",
        posted_at=datetime.now(UTC),
    )


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_hostile_text_reaches_the_program_as_data_only(kind):
    text = HOSTILE[kind]
    written = await run_program(["/bin/cat"], write_input(MONITOR, arrival(text), {"said": text}), longest=9_000_000)
    assert written.stdout.isascii() and b"\x00" not in written.stdout and written.stdout.count(b"\n") == 0
    assert json.loads(written.stdout) == {
        "slug": "access",
        "channel_id": "C1",
        "slack_ts": "1.000001",
        "llm_output": json.dumps({"said": text}),
        "message": {
            "text": text,
            "user": "U1",
            "thread_ts": "",
            "permalink": "https://acme.slack.com/archives/C1/p1000001",
        },
    }


@pytest.mark.parametrize(
    "stdout",
    ["", "  \n", "{}", "null-lists", '{"direct_messages": [], "else": {"a": 1}}'],
)
def test_a_program_with_nothing_to_say_posts_nothing(stdout):
    stdout = stdout.replace("null-lists", '{"direct_messages": null, "channel_messages": null}')
    assert read_output(stdout.encode(), str) == Output()


def test_messages_are_read_and_cleaned_of_secrets():
    stdout = json.dumps({
        "direct_messages": [{"email": "a@example.com", "text": "the key is hunter2hunter2", "color": "red"}],
        "channel_messages": [
            {"channel_id": "C1", "text": "one", "slack_ts": ""},
            {"channel_id": "G1", "text": "two", "slack_ts": "1.000001"},
        ],
    })  # fmt: skip
    output = read_output(stdout.encode(), Redactor(["hunter2hunter2"]).clean)
    assert [m.text for m in output.direct_messages] == ["the key is [redacted]"]
    assert [(m.channel_id, m.slack_ts) for m in output.channel_messages] == [("C1", None), ("G1", "1.000001")]


@pytest.mark.parametrize(
    ("stdout", "says"),
    [
        (b"ok", "Invalid JSON"),
        (b"[]", "valid dictionary|object"),
        (b"{} {}", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b'{"direct_messages": [{"text": "x"}]}', "direct_messages.0.email: Field required"),
        (b'{"direct_messages": [{"email": "a@b", "text": ""}]}', "direct_messages.0.text"),
        (b'{"channel_messages": [{"channel_id": "#ops", "text": "x"}]}', "channel_messages.0.channel_id"),
        (
            b'{"channel_messages": [{"channel_id": "C1", "text": "x", "slack_ts": "now"}]}',
            "channel_messages.0.slack_ts",
        ),
        (b'{"channel_messages": {"channel_id": "C1", "text": "x"}}', "channel_messages: Input should be a valid array"),
        (json.dumps({"direct_messages": [{"email": "a@b", "text": "x"}] * 51}).encode(), "at most 50 items"),
        (b"[" * 100_000, "Invalid JSON"),
    ],
)
def test_output_of_another_shape_is_refused_with_its_place(stdout, says):
    with pytest.raises(BadOutput, match=says):
        read_output(stdout, str)
