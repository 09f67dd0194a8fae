"""Files of alerts and threads become the history of a workspace; what is wrong with them is said."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sandbox.demo_data import load_demo
from sandbox.importer import load_folder
from sandbox.workspace import Workspace

NOW = datetime(2026, 3, 18, 10, 30, tzinfo=UTC)
FIRING = {"title": "[FIRING:1] QueueFull (mail warning)", "color": "danger", "text": ""}
RESOLVED = {"title": "[RESOLVED] QueueFull (mail warning)", "color": "good", "text": ""}
ALERTS: list[dict[str, Any]] = [
    {"id": "a1", "bot_username": "Alertmanager", "user": None, "text": "", "attachments": [FIRING], "blocks": None},
    {"id": "a2", "bot_username": None, "user": "UABC12345", "text": "  looking\n", "attachments": None},
    {"id": "a3", "bot_username": "Alertmanager", "text": "", "attachments": [RESOLVED]},
    {"id": "a4", "bot_username": "CI", "text": "Job failed", "blocks": [{"type": "divider"}]},
]
THREADS: list[dict[str, Any]] = [
    {
        "id": "t1",
        "title": "Mail was late",
        "alert": "queue is full",
        "messages": [
            {"user": "user_1", "text": "queue is full", "ts": "Feb 20 2018 14:17"},
            {"user": "mailer APP", "text": "restarted <b>one</b> worker", "ts": None},
            {"user": "user_2", "text": "Root cause: one worker stuck", "ts": "20202-01-16"},
        ],
    },
    {"id": "t2", "title": "Disk", "alert": "disk", "messages": [{"user": "user_1", "text": "disk is full"}]},
]


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_rows(tmp_path / "alerts" / "dev.jsonl", ALERTS)
    write_rows(tmp_path / "threads" / "dev.jsonl", THREADS)
    return tmp_path


@pytest.fixture
def workspace() -> Workspace:
    return Workspace()


def test_alerts_keep_their_order_and_are_spread_evenly_up_to_now(workspace: Workspace, folder: Path) -> None:
    imported = load_folder(workspace, folder, NOW, days=4)
    channel = workspace.channel_named("#ops-alerts")
    assert channel.timeline == [imported.alerts[row["id"]] for row in ALERTS]
    stamps = [float(ts) for ts in channel.timeline]
    assert stamps[-1] == (NOW - timedelta(minutes=1)).timestamp()
    assert stamps[0] > (NOW - timedelta(days=4)).timestamp()
    gaps = [later - earlier for earlier, later in pairwise(stamps)]
    assert gaps == pytest.approx([gaps[0]] * 3)


def test_alerts_keep_their_payload_and_author(workspace: Workspace, folder: Path) -> None:
    imported = load_folder(workspace, folder, NOW)
    channel = workspace.channel_named("ops-alerts")
    firing, human, _, job = (channel.messages[ts] for ts in imported.alerts.values())
    assert (firing.username, firing.subtype, firing.user) == ("Alertmanager", "bot_message", None)
    assert firing.attachments == [FIRING]
    assert firing.text == ""
    assert (human.user, human.bot_id, human.text) == ("UABC12345", None, "  looking\n")
    assert job.blocks == [{"type": "divider"}]
    assert set(channel.members) == {"UABC12345", workspace.bot_user_id}


def test_a_thread_is_a_message_with_replies_in_order(workspace: Workspace, folder: Path) -> None:
    imported = load_folder(workspace, folder, NOW)
    channel = workspace.channel_named("incidents")
    parent = channel.messages[imported.threads["t1"]]
    assert channel.timeline == list(imported.threads.values())
    replies = [channel.messages[ts] for ts in channel.threads[parent.ts].replies]
    assert [parent.text, *(reply.text for reply in replies)] == [m["text"] for m in THREADS[0]["messages"]]
    assert parent.attachments == [{"title": "Mail was late", "fallback": "Mail was late"}]
    assert replies[0].username == "mailer"
    assert replies[1].user == imported.users["user_2"]
    assert (NOW - timedelta(days=60)).timestamp() < float(parent.ts) < float(replies[-1].ts) < NOW.timestamp()


@pytest.mark.parametrize("kept", ["alerts", "threads"])
def test_one_of_the_two_folders_is_enough(workspace: Workspace, folder: Path, kept: str) -> None:
    dropped = "threads" if kept == "alerts" else "alerts"
    (folder / dropped / "dev.jsonl").unlink()
    imported = load_folder(workspace, folder, NOW)
    assert set(imported.channels) == {"ops-alerts" if kept == "alerts" else "incidents"}


def test_a_single_file_and_the_inner_folder_work_too(folder: Path) -> None:
    assert len(load_folder(Workspace(), folder / "threads" / "dev.jsonl", NOW).threads) == 2
    assert len(load_folder(Workspace(), folder / "alerts", NOW).alerts) == 4


def test_rows_are_added_to_the_channels_of_the_demo(workspace: Workspace, folder: Path) -> None:
    demo = load_demo(workspace, NOW)
    before = len(workspace.channel_named("ops-alerts").timeline)
    imported = load_folder(workspace, folder, NOW)
    assert imported.channels["ops-alerts"] == demo.channels["ops-alerts"]
    assert len(workspace.channel_named("ops-alerts").timeline) == before + len(ALERTS)


def test_the_same_rows_twice_collide_nowhere(workspace: Workspace, folder: Path) -> None:
    load_folder(workspace, folder, NOW)
    load_folder(workspace, folder, NOW)
    assert len(workspace.channel_named("ops-alerts").timeline) == 2 * len(ALERTS)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"id": ', "not valid JSON"),
        ("[1, 2]", "a row must be a JSON object"),
        ('{"id": "x"}', "no alert .* and no thread"),
        ('{"text": 5}', "`text` must be a string, not int"),
        ('{"attachments": "no"}', "`attachments` must be a list of objects or null"),
        ('{"text": "a", "user": 7}', "`user` must be a string or null"),
        ('{"messages": []}', "at least one message"),
        ('{"messages": [{"text": "a"}, {"user": "b"}]}', "message 2 of the thread has no `text`"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(workspace: Workspace, folder: Path, line: str, problem: str) -> None:
    file = folder / "alerts" / "dev.jsonl"
    file.write_text(f"{file.read_text()}\n{line}\n")
    with pytest.raises(ValueError, match=rf"dev\.jsonl, line 6: .*{problem}.*Correct or remove that line"):
        load_folder(workspace, folder, NOW)
    assert not workspace.channels


def test_an_empty_folder_says_what_belongs_there(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no \.jsonl file to import\. Give a folder with alerts/"):
        load_folder(workspace, tmp_path, NOW)


def test_a_folder_of_empty_files_says_so(workspace: Workspace, tmp_path: Path) -> None:
    write_rows(tmp_path / "alerts" / "dev.jsonl", [])
    with pytest.raises(ValueError, match="holds no rows"):
        load_folder(workspace, tmp_path, NOW)


def test_a_wrong_path_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        load_folder(workspace, tmp_path / "absent", NOW)
    page = tmp_path / "README.md"
    page.write_text("# no data\n")
    with pytest.raises(ValueError, match=r"is no \.jsonl file"):
        load_folder(workspace, page, NOW)


def read_rows(files: Iterable[Path]) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(files) for line in file.read_bytes().splitlines()]


def test_real_alerts_and_threads_are_loaded_whole_and_verbatim(workspace: Workspace, shared_data: Path) -> None:
    folder = shared_data
    imported = load_folder(workspace, folder, NOW)
    alerts, incidents = (workspace.channel_named(name) for name in ("ops-alerts", "incidents"))
    rows = read_rows(folder.glob("alerts/*.jsonl"))
    assert len(alerts.timeline) == len(rows) > 0
    for row in rows:
        message = alerts.messages[imported.alerts[row["id"]]]
        assert message.text == row["text"]
        assert message.attachments == row["attachments"]
        assert message.blocks == row["blocks"]
        assert message.username == row["bot_username"]
    for row in read_rows(folder.glob("threads/*.jsonl")):
        parent = incidents.messages[imported.threads[row["id"]]]
        thread = incidents.threads.get(parent.ts)
        replies = [incidents.messages[ts].text for ts in thread.replies] if thread else []
        assert [parent.text, *replies] == [message["text"] for message in row["messages"]]
