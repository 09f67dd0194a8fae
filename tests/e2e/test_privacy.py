"""What the requester may not read, or the thread's readers may not, is in no answer and no tool result."""

CANARY = "cobalt-heron-17"
ASK = [
    {
        "match": "canary",
        "steps": [
            {
                "tool_calls": [
                    {"name": "search_messages", "args": {"query": CANARY}},
                    {"name": "search_messages", "args": {"query": CANARY, "channel": "#secrets"}},
                    {"name": "find_recent_activity", "args": {"query": CANARY, "window": "1d"}},
                    {"name": "list_channels", "args": {}},
                    {"name": "read_thread", "args": {"channel": "secrets", "thread_ts": "1"}},
                ]
            },
            {"text": "Results: {tools}"},
        ],
    }
]


async def arrange(world):
    await world.client.script(ASK)
    await world.client.say("secrets", f"the launch code is {CANARY}", user="oncall-a")


async def ask(world, channel, user, *, mention=True):
    text = f"<@{world.sandbox.bot_user_id}> canary?" if mention else "canary?"
    ts = await world.client.say(channel, text, user=user)
    (answer,) = await world.answers(channel, ts)
    return answer


async def test_who_is_not_in_a_private_channel_sees_nothing_of_it(world):
    async with world.ratchet() as services:
        await arrange(world)
        answer = await ask(world, "ops", "oncall-b")
        dm = await ask(world, await world.client.dm("oncall-b"), "oncall-b", mention=False)
        assert "launch code" not in answer + dm and "#secrets (" not in answer + dm
        async with services.database.connection() as conn:
            for table in ("checkpoint_blobs", "checkpoint_writes"):
                rows = await (await conn.execute(f"select blob from {table}")).fetchall()
                assert not [row for row in rows if row[0] and b"launch code" in row[0]]


async def test_a_member_sees_it_in_that_channel_and_in_the_own_dm_but_not_in_public(world):
    async with world.ratchet():
        await arrange(world)
        assert "launch code" in await ask(world, "secrets", "oncall-a")
        assert "launch code" in await ask(world, await world.client.dm("oncall-a"), "oncall-a", mention=False)
        assert "launch code" not in await ask(world, "ops", "oncall-a")


async def test_leaving_the_channel_ends_the_right(world):
    async with world.ratchet():
        await arrange(world)
        dm = await world.client.dm("oncall-a")
        assert "launch code" in await ask(world, dm, "oncall-a", mention=False)
        await world.client.leave("secrets", "oncall-a")
        assert "launch code" not in await ask(world, dm, "oncall-a", mention=False)
