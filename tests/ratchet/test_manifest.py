"""The manifest is one that Slack takes, and asks for what the code uses and for nothing else."""

import ast
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from slack_sdk.web.async_client import AsyncWebClient

from ratchet.manifest import ManifestError, build_manifest, show_manifest
from slack_app import payloads

ROOT = Path(__file__).parents[2]
ADDRESS = "https://ratchet.example.com"


def text(most, least=1):
    return {"type": "string", "minLength": least, "maxLength": most}


def group(required=(), **properties):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def names(most, each=50):
    return {"type": "array", "uniqueItems": True, "maxItems": most, "items": text(each)}


FLAG = {"type": "boolean"}
URL = {"type": "string", "pattern": "^https://", "maxLength": 3000}
PROMPT = group(["title", "message"], title=text(100), message=text(1000))
COMMAND = group(
    ["command", "description"],
    command={**text(32, 2), "pattern": "^/[a-z0-9_-]+$"},
    url=URL,
    description=text(2000),
    usage_hint=text(1000),
    should_escape=FLAG,
)
# The fields that Slack documents, of those groups that an app like this one may have.
SCHEMA = group(
    ["display_information"],
    _metadata=group(major_version={"enum": [1, 2]}, minor_version={"type": "integer"}),
    display_information=group(
        ["name"],
        name=text(35),
        description=text(140),
        long_description=text(4000, 175),
        background_color={"type": "string", "pattern": "^#([0-9a-fA-F]{3}){1,2}$"},
    ),
    features=group(
        app_home=group(home_tab_enabled=FLAG, messages_tab_enabled=FLAG, messages_tab_read_only_enabled=FLAG),
        agent_view=group(
            agent_description=text(300), suggested_prompts={"type": "array", "maxItems": 4, "items": PROMPT}
        ),
        bot_user=group(["display_name"], display_name=text(80), always_online=FLAG),
        slash_commands={"type": "array", "minItems": 1, "maxItems": 50, "items": COMMAND},
        unfurl_domains=names(5, 255),
    ),
    oauth_config=group(
        redirect_urls=names(1000, 2500),
        scopes=group(bot=names(255), user=names(255), bot_optional=names(255), user_optional=names(255)),
    ),
    settings=group(
        allowed_ip_address_ranges=names(50),
        event_subscriptions=group(request_url=URL, bot_events=names(100), user_events=names(100)),
        interactivity=group(["is_enabled"], is_enabled=FLAG, request_url=URL, message_menu_options_url=URL),
        org_deploy_enabled=FLAG,
        socket_mode_enabled=FLAG,
        token_rotation_enabled=FLAG,
    ),
)
EVERY_KIND = ("channels", "groups", "im", "mpim")
READ, HISTORY = {f"{kind}:read" for kind in EVERY_KIND}, {f"{kind}:history" for kind in EVERY_KIND}
METHODS = {
    "apps_connections_open": set(),  # by the app-level token
    "assistant_threads_setStatus": {"assistant:write"},
    "auth_test": set(),
    "chat_delete": {"chat:write"},
    "chat_postEphemeral": {"chat:write"},
    "chat_postMessage": {"chat:write"},
    "chat_update": {"chat:write"},
    "conversations_history": HISTORY,
    "conversations_info": READ,
    "conversations_members": READ,
    "conversations_open": {"im:write"},
    "conversations_replies": HISTORY,
    "agents_sessions_setStatus": {"assistant:write"},
    "chat_startStream": {"chat:write"},
    "chat_appendStream": {"chat:write"},
    "chat_stopStream": {"chat:write"},
    "assistant_threads_setSuggestedPrompts": {"assistant:write"},
    "files_completeUploadExternal": {"files:write"},
    "files_getUploadURLExternal": {"files:write"},
    "files_info": {"files:read"},
    "reactions_add": {"reactions:write"},
    "usergroups_list": {"usergroups:read"},
    "usergroups_users_list": {"usergroups:read"},
    "users_conversations": READ,
    "users_info": {"users:read"},
    "users_list": {"users:read"},
    "users_lookupByEmail": {"users:read.email"},
    "views_open": set(),
    "views_publish": set(),
}
EVENTS = {
    "app_mention": {"app_mentions:read"},
    "message.channels": {"channels:history", "files:read"},  # messages with files
    "message.groups": {"groups:history"},
    "message.im": {"im:history"},
    "message.mpim": {"mpim:history"},
    "reaction_added": {"reactions:read"},
    "reaction_removed": {"reactions:read"},
    "member_joined_channel": {"channels:read", "groups:read"},
    "member_left_channel": {"channels:read", "groups:read"},
    **{f"channel_{change}": {"channels:read"} for change in payloads.CHANGES},
    **{f"group_{change}": {"groups:read"} for change in payloads.CHANGES if not change.endswith("shared")},
    "agent_session_stopped": {"assistant:write"},
    "app_home_opened": set(),
    "team_join": {"users:read"},
    "user_change": {"users:read"},
}
# What comes with the agent view, which the manifest turns on: acknowledged, and so far not acted upon.
FEATURE_EVENTS = {
    "agent_session_title_changed": {"assistant:write"},
    "app_context_changed": {"assistant:write"},
}
# For reactions as answers; asked for now, since an app that wants a scope later has to be installed again.
AHEAD = {"reactions:write"}


def methods_called():
    """The Web API methods that the code calls on a client."""
    found = set()
    for package in ("agent", "ratchet", "slack_app", "tools"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Attribute) and "_" in node.attr and node.attr in vars(AsyncWebClient):
                    found |= {node.attr} if ast.unparse(node.value).endswith("client") else set()
    return found


@pytest.mark.parametrize("url", [None, ADDRESS])
def test_slack_documents_every_field(url):
    assert list(Draft202012Validator(SCHEMA).iter_errors(build_manifest(url))) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda manifest: manifest["display_information"].update(name="x" * 36),
        lambda manifest: manifest["features"].update(assistent_view={}),
        lambda manifest: manifest["features"]["agent_view"].update(suggested_prompts=[{"title": "a"}]),
        lambda manifest: manifest["features"]["slash_commands"][0].update(url="http://a.example"),
        lambda manifest: manifest["settings"]["event_subscriptions"]["bot_events"].append("app_mention"),
        lambda manifest: manifest["settings"]["interactivity"].clear(),
    ],
)
def test_a_wrong_manifest_would_be_found(spoil):
    manifest = build_manifest()
    spoil(manifest)
    assert list(Draft202012Validator(SCHEMA).iter_errors(manifest))


def test_it_subscribes_to_what_is_read_and_to_nothing_else():
    subscribed = build_manifest()["settings"]["event_subscriptions"]["bot_events"]
    assert {name.split(".")[0] for name in subscribed} - set(FEATURE_EVENTS) == set(payloads.PARSERS)
    assert set(subscribed) == set(EVENTS) | set(FEATURE_EVENTS)


def test_it_asks_for_the_scopes_of_what_is_used_and_for_nothing_else():
    called = methods_called()
    assert "chat_postMessage" in called
    assert called <= set(METHODS), "say in METHODS which scopes a new method needs"
    needed = {"commands"} | AHEAD
    needed = needed.union(*(METHODS[name] for name in called), *EVENTS.values(), *FEATURE_EVENTS.values())
    assert set(build_manifest()["oauth_config"]["scopes"]["bot"]) == needed


@pytest.mark.parametrize("url", [ADDRESS, f"{ADDRESS}/", f"{ADDRESS}/slack/events"])
def test_for_http_every_request_goes_to_ratchet(url):
    manifest = build_manifest(url)
    assert manifest["settings"]["socket_mode_enabled"] is False
    assert {
        manifest["settings"]["event_subscriptions"]["request_url"],
        manifest["settings"]["interactivity"]["request_url"],
        *(command["url"] for command in manifest["features"]["slash_commands"]),
    } == {f"{ADDRESS}/slack/events"}


def test_both_modes_differ_in_nothing_else():
    socket, http = build_manifest(), build_manifest(ADDRESS)
    assert "http" not in show_manifest() and socket["settings"]["socket_mode_enabled"] is True
    del http["settings"]["event_subscriptions"]["request_url"], http["settings"]["interactivity"]["request_url"]
    for command in http["features"]["slash_commands"]:
        del command["url"]
    http["settings"]["socket_mode_enabled"] = True
    assert http == socket


def test_what_is_printed_is_the_manifest():
    assert yaml.safe_load(show_manifest(ADDRESS)) == build_manifest(ADDRESS)
    assert show_manifest().startswith("display_information:\n  name: Ratchet\n")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ratchet.example.com",
        "http://ratchet.example.com",
        "https://",
        "https://a b",
        "https://a:x",
        f"{ADDRESS}?a=b",
    ],
)
def test_an_address_that_slack_cannot_use_is_refused(url):
    with pytest.raises(ManifestError, match="https address"):
        build_manifest(url)
