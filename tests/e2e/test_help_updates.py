"""From a question that the documentation did not know to a draft pull request, with an approval between them."""

import asyncio

from ratchet.sections import Policy, PolicySettings
from tests.e2e.conftest import text_of
from tests.e2e.test_doc_updates import DONE, Handbook
from tests.e2e.test_help_channels import UNKNOWN, asked, replied


async def test_the_button_leads_to_one_draft_pull_request_once_its_diff_is_approved(world, tmp_path):
    handbook = Handbook(world, tmp_path)
    settings = handbook.settings()
    policy = Policy(tools=["@read", "update_doc"], approvers=[handbook.approver], auto=["docs"])
    edits = [{"find": "svc restart", "replace": "svc reload"}]
    draft = {"name": "update_doc", "args": {"identifier": handbook.url, "edits": edits, "reason": "It is gone."}}
    steps = [{"tool_calls": [draft]}, {"text": f"{DONE} {{tool[-1]}}"}]
    await world.client.script([{"match": "smallest change", "steps": steps}])
    changed = {"policies": PolicySettings(default=policy)}
    async with world.ratchet(settings=settings.model_copy(update=changed)) as services:
        ts = await asked(world, services, UNKNOWN)
        told = await replied(world, services, ts, "Behind the building, gate B.", "oncall-b")
        await replied(world, services, ts, "Thank you!", "oncall-a")
        assert (await services.help_channels.run()).proposed == 1
        (proposal,) = await world.until_posts("ops", ts)
        for user in ("oncall-a", "oncall-b"):
            assert await world.client.click("ops", proposal["ts"], "docs_draft_update", user=user)
        async with asyncio.timeout(30):
            while not (requests := [p for p in await world.posts("ops", ts) if "svc reload" in text_of(p)]):
                await asyncio.sleep(0.05)
        assert handbook.written() == {} and float(told) < float(requests[0]["ts"])
        assert await world.client.click("ops", requests[0]["ts"], "approval_approve", user="oncall-b")
        (text,) = await handbook.answers(ts)
    assert handbook.written()["pulls.create"] == 1 and "/pull/" in text
