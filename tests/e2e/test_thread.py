"""One thread, end to end: sandbox Slack, real Bolt, real queue, real Postgres, real model client."""

import asyncio
import time

LOOK = {"tool_calls": [{"name": "search_messages", "args": {"query": "OOMKilled"}}]}


async def test_a_mention_is_answered_once_in_its_thread(world):
    await world.client.script([{"match": "anybody", "steps": [LOOK, {"text": "Found: {tool[0]}"}]}])
    async with world.ratchet():
        await world.client.say("ops", "pod/checkout-7f9c was OOMKilled again", user="oncall-b")
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> anybody?", user="oncall-a")
        (answer,) = await world.answers("ops", ts)
    assert "OOMKilled again" in answer and "oncall-b" in answer


async def test_a_follow_up_in_the_thread_knows_what_was_said_even_after_a_restart(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "I know {history} earlier questions"}]}])
    async with world.ratchet():
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> one", user="oncall-a")
        await world.answers("ops", ts)
    async with world.ratchet():
        await world.client.say("ops", f"and two <@{world.sandbox.bot_user_id}>", user="oncall-a", thread_ts=ts)
        answers = await world.answers("ops", ts, count=2)
    assert answers == ["I know 0 earlier questions", "I know 1 earlier questions"]


async def test_a_dm_is_answered_without_a_mention(world):
    await world.client.script([{"match": "hello", "steps": [{"text": "Hi there"}]}])
    async with world.ratchet():
        channel = await world.client.dm("oncall-a")
        ts = await world.client.say(channel, "hello", user="oncall-a")
        assert await world.answers(channel, ts) == ["Hi there"]


async def test_channel_chatter_is_not_answered(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "I was asked"}]}])
    async with world.ratchet():
        await world.client.say("ops", "is anybody here?", user="oncall-a")
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> you?", user="oncall-a")
        await world.answers("ops", ts)
        posted = [m for m in await world.client.messages("ops") if m.get("user") == world.sandbox.bot_user_id]
    assert len(posted) == 1


async def test_the_slash_command_posts_the_question_and_answers_below_it(world):
    await world.client.script([{"match": "how many", "steps": [{"text": "Three"}]}])
    async with world.ratchet():
        response = await world.client.command("/ratchet", "how many?", user="oncall-a", channel="ops")
        assert response["ok"]
        posted = await world.until_posts("ops")
        assert posted[0]["text"].endswith("asked: how many?")
        assert await world.answers("ops", posted[0]["ts"]) == ["Three"]


async def test_an_empty_command_says_how_to_ask_and_posts_nothing(world):
    async with world.ratchet():
        response = await world.client.command("/ratchet", " ", user="oncall-a", channel="ops")
    assert "Ask me something" in response["body"]["text"]
    assert not [m for m in await world.client.messages("ops") if m.get("user") == world.sandbox.bot_user_id]


async def test_four_deliveries_of_each_event_give_one_answer(world):
    await world.client.script([{"match": "once", "steps": [{"text": "Once"}]}])
    await world.client.delivery(copies=4)
    async with world.ratchet():
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> once", user="oncall-a")
        assert await world.answers("ops", ts) == ["Once"]


async def test_questions_that_arrive_shuffled_are_answered_in_the_order_they_were_asked(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "Answer to: {human}"}]}])
    mention = f"<@{world.sandbox.bot_user_id}>"
    async with world.ratchet("slack") as services:  # no worker yet: they pile up
        root = await world.client.say("ops", "a thread", user="oncall-a")
        await world.client.delivery(shuffle=True, paused=True)
        for number in range(12):  # of one person each: their own later ones would be taken in by the first
            person = f"person-{number}"
            await world.client.create_user(person)
            await world.client.join("ops", person)
            await world.client.say("ops", f"{mention} number {number}", user=person, thread_ts=root)
        await world.client.delivery(paused=False)
        async with asyncio.timeout(20):
            while await rows(services, "turns") < 12:
                await asyncio.sleep(0.05)
    async with world.ratchet("worker"):
        answers = await world.answers("ops", root, count=12)
    assert [int(answer.rsplit(" ", 1)[1]) for answer in answers] == list(range(12))


async def test_a_command_where_ratchet_is_no_member_is_told_so_in_a_dm(world):
    await world.client.create_channel("elsewhere", members=["oncall-a"])
    async with world.ratchet():
        await world.client.command("/ratchet", "how many?", user="oncall-a", channel="elsewhere")
        (notice,) = await world.until_posts(await world.client.dm("oncall-a"))
        assert await world.posts("elsewhere") == []
    assert "/invite @Ratchet" in notice["text"]


async def test_numbers_that_json_does_not_know_do_not_break_the_turn(world):
    call = {"malformed_tool_call": {"name": "list_channels", "arguments": '{"x": 1e999}'}}
    await world.client.script([{"match": ".*", "steps": [call, {"text": "Still here"}]}])
    async with world.ratchet():
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> try", user="oncall-a")
        assert await world.answers("ops", ts) == ["Still here"]


async def test_of_a_very_long_thread_the_beginning_and_the_newest_messages_are_read(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "{human}"}]}])
    async with world.ratchet():
        root = await world.client.say("ops", "line root", user="oncall-b")
        for number in range(205):
            await world.client.say("ops", f"line {number}.", user="oncall-b", thread_ts=root)
        async with asyncio.timeout(30):
            while (await world.client.ledger())["deliveries"][-1]["acked_at"] is None:
                await asyncio.sleep(0.05)
        await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> so?", user="oncall-a", thread_ts=root)
        answer = "\n".join(await world.answers("ops", root))  # one part or two
    assert "line root" in answer and "line 204." in answer and "line 3." not in answer


async def test_a_status_that_slack_puts_off_does_not_hold_up_the_answer(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "Quick"}]}])
    await world.client.fault("assistant.threads.setStatus", "ratelimited", times=50, retry_after=30)
    async with world.ratchet():
        ts = await world.client.say("ops", f"<@{world.sandbox.bot_user_id}> quick?", user="oncall-a")
        assert await world.answers("ops", ts, seconds=15) == ["Quick"]


async def rows(services, table):
    async with services.database.connection() as conn:
        (count,) = await (await conn.execute(f"select count(*) from {table}")).fetchone()
    return count


async def test_a_question_waits_for_one_that_is_still_on_its_way(world):
    """Slack may hand the earlier question to another process, later, or (as here) never."""
    bot = world.sandbox.bot_user_id
    await world.client.script([{"match": ".*", "steps": [{"text": "about {human}"}]}])
    async with world.ratchet():
        thread = await world.client.say("ops", f"<@{bot}> number 0", user="oncall-a")
        await world.answers("ops", thread)
        await world.client.delivery(paused=True)
        await world.client.say("ops", f"<@{bot}> number 1", user="oncall-a", thread_ts=thread)
        world.sandbox.slack.dispatcher.close()  # drops what waits to be delivered
        await world.client.say("ops", f"<@{bot}> number 2", user="oncall-b", thread_ts=thread)
        await world.client.delivery(paused=False)
        answers = await world.answers("ops", thread, count=3)
    assert [answer.split("number ")[-1] for answer in answers] == ["0", "1", "2"]


async def test_a_question_is_answered_where_slack_does_not_say_what_came_before(world):
    await world.client.script([{"match": ".*", "steps": [{"text": "about {human}"}]}])
    async with world.ratchet():
        bot = world.sandbox.bot_user_id
        thread = await world.client.say("ops", f"<@{bot}> number 0", user="oncall-a")
        await world.answers("ops", thread)
        await world.client.fault("conversations.replies", "ratelimited", times=5)
        await world.client.say("ops", f"<@{bot}> number 1", user="oncall-a", thread_ts=thread)
        assert len(await world.answers("ops", thread, count=2)) == 2


async def test_a_threads_old_beginning_is_not_taken_for_a_new_question(world):
    bot = world.sandbox.bot_user_id
    await world.client.script([{"match": ".*", "steps": [{"text": "about {human}"}]}])
    old = f"{time.time() - 30 * 86400:.6f}"
    root = await world.client.say("ops", f"<@{bot}> an old one", user="oncall-a", ts=old, silent=True)
    async with world.ratchet() as services:
        async with asyncio.timeout(20), services.database.connection() as conn:
            while not (await conn.execute("delete from messages where ts = %s", (root,))).rowcount:
                await asyncio.sleep(0.05)  # until it was read, and then as if it were beyond what is read
        await world.client.say("ops", f"<@{bot}> and now?", user="oncall-b", thread_ts=root)
        answers = await world.answers("ops", root)
    assert len(answers) == 1 and "and now?" in answers[0]
