"""Nothing that goes to Slack notifies a crowd or shows what a link leads to, whichever way it goes there."""

import asyncio
import json
import re
from types import SimpleNamespace

from langchain_core.tools import tool

from ratchet.sections import Policy, PolicySettings
from slack_app.code_places import rewrite
from tests.e2e.conftest import text_of
from tools.context import Preview

LIVE = re.compile(r"(?:<|&lt;)\\?!(?:channel|here|everyone|subteam)|@(?:channel|here|everyone)\b", re.IGNORECASE)
NASTY = [
    "<!channel>",
    "<!here|here>",
    "<!EVERYONE>",
    "<!subteam^S0123ABC|@sre>",
    "@channel @here @everyone",
    "&lt;!channel&gt;",
    "<!\u0000channel>",
    "<!\x08here>",
    "<\x0b!subteam^S0123ABC>",
    "@\x00channel",
    "[x](!channel)",
    "`<!here>`",
    "```\n<!channel>\n@here\n```",
    "| a | b |\n|---|---|\n| <!channel> | @here |",
    "> <!here>",
    "# <!channel>",
    "- @everyone\n  - <!subteam^S0123ABC>",
    "<https://evil.example/<!here>|@channel>",
]
NASTIEST = "\n\n".join(NASTY) + "\n\nhttps://evil.example/secret?x=1 ![p](https://evil.example/p.png)"
SHOWN = re.sub(r"[\x00-\x08\x0b]", "", NASTIEST)  # other characters no request for approval may hold
POSTING = {
    "chat.postMessage", "chat.postEphemeral", "chat.update", "chat.startStream", "chat.appendStream",
    "chat.stopStream", "assistant.threads.setStatus", "assistant.threads.setTitle", "files.completeUploadExternal",
    "files.getUploadURLExternal", "views.open", "views.update", "views.publish",
}  # fmt: skip


async def preview(args, context):
    return Preview(f"Restart {args['service']}", (f"plan {args['service'][:9]}.diff", args["service"]))


@tool(extras={"effect": "change", "preview": preview})
async def restart(service: str) -> str:
    """Restart a service.

    Args:
        service: its name.
    """
    return f"restarted {service}"


@tool(extras={"effect": "read"})
async def echo(text: str) -> str:
    """Say a text.

    Args:
        text: what to say.
    """
    return text


def texts(value, key=""):
    """All strings of a call's arguments, decoded, with the kind of block that each stands in."""
    if isinstance(value, str):
        if value[:1] in "[{":
            try:
                yield from texts(json.loads(value), key)
                return
            except ValueError:
                pass
        yield key, value
    elif isinstance(value, dict):
        kind = "markdown" if value.get("type") in {"markdown", "markdown_text"} else ""
        for name, inner in value.items():
            yield from texts(inner, kind or ("markdown" if name == "markdown_text" else name))
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner, key)


def is_live(kind, text):
    """Whether Slack would notify a crowd; in the code of a Markdown block it notifies nobody."""
    return LIVE.search(rewrite(text, inside=lambda code: "") if kind == "markdown" else text) is not None


def test_the_check_finds_what_is_live():
    assert is_live("text", NASTIEST) and is_live("markdown", NASTIEST) and is_live("text", "a `<!here>`")
    assert not is_live("markdown", "a `<!here>`") and not is_live("text", "to here@example.com, about #channel")


async def test_nothing_that_is_sent_notifies_a_crowd_or_unfurls(world, monkeypatch):
    offered = SimpleNamespace(name="test", value="tests", load=lambda: [restart, echo])
    monkeypatch.setattr("tools.registry.entry_points", lambda group: [offered])
    users = {user.name: user.id for user in world.sandbox.workspace.users.values()}
    await world.client.create_user("<!here> @channel")  # a display name
    await world.client.join("ops", "<!here> @channel")
    policy = Policy(tools=["@read", "restart", "echo"], approvers=[users["oncall-b"]])
    settings = world.settings().model_copy(update={"policies": PolicySettings(default=policy)})
    calls = [{"name": "echo", "args": {"text": mention}} for mention in [*NASTY, NASTIEST]]
    calls += [
        {"name": "<!channel>", "args": {"<!here>": "@channel"}},
        {"name": "search_messages", "args": {"query": NASTIEST, "since": "<!here> @everyone"}},
    ]
    answering = [
        {"tool_calls": calls},
        {"tool_calls": [{"name": "restart", "args": {"service": SHOWN}}]},
        {"text": NASTIEST + "\n\n{tools}"},
    ]
    rules = [
        {"match": "restart", "steps": answering},
        {"match": "refuse", "steps": [{"error": 400, "message": NASTIEST, "times": 5}, {"text": "x"}]},
        {"match": "", "steps": [{"text": mention} for mention in [NASTIEST]]},
    ]
    await world.client.script(rules)
    async with world.ratchet(settings=settings):
        client, bot = world.client, world.sandbox.bot_user_id
        await client.say("secrets", "the weather is <!here> fine", user="oncall-a")
        thread = await client.say("ops", f"<@{bot}> restart {NASTIEST}", user="<!here> @channel")
        _, request = await world.until_posts("ops", thread, 2)  # the file comes before the request
        buttons = [e for b in request["blocks"] if b["type"] == "actions" for e in b["elements"]]
        await client.click("ops", request["ts"], buttons[-1]["action_id"], user="oncall-a")  # told that it may not
        await client.click("ops", request["ts"], buttons[0]["action_id"], user="oncall-b")
        await world.until_posts("ops", thread, 3)
        await client.command("/ratchet", f"what is {NASTIEST}?", user="oncall-b", channel="ops")
        refused = await client.say("ops", f"<@{bot}> refuse", user="oncall-a")
        await world.until_posts("ops", refused)
        dm = await client.dm("oncall-b")
        asked = await client.say(dm, NASTIEST, user="oncall-b")
        await world.until_posts(dm, asked)
        async with asyncio.timeout(20):
            while not [post for post in await world.posts("ops") if "asked" in text_of(post)]:
                await asyncio.sleep(0.05)
        ledger = await client.ledger()
    sent = [call for call in ledger["calls"] if call["method"] in POSTING]
    methods = {call["method"] for call in sent}
    assert methods >= {"chat.postMessage", "chat.postEphemeral", "chat.update", "assistant.threads.setStatus"}
    assert "files.completeUploadExternal" in methods
    live = [(c["method"], text) for c in sent for kind, text in texts(c["args"]) if is_live(kind, text)]
    assert live == []
    for call in sent:
        if call["method"] == "chat.postMessage":
            shown = {str(call["args"].get(name)).lower() for name in ("unfurl_links", "unfurl_media")}
            assert shown <= {"false", "0"}, call["args"]
        assert not call["args"].get("link_names") and call["args"].get("parse") in (None, "none")
        assert '"image"' not in json.dumps(call["args"].get("blocks") or "")
