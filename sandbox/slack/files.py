"""files.*: uploads in three steps, downloads with the bot's token."""

import mimetypes
from pathlib import PurePosixPath
from typing import Any

from aiohttp import web

from sandbox.slack.call import Call, check_thread, invalid, joined_channel
from sandbox.slack.publish import publish_message
from sandbox.slack.records import JSON, SlackError
from sandbox.slack.state import Slack, StoredFile
from sandbox.workspace import APP_ID


def get_upload_url(slack: Slack, call: Call) -> JSON:
    """files.getUploadURLExternal: where to post the bytes."""
    name = call.required("filename")
    length = call.integer("length", 0, 2**40)
    if not length:
        raise invalid("missing required field: length")
    stored = new_file(slack, name, b"", slack.workspace.bot_user_id)
    stored.info["size"] = length
    file_id = stored.info["id"]
    return {"upload_url": f"{slack.url}/upload/{file_id}", "file_id": file_id}


def complete_upload(slack: Slack, call: Call) -> JSON:
    """files.completeUploadExternal: shares the uploaded files in one message."""
    wanted: Any = call.structured("files", "invalid_arguments")
    if not isinstance(wanted, list) or not wanted:
        raise invalid("missing required field: files")
    infos = []
    for item in wanted:
        stored = slack.files.get(item.get("id", ""))
        if stored is None or not stored.content:
            raise SlackError("file_not_found")
        stored.info["title"] = item.get("title") or stored.info["name"]
        infos.append(stored.info)
    for channel_id in [*call.listed("channel_id"), *call.listed("channels")]:
        _share(slack, call, channel_id, infos)
    return {"files": infos}


def info(slack: Slack, call: Call) -> JSON:
    """files.info."""
    stored = slack.files.get(call.required("file"))
    if stored is None:
        raise SlackError("file_not_found")
    return {"file": stored.info, "content_html": None, "is_truncated": False, "comments": []}


def new_file(slack: Slack, name: str, content: bytes, user: str, mimetype: str | None = None) -> StoredFile:
    """Store a file and give it addresses."""
    file_id = slack.workspace.new_id("F")
    address = f"{slack.url}/files/{file_id}/{PurePosixPath(name).name}"
    suffix = PurePosixPath(name).suffix.lstrip(".")
    stored = StoredFile(
        {
            "id": file_id,
            "name": name,
            "title": name,
            "mimetype": mimetype or mimetypes.guess_type(name)[0] or "application/octet-stream",
            "filetype": suffix or "binary",
            "pretty_type": suffix.upper() or "Binary",
            "user": user,
            "user_team": slack.workspace.team_id,
            "size": len(content),
            "mode": "hosted",
            "is_external": False,
            "created": int(slack.workspace.clock()),
            "file_access": "visible",
            "url_private": address,
            "url_private_download": f"{address}?download=1",
            "permalink": address,
        },
        content,
    )
    slack.files[file_id] = stored
    return stored


async def receive_upload(slack: Slack, request: web.Request) -> web.Response:
    """The second step: raw bytes, or a form with one file."""
    stored = slack.files.get(request.match_info["file_id"])
    if stored is None:
        return web.Response(status=404, text="no such upload")
    if request.content_type.startswith("multipart/"):
        form = await request.post()
        part = next((value for value in form.values() if isinstance(value, web.FileField)), None)
        stored.content = part.file.read() if part else b""
    else:
        stored.content = await request.read()
    if len(stored.content) != stored.info["size"]:
        return web.Response(status=400, text=f"expected {stored.info['size']} bytes")
    return web.Response(text=f"OK - {len(stored.content)}")


async def download(slack: Slack, request: web.Request) -> web.Response:
    """A file's bytes; without the token Slack's sign-in page comes instead, with status 200."""
    if request.headers.get("Authorization") != f"Bearer {slack.bot_token}":
        return web.Response(text="<!DOCTYPE html><title>Sign in</title>", content_type="text/html")
    stored = slack.files.get(request.match_info["file_id"])
    if stored is None:
        return web.Response(status=404)
    return web.Response(body=stored.content, content_type=stored.info["mimetype"])


def _share(slack: Slack, call: Call, channel_id: str, infos: list[JSON]) -> None:
    channel = joined_channel(slack, channel_id)
    thread_ts = call.text("thread_ts") or None
    if thread_ts:
        check_thread(channel, thread_ts)
    message = slack.workspace.add_message(
        channel.id,
        call.text("initial_comment"),
        user=slack.workspace.bot_user_id,
        thread_ts=thread_ts,
        subtype="file_share",
        bot_id=slack.workspace.bot_id,
        app_id=APP_ID,
        files=infos,
    )
    for item in infos:
        shares = item.setdefault("shares", {}).setdefault("public", {})
        shares.setdefault(channel.id, []).append({"ts": message.ts, "thread_ts": thread_ts})
    publish_message(slack, message)


METHODS = {
    "files.getUploadURLExternal": get_upload_url,
    "files.completeUploadExternal": complete_upload,
    "files.info": info,
}
