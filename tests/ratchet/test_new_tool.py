"""``ratchet new-tool``: what it writes works as it is, installed as a team would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ratchet.new_tool import NewToolError, write_package

ROOT = Path(__file__).parents[2]
USE = """
import asyncio, json
from tools.registry import load_catalogue
entry = next(e for e in load_catalogue() if e.name == "find_owner")
print(json.dumps([entry.source, entry.effect, asyncio.run(entry.tool.ainvoke({"subject": "checkout"}))]))
"""


def run(*command, **environ):
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, env={**os.environ, **environ})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_new_tool_passes_its_test_installs_and_is_found(tmp_path):
    run("-m", "ratchet.cli", "new-tool", "find_owner", "--dir", str(tmp_path), PYTHONPATH=str(ROOT))
    folder, site = tmp_path / "ratchet-find-owner", tmp_path / "site"
    assert "ratchet." not in (folder / "ratchet_find_owner.py").read_text()
    tested = run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder), "--rootdir", str(folder), PYTHONPATH=str(folder)
    )
    assert "3 passed" in tested
    run(
        "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-deps", "--no-build-isolation",
        "--python", sys.executable, "--target", str(site), str(folder),
        UV_CACHE_DIR=str(tmp_path / "cache"),
    )  # fmt: skip
    found = json.loads(run("-c", USE, PYTHONPATH=f"{site}{os.pathsep}{ROOT}"))
    assert found == [
        "entry point find_owner (ratchet_find_owner:find_owner)",
        "read",
        "Nothing is known of checkout yet.",
    ]


@pytest.mark.parametrize(
    "name", ["owner", "FindOwner", "find-owner", "../find_owner", "find_owner; rm", "x" * 60 + "_y"]
)
def test_a_name_that_is_no_tools_name_is_refused(tmp_path, name):
    with pytest.raises(NewToolError, match="is no name for a tool"):
        write_package(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_another_tool_bears_is_refused(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "ratchet.cli", "new-tool", "search_messages", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (
        1,
        "error: there is a tool 'search_messages' already (built-in): take another name\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_written_over(tmp_path):
    folder = write_package("find_owner", tmp_path)
    (folder / "ratchet_find_owner.py").write_text("mine")
    with pytest.raises(NewToolError, match="is there already"):
        write_package("find_owner", tmp_path)
    assert (folder / "ratchet_find_owner.py").read_text() == "mine"
