"""The transcript of a turn of forty seconds, at its real pace, as somebody reads it who follows the thread."""

import pytest

from tests.e2e.test_live import STORY, Onlooker, ask, nothing_grows, pods, steps  # noqa: F401 (pods is a fixture)

LOOKS = 4
TRANSCRIPT = [
    "ratchet is thinking…",
    *(
        line
        for number in range(LOOKS)
        for line in (f"… Counting all pods of api-{number}", f"✓ Counting all pods of api-{number} — 2 results")
    ),
    "(the answer is written)",
    STORY,
]


def lines(seen, thread):
    """What happened in a thread, in its order, each thing once."""
    told, marks = [], {"in_progress": "…", "complete": "✓"}
    for _, item in seen.items:
        if item.get("thread_ts") != thread:
            continue
        if item["type"] == "status" and item.get("status"):
            told.append(f"ratchet {item['status']}")
        elif item["type"] == "stream":
            for task in item["tasks"]:
                note = f" — {task['output']}" if task.get("output") else ""
                told.append(f"{marks[task['status']]} {task['title']}{note}")
            told += ["(the answer is written)"] if item["text"] else []
    return [
        line for line in dict.fromkeys(told) if not line.startswith(("ratchet is counting", "ratchet has finished"))
    ]


@pytest.mark.timeout(180)
async def test_a_turn_of_forty_seconds_can_be_followed_to_its_one_answer(world):
    await world.client.script(steps(*[7.0] * LOOKS, chunk_delay=0.06))
    async with world.ratchet(), Onlooker(world) as seen:
        thread = await ask(world)
        [answer] = await world.answers("ops", thread, seconds=120)
    texts = dict.fromkeys(item["text"] for _, item in seen.of("stream", thread_ts=thread) if item["text"])
    assert [*lines(seen, thread), answer] == TRANSCRIPT
    assert len(texts) > 3 and all(STORY.startswith(text) for text in texts) and await nothing_grows(world, thread)
