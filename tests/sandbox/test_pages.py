"""The pages that permalinks lead to."""

import json

import aiohttp
import pytest
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.client import SandboxClient, SandboxRefused
from sandbox.home_pages import home_lines
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


VIEW = {
    "type": "home",
    "blocks": [
        {"type": "header", "text": {"type": "plain_text", "text": "Ratchet"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "<script>&lt;b&gt; *<#{ops}>* <@{user}>"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": "<https://a.example/?x=1&amp;y=2|a link> <javascript:x|no>"},
        },
        {"type": "section", "text": {"type": "mrkdwn", "text": "<!date^1^{date}|2026-01-02>"}},
        *(
            {
                "type": "actions",
                "elements": [
                    {"type": "button", "action_id": "go", "value": v, "text": {"type": "plain_text", "text": f"Go {v}"}}
                ],
            }
            for v in ("a", "b")
        ),
    ],
}


async def test_a_home_tab_is_shown_as_a_page_and_as_lines():
    async with open_sandbox(SandboxConfig()) as box, SandboxClient(box.url) as client, aiohttp.ClientSession() as http:
        user = await client.create_user("oncall-a")
        ops = await client.create_channel("ops", members=["oncall-a"])
        view = json.loads(json.dumps(VIEW).replace("{ops}", ops).replace("{user}", user))
        async with http.get(f"{box.url}/homes/oncall-a") as response:
            assert response.status == 404
        web_client = AsyncWebClient(token=box.bot_token, base_url=box.slack_api_url)
        await web_client.views_publish(user_id=user, view=view)
        async with http.get(f"{box.url}/homes") as response:
            assert f'href="/homes/{user}"' in await response.text()
        async with http.get(f"{box.url}/homes/oncall-a") as response:
            page = await response.text()
        assert f'<b><a href="/archives/{ops}">#ops</a></b> @oncall-a' in page and "<script>" not in page
        assert '<a href="https://a.example/?x=1&amp;y=2">a link</a> no' in page and "2026-01-02" in page
        assert "<span class=button>Go b</span>" in page
        lines = list(home_lines(box.workspace, await client.home_view("oncall-a")))
        assert lines[1:] == [
            "RATCHET", "script<b> #ops @oncall-a", "a link (https://a.example/?x=1&y=2) no", "2026-01-02",
            "  [Go a]", "  [Go b]",
        ]  # fmt: skip
        with pytest.raises(SandboxRefused, match="action_not_found"):
            await client.click_home("oncall-a", "go", "c")
