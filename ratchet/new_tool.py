"""Writes a package with a tool for a team to fill in; its author needs LangChain only."""

from __future__ import annotations

import keyword
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template


class NewToolError(Exception):
    """The package cannot be written; the message says why, in one line."""


PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "$package"
version = "0.1.0"
description = "A tool for Ratchet."
requires-python = ">=3.11"
dependencies = ["langchain-core"]

[project.optional-dependencies]
test = ["pytest"]

# Ratchet finds the tool by this. One entry may also name a list of tools.
[project.entry-points."ratchet.tools"]
$name = "$module:$name"

[tool.hatch.build.targets.wheel]
include = ["$module.py"]
"""

MODULE = '''\
"""A tool for Ratchet: $words."""

from langchain_core.tools import ToolException, tool


# effect: "read" looks, "post" writes what people see, "change" changes anything else and needs approval.
@tool(parse_docstring=True, extras={"effect": "read"})
async def $name(subject: str) -> str:
    """$sentence.

    The model reads this text: say when to use the tool, and what comes back.

    Args:
        subject: What it is about, such as checkout.
    """
    if not subject.strip():
        raise ToolException("subject is empty: name what it is about, such as checkout.")  # the model reads this too
    return f"Nothing is known of {subject} yet."
'''

TEST = '''\
"""Tests of $name."""

import asyncio

import pytest
from langchain_core.tools import ToolException
from $module import $name


def test_it_answers():
    assert asyncio.run($name.ainvoke({"subject": "checkout"})) == "Nothing is known of checkout yet."


def test_it_says_what_is_wrong():
    with pytest.raises(ToolException, match="subject is empty"):
        asyncio.run($name.ainvoke({"subject": " "}))


def test_the_model_is_told_what_it_is_for():
    assert $name.extras == {"effect": "read"}
    assert $name.args["subject"]["description"]
'''

README = """\
# $package

The tool `$name` for Ratchet. Fill in `$module.py`, then

    cd $folder && $python -m pytest
    $uv pip install --python $python $folder
    $ratchet tools                      # lists $name

and allow it in `configs/ratchet.yaml`, for everybody or for a channel:

    policies:
      default:
        tools: ["@read", $name]
"""


def write_package(name: str, directory: Path, taken: Mapping[str, str] | None = None) -> Path:
    """Write the package into a new folder of ``directory`` and return that folder.

    Args:
        name: the tool's name.
        directory: where the folder is made.
        taken: where the tools come from that are there already, by name.

    Raises:
        NewToolError: the name is not ``verb_noun``, or taken, or the folder is there already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", name) or keyword.iskeyword(name) or len(name) > 50:
        raise NewToolError(f"{name!r} is no name for a tool: take verb_noun in small letters, such as find_owner")
    if taken and name in taken:
        raise NewToolError(f"there is a tool {name!r} already ({taken[name]}): take another name")
    words = name.replace("_", " ")
    package = f"ratchet-{name.replace('_', '-')}"
    values = {
        "name": name,
        "module": package.replace("-", "_"),
        "package": package,
        "words": words,
        "sentence": words.capitalize(),
    }
    folder = directory / package
    programs = Path(sys.executable).parent
    values |= {
        "folder": shlex.quote(str(folder.absolute())),
        "python": shlex.quote(sys.executable),
        "uv": shlex.quote(str(programs / "uv")),
        "ratchet": shlex.quote(str(programs / "ratchet")),
    }
    try:
        folder.mkdir(parents=True)
        for file, text in (
            ("pyproject.toml", PYPROJECT),
            (f"{values['module']}.py", MODULE),
            (f"test_{name}.py", TEST),
            ("README.md", README),
        ):
            (folder / file).write_text(Template(text).substitute(values), "utf-8")
    except FileExistsError:
        raise NewToolError(f"{folder} is there already: remove it, or choose another --dir") from None
    except OSError as error:
        raise NewToolError(f"cannot write {folder}: {error.strerror}") from None
    return folder
