"""Real alerts and incident threads from JSON Lines files, as history of a workspace.

An alert's row is a message as it was posted: `{id, bot_username | user, text, attachments, blocks}`. A thread's
row is `{id, title, alert, messages: [{user, text}]}`. Other fields are left alone. Texts stay verbatim; moments
are new, because those of the rows are missing or free-form.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sandbox.slack.records import JSON, Channel, Message, SlackError, User
from sandbox.workspace import Workspace

ALERTS_CHANNEL = "ops-alerts"
THREADS_CHANNEL = "incidents"
THREADS_SPAN = timedelta(days=60)
REPLY_GAP = timedelta(minutes=4)
EXPECTED = "a folder with alerts/*.jsonl or threads/*.jsonl in it, or one .jsonl file"
USER_ID = re.compile(r"[UW][A-Z0-9]{5,}")


@dataclass(frozen=True)
class ImportedWorkspace:
    """Where things are after `load_folder`: ids by name, and the ts by the row's id."""

    channels: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    alerts: dict[str, str] = field(default_factory=dict)
    threads: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Row:
    file: Path
    line: int
    fields: JSON

    @property
    def id(self) -> str:
        return str(self.fields.get("id") or f"{self.file.name}:{self.line}")

    def error(self, problem: str) -> ValueError:
        return ValueError(f"{self.file}, line {self.line}: {problem}. Correct or remove that line.")


def load_folder(workspace: Workspace, path: Path, now: datetime, days: float = 28) -> ImportedWorkspace:
    """Load alerts into #ops-alerts and threads into #incidents; channels that exist are added to.

    Args:
        workspace: Where to; its own bot becomes a member of both channels.
        path: A folder with `alerts/` and `threads/` or one of them, a folder of .jsonl files, or one such file.
            Whether a row is an alert or a thread shows in its fields.
        now: The end of the history, with its time zone. Alerts keep their order and are spread evenly over the
            `days` before; threads lie within the last 60 days.
        days: How far back the alerts reach.

    Raises:
        ValueError: A path without rows, or a row that is neither; the message says where and what to do.
    """
    rows = [row for file in _files(path) for row in _read_rows(file)]
    if not rows:
        raise ValueError(f"{path} holds no rows. Give {EXPECTED}, with one JSON object per line.")
    threads = [row for row in rows if "messages" in row.fields]
    alerts = [row for row in rows if "messages" not in row.fields]
    for row in threads:
        _check_thread(row)
    for row in alerts:
        _check_alert(row)
    imported = ImportedWorkspace()
    if alerts:
        _load_alerts(workspace, alerts, now, timedelta(days=days), imported)
    if threads:
        _load_threads(workspace, threads, now, imported)
    return imported


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise ValueError(f"{path} does not exist. Give {EXPECTED}.")
    if path.is_file():
        if path.suffix != ".jsonl":
            raise ValueError(f"{path} is no .jsonl file. Give {EXPECTED}.")
        return [path]
    folders = (path / "alerts", path / "threads", path)
    files = [file for folder in folders for file in sorted(folder.glob("*.jsonl"))]
    if not files:
        raise ValueError(f"{path} holds no .jsonl file to import. Give {EXPECTED}.")
    return files


def _read_rows(file: Path) -> list[_Row]:
    rows = []
    for number, line in enumerate(file.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except ValueError as error:
            raise _Row(file, number, {}).error(f"not valid JSON ({error})") from error
        if not isinstance(fields, dict):
            raise _Row(file, number, {}).error("a row must be a JSON object")
        rows.append(_Row(file, number, fields))
    return rows


def _check_alert(row: _Row) -> None:
    text = row.fields.get("text")
    if text is not None and not isinstance(text, str):
        raise row.error(f"`text` must be a string, not {type(text).__name__}")
    for name in ("attachments", "blocks"):
        value = row.fields.get(name)
        if value is not None and not (isinstance(value, list) and all(isinstance(v, dict) for v in value)):
            raise row.error(f"`{name}` must be a list of objects or null")
    for name in ("bot_username", "user"):
        value = row.fields.get(name)
        if value is not None and not isinstance(value, str):
            raise row.error(f"`{name}` must be a string or null")
    if not any(row.fields.get(name) for name in ("text", "attachments", "blocks")):
        raise row.error("no alert (it has none of `text`, `attachments`, `blocks`) and no thread (`messages`)")


def _check_thread(row: _Row) -> None:
    messages = row.fields["messages"]
    if not isinstance(messages, list) or not messages:
        raise row.error("`messages` must be a list with at least one message")
    for number, message in enumerate(messages, start=1):
        text = message.get("text") if isinstance(message, dict) else None
        if not isinstance(text, str) or not text:
            raise row.error(f"message {number} of the thread has no `text`")


def _load_alerts(
    workspace: Workspace, rows: list[_Row], now: datetime, span: timedelta, imported: ImportedWorkspace
) -> None:
    channel = _channel(workspace, ALERTS_CHANNEL, now - span, imported)
    last = now - timedelta(minutes=1)
    step = (span - timedelta(minutes=1)) / len(rows)
    for index, row in enumerate(rows):
        fields = row.fields
        bot = fields.get("bot_username")
        if not bot and not fields.get("user"):
            bot = str(fields.get("source_system") or "import")
        message = _add(
            workspace,
            channel,
            last - (len(rows) - 1 - index) * step,
            fields.get("text") or "",
            imported,
            user=fields.get("user"),
            bot=bot,
            attachments=fields.get("attachments") or None,
            blocks=fields.get("blocks") or None,
        )
        imported.alerts[_free_key(row, imported.alerts)] = message.ts


def _load_threads(workspace: Workspace, rows: list[_Row], now: datetime, imported: ImportedWorkspace) -> None:
    channel = _channel(workspace, THREADS_CHANNEL, now - THREADS_SPAN, imported)
    step = (THREADS_SPAN - timedelta(minutes=10)) / len(rows)
    for index, row in enumerate(rows):
        messages = row.fields["messages"]
        end = now - timedelta(minutes=10) - (len(rows) - 1 - index) * step
        gap = min(REPLY_GAP, step / (len(messages) + 1))
        parent: Message | None = None
        for number, fields in enumerate(messages):
            author = str(fields.get("user") or "unknown")
            # Copies from Slack mark an app's message with the badge APP behind its name.
            is_app = author.endswith(" APP")
            message = _add(
                workspace,
                channel,
                end - (len(messages) - 1 - number) * gap,
                fields["text"],
                imported,
                user=None if is_app else author,
                bot=author.removesuffix(" APP") if is_app else None,
                thread_ts=parent.ts if parent else None,
                attachments=_headline(row.fields) if parent is None else None,
            )
            parent = parent or message
        if parent:
            imported.threads[_free_key(row, imported.threads)] = parent.ts


def _headline(fields: JSON) -> list[JSON] | None:
    """The incident's title, and its alert where the first message says something else, below that message."""
    first = fields["messages"][0]["text"]
    title, alert = (str(fields.get(name) or "") for name in ("title", "alert"))
    attachment = {name: text for name, text in (("title", title), ("text", alert)) if text and text not in first}
    return [attachment | {"fallback": title or alert}] if attachment else None


def _add(
    workspace: Workspace,
    channel: Channel,
    at: datetime,
    text: str,
    imported: ImportedWorkspace,
    *,
    user: str | None,
    bot: str | None,
    thread_ts: str | None = None,
    attachments: list[JSON] | None = None,
    blocks: list[JSON] | None = None,
) -> Message:
    microseconds = round(at.timestamp() * 1_000_000)
    while (ts := f"{microseconds // 1_000_000:010d}.{microseconds % 1_000_000:06d}") in channel.messages:
        microseconds += 1
    app = workspace.add_bot(bot) if bot else None
    author = _person(workspace, user, channel, imported) if user and not app else None
    return workspace.add_message(
        channel.id,
        text,
        user=author.id if author else None,
        ts=ts,
        thread_ts=thread_ts,
        subtype="bot_message" if app else None,
        bot_id=app.id if app else None,
        app_id=app.app_id if app else None,
        username=app.name if app else None,
        attachments=attachments,
        blocks=blocks,
    )


def _person(workspace: Workspace, name: str, channel: Channel, imported: ImportedWorkspace) -> User:
    person = workspace.add_user(name, user_id=name if USER_ID.fullmatch(name) else None)
    imported.users[name] = person.id
    channel.members[person.id] = None
    return person


def _channel(workspace: Workspace, name: str, created: datetime, imported: ImportedWorkspace) -> Channel:
    try:
        channel = workspace.channel_named(name)
    except SlackError:
        channel = workspace.add_channel(name, created=int(created.timestamp()))
    channel.members[workspace.bot_user_id] = None
    imported.channels[name] = channel.id
    return channel


def _free_key(row: _Row, taken: dict[str, str]) -> str:
    return row.id if row.id not in taken else f"{row.id} ({row.file.name}:{row.line})"
