import asyncio

import pytest

from storage.batches import GroupCommit


class Table:
    """Commits groups slowly and keeps them; refuses a group with a negative number in it."""

    def __init__(self):
        self.groups = []
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, group):
        await self.open.wait()
        if any(item < 0 for item in group):
            raise ValueError(f"refused: {min(group)}")
        self.groups.append(group)


async def test_what_comes_while_a_group_is_written_goes_together_in_the_next():
    table = Table()
    commits = GroupCommit(table.write, lanes=1)
    table.open.clear()
    first = asyncio.create_task(commits.add(1))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(commits.add(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0.01)
    assert not first.done() and not any(task.done() for task in others)
    table.open.set()
    await asyncio.gather(first, *others)
    assert table.groups == [[1], [2, 3, 4]]


async def test_one_refused_item_fails_alone():
    table = Table()
    commits = GroupCommit(table.write, lanes=1)
    found = await asyncio.gather(*(commits.add(number) for number in (1, -2, 3)), return_exceptions=True)
    assert found[0] is None and found[2] is None
    with pytest.raises(ValueError, match="refused: -2"):
        raise found[1]
    assert table.groups == [[1], [3]]


async def test_a_cancelled_caller_leaves_the_others_alone():
    table = Table()
    commits = GroupCommit(table.write, lanes=1)
    table.open.clear()
    first, second = (asyncio.create_task(commits.add(number)) for number in (1, 2))
    await asyncio.sleep(0.01)
    first.cancel()
    table.open.set()
    await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert table.groups == [[1, 2]]


async def test_it_writes_again_after_it_was_idle():
    table = Table()
    commits = GroupCommit(table.write)
    await commits.add(1)
    await asyncio.sleep(0.01)
    await commits.add(2)
    assert table.groups == [[1], [2]]


async def test_whoever_adds_the_moment_its_last_item_was_committed_is_not_forgotten():
    written = []

    async def write(group):
        written.extend(group)

    commits = GroupCommit(write, lanes=1)
    async with asyncio.timeout(5):
        for number in range(100):
            await commits.add(number)
    assert written == list(range(100))
