"""Payloads of every type, well-formed and not."""

from pathlib import Path

import pytest
import yaml

from slack_app import payloads
from slack_app.command_words import is_stop
from slack_app.events import (
    ChannelChange,
    Click,
    Command,
    IncomingMessage,
    Membership,
    MessageChanged,
    MessageDeleted,
    Profile,
    Reaction,
    SessionStopped,
)
from slack_app.files import File
from slack_app.payloads import BadPayload, parse, parse_user
from storage.channels import User


def callback(event, **fields):
    return {"type": "event_callback", "event_id": "E1", "team_id": "T1", "event": event, **fields}


def message(**fields):
    return {"type": "message", "channel": "C1", "channel_type": "channel", "ts": "1.0", "user": "U1", **fields}


def test_a_message_is_read_with_its_place_author_and_text():
    envelope = parse(callback(message(text="down", thread_ts="0.5", edited={"ts": "2.0"})))
    assert (envelope.event_id, envelope.team_id, envelope.kind) == ("E1", "T1", "message")
    assert envelope.event == IncomingMessage(
        team_id="T1",
        channel_id="C1",
        channel_kind="public",
        ts="1.0",
        thread_ts="0.5",
        user_id="U1",
        bot_id=None,
        bot_username=None,
        subtype=None,
        raw_text="down",
        text="down",
        edited_ts="2.0",
    )
    assert not envelope.event.is_bot


@pytest.mark.parametrize(
    ("channel_type", "kind"),
    [("channel", "public"), ("group", "private"), ("im", "im"), ("mpim", "mpim"), ("app_home", None), (None, None)],
)
def test_a_channels_kind_comes_from_its_type(channel_type, kind):
    assert parse(callback(message(channel_type=channel_type))).event.channel_kind == kind


def test_a_mention_without_a_channel_type_has_no_kind():
    event = message(type="app_mention", text="<@UBOT> hi")
    del event["channel_type"]
    assert parse(callback(event)).event.channel_kind is None


@pytest.mark.parametrize(
    "fields",
    [
        {"bot_id": "B1"},
        {"subtype": "bot_message", "username": "monitor", "user": None},
        {"bot_id": "B1", "bot_profile": {"name": "monitor"}},
    ],
)
def test_what_an_integration_wrote_is_a_bots(fields):
    assert parse(callback(message(**fields))).event.is_bot


@pytest.mark.parametrize(
    "subtype", ["channel_join", "channel_topic", "message_replied", "huddle_thread", "pinned_item"]
)
def test_slacks_own_notices_are_no_messages(subtype):
    assert parse(callback(message(subtype=subtype))).event is None


def test_the_parent_of_a_thread_is_a_top_level_message():
    assert parse(callback(message(thread_ts="1.0"))).event.thread_ts is None


def test_edits_and_deletions_are_read():
    inner = {"ts": "1.0", "user": "U1", "text": "new", "edited": {"ts": "2.0"}}
    changed = parse(callback(message(subtype="message_changed", message=inner))).event
    assert isinstance(changed, MessageChanged)
    assert (changed.message.text, changed.message.edited_ts, changed.message.channel_id) == ("new", "2.0", "C1")
    deleted = parse(callback(message(subtype="message_deleted", deleted_ts="1.0"))).event
    tombstone = {"ts": "1.0", "subtype": "tombstone", "text": "This message was deleted."}
    assert deleted == MessageDeleted("T1", "C1", "1.0")
    assert parse(callback(message(subtype="message_changed", message=tombstone))).event == deleted


def test_a_change_that_slack_does_not_mark_as_edited_counts_as_one():
    inner = {"ts": "1.0", "bot_id": "B1", "attachments": [{"text": "[RESOLVED] DiskFull"}]}
    changed = parse(callback(message(subtype="message_changed", ts="3.0", event_ts="3.0", message=inner))).event
    assert changed.message.edited_ts == "3.0"
    by_person = {"ts": "1.0", "user": "U1", "text": "a link that was unfurled"}
    changed = parse(callback(message(subtype="message_changed", ts="3.0", event_ts="3.0", message=by_person))).event
    assert changed.message.edited_ts == "3.0"
    later = {**by_person, "edited": {"ts": "2.0"}, "attachments": [{"text": "the link's preview"}]}
    changed = parse(callback(message(subtype="message_changed", ts="4.0", event_ts="4.0", message=later))).event
    assert (changed.message.edited_ts, changed.message.text) == ("4.0", "a link that was unfurled\nthe link's preview")


@pytest.mark.parametrize(
    ("given", "name"),
    [("thumbsup", "+1"), ("+1::skin-tone-3", "+1"), ("thumbsdown::skin-tone-2", "-1"), ("eyes", "eyes")],
)
def test_a_reaction_has_one_name_whatever_its_alias_and_skin_tone(given, name):
    event = {
        "type": "reaction_added",
        "user": "U1",
        "reaction": given,
        "item": {"type": "message", "channel": "C1", "ts": "1.0"},
    }
    assert parse(callback(event)).event == Reaction("T1", "C1", "1.0", "U1", name, added=True)
    assert not parse(callback({**event, "type": "reaction_removed"})).event.added
    assert parse(callback({**event, "item": {"type": "file", "file": "F1"}})).event is None


def test_joining_and_leaving_are_read():
    event = {"type": "member_joined_channel", "user": "U1", "channel": "G1", "channel_type": "G"}
    assert parse(callback(event)).event == Membership("T1", "G1", "private", "U1", joined=True)
    assert parse(callback({**event, "type": "member_left_channel"})).event == Membership(
        "T1", "G1", "private", "U1", joined=False
    )


def test_a_command_and_a_click_are_read():
    body = {
        "command": "/ratchet",
        "text": " why? ",
        "team_id": "T1",
        "channel_id": "C1",
        "user_id": "U1",
        "trigger_id": "1.2.3",
    }
    envelope = parse(body)
    assert envelope.event_id == "command:1.2.3"
    assert envelope.event == Command("T1", "C1", "U1", "/ratchet", "why?", "1.2.3")
    click = {
        "type": "block_actions",
        "team": {"id": "T1"},
        "user": {"id": "U1"},
        "channel": {"id": "C1"},
        "trigger_id": "1.2.4",
        "message": {"ts": "1.0"},
        "actions": [{"action_id": "approve", "value": "7", "action_ts": "9.0"}],
    }
    envelope = parse(click)
    assert envelope.event == Click("T1", "C1", "U1", "approve", "7", "1.0")
    again = parse({**click, "actions": [{"action_id": "deny", "action_ts": "9.0"}]})
    assert envelope.event_id != again.event_id


@pytest.mark.parametrize(
    "body",
    [
        callback({"type": "app_context_changed", "user": "U1"}),
        callback({"type": "app_home_opened", "user": "U1", "channel": "D1", "tab": "about"}),
        {"type": "view_submission", "view": {"id": "V1"}},
    ],
)
def test_what_ratchet_does_not_know_has_an_id_and_no_event(body):
    envelope = parse(body)
    assert envelope.event is None and envelope.event_id in {"E1", "view_submission:V1"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "event_callback"},
        {"type": "event_callback", "event_id": "E1", "team_id": "T1", "event": []},
        {"type": "event_callback", "event_id": "E1", "team_id": "T1", "event": {}},
        {"type": "event_callback", "team_id": "T1", "event": message()},
        callback({"type": "message", "channel": "C1"}),
        callback({"type": "message", "ts": "1.0"}),
        callback(message(edited="yes")),
        callback(message(ts="soon")),
        callback(message(ts=None)),
        callback(message(subtype="message_changed")),
        callback(message(subtype="message_changed", message="x")),
        callback(message(subtype="message_deleted")),
        callback({"type": "reaction_added", "user": "U1", "reaction": "eyes"}),
        callback({"type": "member_joined_channel", "channel": "C1"}),
        {"command": "/ratchet"},
        {"type": "block_actions", "actions": []},
        {"type": "view_submission", "view": "V1"},
        {"type": "shortcut", "team": "T1"},
        {"type": "url_verification"},
    ],
)
def test_a_malformed_payload_is_told_as_such(body):
    with pytest.raises(BadPayload):
        parse(body)


def test_every_event_that_is_read_is_one_that_the_manifest_subscribes_to():
    manifest = yaml.safe_load((Path(__file__).parents[2] / "configs" / "app-manifest.yaml").read_text())
    subscribed = {name.split(".")[0] for name in manifest["settings"]["event_subscriptions"]["bot_events"]}
    assert set(payloads.PARSERS) <= subscribed


@pytest.mark.parametrize(
    ("event", "change", "name"),
    [
        ({"type": "channel_rename", "channel": {"id": "C1", "name": "ops-2"}}, "renamed", "ops-2"),
        ({"type": "group_rename", "channel": {"id": "C1", "name": "ops-2"}}, "renamed", "ops-2"),
        ({"type": "channel_archive", "channel": "C1", "user": "U1"}, "archived", ""),
        ({"type": "group_unarchive", "channel": "C1", "user": "U1"}, "unarchived", ""),
        ({"type": "channel_deleted", "channel": "C1"}, "deleted", ""),
        (message(subtype="channel_convert_to_private", channel_type="group"), "closed", ""),
        (message(subtype="channel_convert_to_public"), "opened", ""),
        (message(subtype="channel_name", name="ops-2"), "renamed", "ops-2"),
    ],
)
def test_what_happens_to_a_channel_is_read_from_events_and_notices(event, change, name):
    assert parse(callback(event)).event == ChannelChange("T1", "C1", change, name)


def test_a_profile_is_read_with_its_rights():
    user = {"id": "U1", "team_id": "T9", "name": "one", "profile": {"display_name": "One"}, "is_restricted": True}
    told = parse(callback({"type": "user_change", "user": user})).event
    assert told == Profile(User("T1", "U1", "One", is_bot=False, is_guest=True, is_stranger=True))


def test_files_and_reactions_are_part_of_a_message():
    file = {"id": "F1", "name": "a\nb.txt", "mimetype": "text/plain", "size": 7, "permalink": "p", "url_private": "u"}
    reactions = [{"name": "thumbsup", "users": ["U1"]}, {"name": "+1::skin-tone-2", "users": ["U2"]}, {"name": "eyes"}]
    told = parse(callback(message(subtype="file_share", files=[file, "odd"], reactions=reactions))).event
    assert told.files == (File("F1", "a b.txt", "text/plain", 7, "p", "u", ""),) and told.files[0].is_unread
    assert told.attrs() == {
        "subtype": "file_share",
        "files": [{"id": "F1", "name": "a b.txt", "mimetype": "text/plain", "size": 7, "permalink": "p"}],
        "reactions": {"+1": ["U1", "U2"]},
    }
    previewed = parse(callback(message(files=[{**file, "preview": "first line"}]))).event
    assert previewed.text.endswith("[file: a b.txt (text/plain)]\nfirst line") and not previewed.files[0].is_unread


@pytest.mark.parametrize("flag", ["is_admin", "is_owner", "is_primary_owner"])
def test_admins_and_owners_count_as_admins(flag):
    assert parse_user("T1", {"id": "U1", flag: True}).is_admin
    assert not parse_user("T1", {"id": "U1", flag: False}).is_admin


def test_stop_names_its_thread_and_when_it_was_pressed():
    event = {"type": "agent_session_stopped", "channel": "C1", "thread_ts": "1.0", "user": "U1"}
    stopped = parse(callback({**event, "streaming_message_ts": ["1.5"], "event_ts": "2.0"})).event
    assert stopped == SessionStopped("T1", "C1", "1.0", "U1", "2.0")
    assert parse(callback(event)).event == SessionStopped("T1", "C1", "1.0", "U1", None)
    with pytest.raises(BadPayload):
        parse(callback({**event, "thread_ts": "1; drop"}))


@pytest.mark.parametrize(
    ("said", "stops"),
    [
        ("stop", True),
        (" /STOP! ", True),
        ("Stop.", True),
        ("stop the deploy", False),
        ("don't stop", False),
        ("", False),
    ],
)
def test_only_the_word_alone_stops(said, stops):
    assert is_stop(said) is stops
