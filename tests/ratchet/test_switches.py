"""The operators' policy stays in charge of what channel managers switch."""

import asyncio

import pytest

from ratchet.policies import policies_of
from ratchet.sections import Policy, PolicySettings
from ratchet.switches import Switches, open_switches
from storage import channel_switches
from storage.access import Viewer
from storage.channels import User, upsert_users


def policies(switched, default=None, **channels):
    named = {name: Policy(**policy) for name, policy in channels.items()}
    return policies_of(PolicySettings(default=Policy(**default or {}), channels=named), [], switched=switched)


@pytest.fixture(autouse=True)
def no_tools(monkeypatch):
    monkeypatch.setattr("ratchet.policies._resolve", lambda *given: [])


def test_a_switch_counts_only_where_the_policy_lists_it():
    switched = {("C1", "report"): False, ("C1", "docs"): True, ("C2", "docs"): True}
    found = policies(
        switched, {"auto": ["report"], "switches": ["docs"]}, ops={"auto": ["report"], "switches": ["report"]}
    )
    assert not found.does_unasked("report", "C1", "ops")
    assert found.does_unasked("report", "C1", "other"), "the default policy does not leave it to anybody"
    assert found.does_unasked("docs", "C2", "help") and not found.does_unasked("docs", "C3", "help")
    assert not found.does_unasked("docs", "C1", "ops")
    assert found.switches("C1", "ops") == {"report": False} and found.switches("C3", "x") == {"docs": False}


def test_a_channels_name_is_needed_where_a_policy_goes_by_name_and_none_by_its_id():
    assert not policies({}).needs_name("C012AB3CD")
    assert not policies({}, C012AB3CE={}).needs_name("C012AB3CD")
    by_name = policies({}, ops={}, C012AB3CE={})
    assert by_name.needs_name("C012AB3CD") and not by_name.needs_name("C012AB3CE")


def test_something_is_done_somewhere_as_soon_as_somebody_switched_it_on():
    switched = {}
    found = policies(switched, ops={"switches": ["report"]})
    assert not found.does_unasked_somewhere("report")
    switched["C1", "report"] = False
    assert not found.does_unasked_somewhere("report")
    switched["C2", "report"] = True
    assert found.does_unasked_somewhere("report") and not found.does_unasked_somewhere("docs")
    assert not policies(switched).does_unasked_somewhere("report")


def test_reminders_need_somebody_to_remind_also_where_they_are_a_switch():
    with pytest.raises(ValueError, match="switches: unanswered needs an owner"):
        Policy(switches=["unanswered"])
    assert Policy(switches=["unanswered"], owner="U1").switches == ["unanswered"]


async def test_switches_are_read_at_start_and_followed(database, memory):
    await memory.channel("C1")
    async with database.connection() as conn:
        await upsert_users(
            conn, [User("T1", "U1", "a", is_bot=False, is_guest=False, is_stranger=False, is_admin=True)]
        )
        await channel_switches.set_state(conn, Viewer("T1", "U1", "", audience="workspace"), "C1", "report", is_on=True)
    async with open_switches(database, "T1") as switches:
        held = switches.states
        assert held == {("C1", "report"): True}
        follower = Switches(database, "T1")
        task = asyncio.create_task(follower.keep_fresh(0.01))
        async with database.connection() as conn:
            await channel_switches.set_state(
                conn, Viewer("T1", "U1", "", audience="workspace"), "C1", "report", is_on=False
            )
        await switches.refresh()
        assert held == {("C1", "report"): False}
        async with asyncio.timeout(5):
            while follower.states != held:
                await asyncio.sleep(0.01)
        task.cancel()
