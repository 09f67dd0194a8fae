"""What a turn's calls would have found elsewhere is counted, whatever the model wrote in them."""

from datetime import UTC, datetime

import pytest

from storage.access import Viewer
from tools.unseen import FINDERS, Unseen, count_unseen


@pytest.mark.parametrize("days", [[7], {"days": 7}, "week", 1e400, None])
@pytest.mark.parametrize("tool", sorted(FINDERS))
async def test_arguments_that_cannot_be_read_count_nothing(memory, tool, days):
    args = {"channel": "#ops", "days": days, "query": days, "since": days, "permalink": days, "alert": days}
    async with memory.database.connection() as conn:
        assert await count_unseen(conn, Viewer("T1", "U1", "C1"), [(tool, args)], datetime.now(UTC)) == Unseen()
