"""The contract that every tool keeps, and what the registry refuses."""

import json
import os
import re
import subprocess
import sys
import textwrap
from datetime import datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest
from langchain_core.tools import BaseTool, StructuredTool, tool
from langchain_core.utils.function_calling import convert_to_openai_tool

import tools
from agent.wording import arguments_shown, name_call
from tools.registry import BUILT_IN, CatalogueError, Effect, _installed, build_catalogue, load_catalogue

BUILT_INS = [entry for entry in load_catalogue() if entry.source == BUILT_IN]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("entry", BUILT_INS, ids=lambda entry: entry.name)
def test_every_built_in_tool_keeps_the_contract(entry):
    found = entry.tool
    assert (Path(tools.__path__[0]) / f"{entry.name}.py").is_file()
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", entry.name)
    assert len(found.description) > 60
    assert entry.effect in get_args(Effect)
    assert isinstance(found, StructuredTool) and found.coroutine is not None and found.func is None
    shown = convert_to_openai_tool(found)["function"]
    assert shown["name"] == entry.name
    properties = shown["parameters"]["properties"]
    assert "runtime" not in properties and "runtime" not in found.tool_call_schema.model_json_schema()["properties"]
    for name, schema in properties.items():
        assert schema.get("description"), f"{name} is not documented"
    assert "Args:" not in shown["description"]
    assert arguments_shown(entry) <= set(properties) and found.extras.get("doing")
    title = name_call(entry, entry.name, dict.fromkeys(properties, "x"))
    assert title[0].isupper() and not re.search(r"[{}\[\]|]", title)
    assert not re.search(r"[{}\[\]|]", name_call(entry, entry.name, {}))
    assert is_json(get_type_hints(found.coroutine)["return"])


def test_no_built_in_tool_writes_to_slack_or_anywhere_else_without_approval():
    assert {entry.name for entry in BUILT_INS if entry.effect != "read"} == {"update_doc"}
    assert {entry.effect for entry in BUILT_INS} == {"read", "change"}


def is_json(kind):
    """Whether values of an annotated type are plain JSON."""
    if is_typeddict(kind):
        return all(is_json(inner) for inner in get_type_hints(kind).values())
    if get_origin(kind) is dict and get_args(kind)[0] is not str:
        return False
    if get_origin(kind) in (list, dict, UnionType, Union, Literal):
        return all(is_json(inner) for inner in get_args(kind) if not isinstance(inner, str | int))
    return kind in (str, int, float, bool, NoneType)


def test_the_check_of_results_can_fail():
    assert is_json(list[str | None]) and not is_json(list[datetime]) and not is_json(dict[int, str])


def test_the_first_five_tools_are_there():
    assert {entry.name for entry in BUILT_INS} >= {
        "search_messages",
        "read_thread",
        "list_channels",
        "find_recent_activity",
        "report_usage",
    }


def test_names_are_unique_and_sorted_by_module():
    names = [entry.name for entry in BUILT_INS]
    assert names == sorted(set(names))


@tool(extras={"effect": "read"})
async def fine(word: str) -> str:
    """Say a word."""
    return word


@tool
async def silent(word: str) -> str:
    """Say a word."""
    return word


@tool(extras={"effect": "explode"})
async def explosive(word: str) -> str:
    """Say a word."""
    return word


@tool(extras={"effect": "read"})
def blocking(word: str) -> str:
    """Say a word."""
    return word


class Classic(BaseTool):
    name: str = "classic"
    description: str = "A tool as a class."
    extras: dict[str, Any] | None = {"effect": "read"}

    def _run(self, word: str) -> str:
        return word


class ClassicAsync(Classic):
    async def _arun(self, word: str) -> str:
        return word


@pytest.mark.parametrize(
    ("offered", "says"),
    [
        (silent, r"'silent' \(test\) does not say what it does: add extras=.*has None"),
        (explosive, r"'explosive'.*has 'explode'"),
        (blocking, r"'blocking' \(test\) is not async: define it with `async def`"),
        (Classic(), r"'classic' \(test\) is not async"),
        (fine.model_copy(update={"description": " "}), r"'fine' \(test\) has no description"),
    ],
    ids=["no effect", "unknown effect", "sync function", "sync class", "no description"],
)
def test_a_tool_that_breaks_the_contract_is_refused_by_name(offered, says):
    with pytest.raises(CatalogueError, match=says):
        build_catalogue([("test", offered)])


def test_a_tool_as_an_async_class_is_accepted():
    assert [entry.name for entry in build_catalogue([("test", ClassicAsync())])] == ["classic"]


def test_two_tools_of_one_name_are_refused_with_both_sources():
    with pytest.raises(CatalogueError, match="two tools are named 'fine': one is here, the other there"):
        build_catalogue([("here", fine), ("there", fine)])


def test_an_installed_tool_cannot_take_a_built_in_name():
    taken = fine.model_copy(update={"name": "search_messages"})
    with pytest.raises(CatalogueError, match="'search_messages': one is built-in"):
        build_catalogue([*((entry.source, entry.tool) for entry in BUILT_INS), ("plugin", taken)])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no_such_package:tool", r"entry point acme \(no_such_package:tool\) cannot be imported: ModuleNotFoundError"),
        ("json:no_such_name", "cannot be imported: AttributeError"),
        ("json:dumps", "must be a LangChain tool or a list of them, not function"),
    ],
)
def test_an_entry_point_that_is_no_tool_is_refused(value, says):
    with pytest.raises(CatalogueError, match=says):
        list(_installed([EntryPoint("acme", value, "ratchet.tools")]))


PACKAGE = {
    "pyproject.toml": """
        [build-system]
        requires = ["hatchling"]
        build-backend = "hatchling.build"

        [project]
        name = "acme-tools"
        version = "1.0"

        [project.entry-points."ratchet.tools"]
        acme = "acme_tools:tools"
    """,
    "acme_tools.py": '''
        from langchain_core.tools import tool


        @tool(parse_docstring=True, extras={"effect": "read"})
        async def find_owner(service: str) -> str:
            """Find the team that owns a service.

            Args:
                service: The service's name.
            """
            return f"{service} is owned by sre-1"


        tools = [find_owner]
    ''',
}
USE = """
    import asyncio, json
    from ratchet.policies import Policies, PolicyError, Rule
    from tools.registry import load_catalogue

    catalogue = load_catalogue()
    entry = next(e for e in catalogue if e.name == "find_owner")
    by_default = Policies(Rule(["@read", "@post", "@change"]), {}, catalogue)
    listed = Policies(Rule(["@read"]), {"#ops": Rule(["@read", "find_owner"])}, catalogue)
    print(json.dumps({
        "source": entry.source,
        "default": "find_owner" in by_default.allowed_tools("C1", "ops"),
        "ops": "find_owner" in listed.allowed_tools("C1", "ops"),
        "elsewhere": "find_owner" in listed.allowed_tools("C2", "random"),
        "answer": asyncio.run(entry.tool.ainvoke({"service": "checkout"})),
    }))
"""


def test_a_teams_package_adds_a_tool_that_is_denied_until_a_policy_lists_it(tmp_path):
    package, target = tmp_path / "package", tmp_path / "site"
    package.mkdir()
    for name, text in PACKAGE.items():
        (package / name).write_text(textwrap.dedent(text))
    install = [sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*install, "--python", sys.executable, "--target", str(target), str(package)],
        capture_output=True,
        text=True,
        env={**os.environ, "UV_CACHE_DIR": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    used = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USE)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{target}{os.pathsep}{ROOT}"},
    )
    assert used.returncode == 0, used.stderr
    assert json.loads(used.stdout) == {
        "source": "entry point acme (acme_tools:tools)",
        "default": False,
        "ops": True,
        "elsewhere": False,
        "answer": "checkout is owned by sre-1",
    }
