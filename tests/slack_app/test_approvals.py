"""What an approver sees, and what can be written into a modal."""

import pytest

from slack_app.approval_messages import reveal
from slack_app.approvals import read_arguments
from slack_app.approvers import ApproverDirectory, ApproverLookupError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, äöü, 漢字\n\tindented", "plain, äöü, 漢字\n\tindented"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\u200bb\u2066c", "a⟨U+200B⟩b⟨U+2066⟩c"),
        ("a\rb\x1b[0m", "a⟨U+000D⟩b⟨U+001B⟩[0m"),
        ("a\u00a0b\u3000\u2009 c", "a⟨U+00A0⟩b⟨U+3000⟩⟨U+2009⟩ c"),
        ("\U0001d159\U00016fe4\U0001bc9d\ufffc\u0378", "⟨U+1D159⟩⟨U+16FE4⟩⟨U+1BC9D⟩⟨U+FFFC⟩⟨U+0378⟩"),
        ("\u115f\u1160\u17b4\u17b5\uffa0\u2800", "⟨U+115F⟩⟨U+1160⟩⟨U+17B4⟩⟨U+17B5⟩⟨U+FFA0⟩⟨U+2800⟩"),
        ("\U000e0041\u3164\ufe0f\u2028", "⟨U+E0041⟩⟨U+3164⟩⟨U+FE0F⟩⟨U+2028⟩"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert reveal(text) == shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a", "one line for each"),
        ("1: a", "one line for each"),
        ("a: [", "no YAML"),
        ("a: .nan", "Only texts"),
        ("a: 2024-01-01", "quotes"),
        ("a: &x 1\nb: *x", "aliases"),
        ("a: !!python/object:os.system {}", "no YAML"),
    ],
)
def test_what_is_no_arguments_is_refused(text, says):
    assert says in read_arguments(text)[1]


def test_arguments_are_read():
    assert read_arguments("a: 'x: y'\nb: [1, true, null]\n") == ({"a": "x: y", "b": [1, True, None]}, None)


async def test_approvers_are_found_by_what_nobody_else_can_take(sandbox, people, slack, user, database):
    await people.create_user("mallory", real_name="oncall-b", email="mallory@example.com")
    await people.create_user("robot", is_bot=True)
    sandbox.slack.usergroups["S0000001"] = ("sre", [user["oncall-a"], user["oncall-b"]])
    directory = ApproverDirectory(slack, database, sandbox.workspace.team_id)
    assert await directory.resolve(["@oncall-b", "oncall-b"]) == [user["oncall-b"]]
    assert await directory.resolve(["@sre", "U12345678", "@oncall-a"]) == [
        user["oncall-a"],
        user["oncall-b"],
    ]
    assert await directory.resolve(["S0000001"]) == [user["oncall-a"], user["oncall-b"]]
    assert await directory.resolve(["mallory@example.com"]) != [user["oncall-b"]]
    assert await directory.resolve(["@robot", "@nobody", "nobody@example.com", "S9999999"]) == []


async def test_where_slack_does_not_say_who_approvers_are_nobody_is(people, slack, database):
    await people.fault("users.list", "error", error="internal_error", times=3)
    with pytest.raises(ApproverLookupError, match="internal_error"):
        await ApproverDirectory(slack, database, "T1").resolve(["@oncall-b"])
