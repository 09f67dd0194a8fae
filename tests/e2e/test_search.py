"""What is said in Slack can be found by its vector within seconds."""

import asyncio

from storage import search, vectors
from storage.access import Viewer
from storage.messages import MessageFilter
from storage.vectors import SpaceVector


async def test_a_message_is_found_by_its_vector_seconds_after_it_was_posted_and_no_more_once_deleted(world):
    async with world.ratchet() as services:
        posted = await world.client.say("ops", "the replicas of billing lag behind", user="oncall-b")
        embedder, database = services.embedder, services.database
        team_id = services.slack.identity.team_id

        async def found():
            async with database.connection() as conn:
                space = await vectors.find_space(conn, embedder.space)
                if space is None:
                    return []
                vector = SpaceVector(space, await embedder.embed_query("replica lag"))
                where = MessageFilter(query="replica lag")
                viewer = Viewer(team_id, "", "", audience="workspace")
                _, hits = await search.search(conn, viewer, where, limit=5, vector=vector, by_words=False)
                return [hit.text for hit in hits]

        async with asyncio.timeout(20):
            while not await found():
                await asyncio.sleep(0.1)
        assert (await found())[0] == "the replicas of billing lag behind"
        await world.client.delete("ops", posted)
        async with asyncio.timeout(20):
            while "the replicas of billing lag behind" in await found():
                await asyncio.sleep(0.1)
