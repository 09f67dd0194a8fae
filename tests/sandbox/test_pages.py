"""The pages that permalinks lead to."""

import aiohttp

from sandbox.client import SandboxClient
from sandbox.server import SandboxConfig, open_sandbox


async def test_a_permalink_shows_its_thread_escaped_and_named():
    async with open_sandbox(SandboxConfig()) as box, SandboxClient(box.url) as client, aiohttp.ClientSession() as http:
        await client.create_user("oncall-a")
        channel = await client.create_channel("ops", members=["oncall-a"])
        ts = await client.say(
            "ops", "", bot_username="Alertmanager", attachments=[{"title": "[FIRING:1] DiskFull", "color": "danger"}]
        )
        user = next(user for user in box.workspace.users.values() if user.name == "oncall-a")
        reply = await client.say("ops", f"<script>x</script> <@{user.id}> looks", user="oncall-a", thread_ts=ts)
        async with http.get(f"{box.url}/archives/{channel}/p{reply.replace('.', '')}") as response:
            page = await response.text()
            assert response.status == 200 and "script-src" not in response.headers["Content-Security-Policy"]
        assert "DiskFull" in page and "&lt;script&gt;" in page and "<script>" not in page and "@oncall-a" in page
        async with http.get(f"{box.url}/") as response:
            assert "#ops" in await response.text()
        async with http.get(f"{box.url}/archives/{channel}") as response:
            assert "DiskFull" in await response.text()
        for missing in ("/archives/C0NOPE", f"/archives/{channel}/p1000000000000000"):
            async with http.get(box.url + missing) as response:
                assert response.status == 404
