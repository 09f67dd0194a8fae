"""The Slack app's manifest, for Socket Mode and for HTTP; configs/app-manifest.yaml is its one place."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

# A wheel carries it beside this module.
FILES = (
    Path(__file__).with_name("app-manifest.yaml"),
    Path(__file__).parents[1] / "configs" / "app-manifest.yaml",
)
EVENTS_PATH = "/slack/events"


class ManifestError(Exception):
    """There is no manifest for what was asked; the message says why."""


def build_manifest(http_url: str | None = None) -> dict[str, Any]:
    """The manifest for Socket Mode, or for requests to Ratchet's public address.

    Args:
        http_url: such as ``https://ratchet.example.com``; Slack's requests go to ``/slack/events`` below it.

    Raises:
        ManifestError: the address is none that Slack can send requests to.
    """
    path = next(file for file in FILES if file.exists())
    manifest: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    if http_url is not None:
        address = _events_address(http_url)
        for command in manifest["features"]["slash_commands"]:
            command["url"] = address
        settings = manifest["settings"]
        settings["event_subscriptions"] = {"request_url": address, **settings["event_subscriptions"]}
        settings["interactivity"]["request_url"] = address
        settings["socket_mode_enabled"] = False
    return manifest


def show_manifest(http_url: str | None = None) -> str:
    """The same as YAML that Slack's page "From a manifest" takes."""
    return yaml.safe_dump(build_manifest(http_url), sort_keys=False, allow_unicode=True, width=120)


def _events_address(url: str) -> str:
    wrong = f"{url!r} must be the https address at which Slack reaches Ratchet, such as https://ratchet.example.com"
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ManifestError(wrong) from error
    if not usable or parts.query or parts.fragment or parts.username or any(c.isspace() for c in url):
        raise ManifestError(wrong)
    base = url.rstrip("/").removesuffix(EVENTS_PATH)
    return f"{base}{EVENTS_PATH}"
