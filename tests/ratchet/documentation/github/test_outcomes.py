"""An update whose outcome is not known: what is told, and that a repetition finishes it."""

import asyncio
from dataclasses import replace

import pytest
from langchain_core.tools import ToolException

from sandbox.github.faults import Fault
from tests.ratchet.documentation.github.test_updates import BRANCH, CALL, TURN, Killed, desk, guide  # noqa: F401

DOWN = Fault("*", "status", 999, 503, "Unavailable")


async def cut_off(desk):  # noqa: F811
    """The gate knows that an earlier attempt at the call did not end."""
    async with desk.database.connection() as conn:
        await conn.execute(
            "insert into effects (turn_id, tool_call_id, tool, state) values (%s, %s, 'update_doc', 'unknown')",
            (TURN, CALL),
        )


@pytest.fixture
async def taken(desk, guide, monkeypatch):  # noqa: F811
    """An approval, and a GitHub that takes the pull request and then has trouble for a while."""
    approval = await desk.approve(guide)
    real = desk.github._pull_request

    async def then_down(head):
        if desk.repository.pulls:
            desk.server.faults.add(Fault("pulls.list", "status", 99, 503, "Unavailable"))
        return await real(head)

    monkeypatch.setattr(desk.github, "_pull_request", then_down)
    desk.server.faults.add(Fault("pulls.create", "drop_after", 1))
    yield approval
    assert len(desk.repository.pulls) == 1


async def test_a_pull_request_that_may_be_there_is_not_denied(desk, guide, taken, monkeypatch):  # noqa: F811
    told = await desk.run(guide, taken)
    assert told.status == "error"  # so the gate keeps the effect as one that may have happened
    assert told.content.startswith("Unknown outcome") and f"the branch {BRANCH} of acme/docs" in told.content
    assert "503" in told.content and "no pull request was opened" not in told.content.lower()
    monkeypatch.undo()
    desk.server.faults.clear()
    assert (await desk.run(guide, taken))["number"] == 1


@pytest.mark.parametrize("operation", ["ref.create", "contents.put", "pulls.create"])
async def test_trouble_at_the_first_look_of_a_repetition_is_unknown(desk, guide, operation, monkeypatch):  # noqa: F811
    approval = await desk.approve(guide)

    async def die(*_):
        raise Killed

    desk.server.faults.add(Fault(operation, "drop_after"))
    with monkeypatch.context() as patch:
        patch.setattr("ratchet.documentation.github.TRIES", 1)
        patch.setattr(desk.updates, "_settle", die)
        with pytest.raises(Killed):
            await desk.run(guide, approval)
    await cut_off(desk)
    desk.server.faults.add(replace(DOWN))
    told = await desk.run(guide, approval)
    assert told.status == "error" and BRANCH in told.content and "Not done" not in told.content
    desk.server.faults.clear()
    assert (await desk.run(guide, approval))["number"] == 1
    assert len(desk.repository.pulls) == 1


@pytest.mark.parametrize("pause", [0.1, 0.45])
async def test_a_slow_github_ends_the_call_before_the_gate_does(desk, guide, pause, monkeypatch):  # noqa: F811
    approval = await desk.approve(guide)
    real = desk.github._send

    async def slow(*args):
        await asyncio.sleep(pause)
        return await real(*args)

    monkeypatch.setattr(desk.github, "_send", slow)
    desk.updates.seconds = 1.2
    async with asyncio.timeout(desk.updates.seconds):
        if pause > 0.2:  # not even the look afterwards is answered
            told = (await desk.run(guide, approval)).content
            assert told.startswith("Unknown outcome")
        else:
            with pytest.raises(ToolException, match="GitHub was too slow") as error:
                await desk.run(guide, approval)
            told = str(error.value)
            assert list(desk.repository.branches) == ["main"]
    assert BRANCH in told
    assert not desk.repository.pulls


async def test_a_conflict_takes_back_what_an_earlier_attempt_left(desk, guide):  # noqa: F811
    approval = await desk.approve(guide)
    desk.repository.branches[BRANCH] = desk.repository.branches["main"]
    await cut_off(desk)
    desk.repository.commit({"docs/guide.md": "# Guide\n\nAll new.\n"})
    with pytest.raises(ToolException, match="was changed between"):
        await desk.run(guide, approval)
    assert list(desk.repository.branches) == ["main"]
