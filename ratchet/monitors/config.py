"""Reads the channel monitors: a YAML file with one entry a monitor (behaviour A25)."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.json_answers import Schema, SchemaError
from ratchet.settings import SettingsError

LARGEST = 256 * 1024
DEEPEST = 32
LONGEST_SLUG = 100
NAMED = {"text": "{{.Message.Text}}", "user": "{{.Message.User}}"}
PLACEHOLDER = re.compile(r"\{\{\s*\.Message\.(?P<name>Text|User)\s*\}\}")
UNKNOWN = re.compile(r"\{\{[^{}\n]{0,100}\}\}")


@dataclass(frozen=True)
class Monitor:
    """One channel's monitor; ``argv`` is its program, by absolute path, and the program's arguments."""

    slug: str
    channel_id: str
    prompt: str
    schema: Schema
    argv: tuple[str, ...]

    def fill(self, text: str, user: str) -> str:
        """The prompt with a message in it. In one pass: what the message says is not filled in again."""
        values = {"Text": text, "User": user}
        return PLACEHOLDER.sub(lambda match: values[match["name"]], self.prompt)


class _Entry(BaseModel):
    """An entry as it is written; numbers among the arguments may stand without quotes."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    channel_id: str = ""
    prompt: str = ""
    result_schema: Any = Field(default_factory=dict)
    executable: str = ""
    executable_args: list[str] = Field(default_factory=list)


class _Loader(yaml.SafeLoader):
    """Safe YAML, without what grows when it is read: aliases; nor deep nesting, nor a key twice."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise _Refused(f"line {line}: aliases (*name) are not allowed")
        if self.depth >= DEEPEST:
            raise _Refused(f"it is nested more than {DEEPEST} levels deep")
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _Refused(f"line {key.start_mark.line + 1}: {key.value!r} stands there twice")
                seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Refused(Exception):
    """The YAML does what it must not."""


def load_monitors(path: Path) -> list[Monitor]:
    """Read a file of monitors, in its order.

    Raises:
        SettingsError: it cannot be read, or ``parse_monitors`` refuses it.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > LARGEST:
        raise SettingsError(f"{path} is larger than {LARGEST // 1024} KiB")
    try:
        return parse_monitors(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8") from None
    except _Refused as error:
        raise SettingsError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def parse_monitors(text: str) -> list[Monitor]:
    """Read monitors.

    Raises:
        SettingsError: an entry lacks something or has what it must not have; the message names it.
        yaml.YAMLError: it is no YAML.
    """
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # 2020-13-45, !!int x, !!map [1]
        raise _Refused(f"a value is not of its kind: {error}") from None
    if content is None:
        return []
    if not isinstance(content, dict):
        raise _Refused("it must hold entries by their slugs")
    return [_monitor(slug, entry) for slug, entry in content.items()]


def _monitor(slug: Any, entry: Any) -> Monitor:
    if not isinstance(slug, str) or not slug.isprintable() or not 0 < len(slug) <= LONGEST_SLUG:
        raise SettingsError(f"a slug must be a text of 1 to {LONGEST_SLUG} printable characters, not {slug!r}")
    if not isinstance(entry, dict):
        raise SettingsError(f"entry {slug} must hold keys and values, such as channel_id")
    try:
        given = _Entry.model_validate({key: value for key, value in entry.items() if value is not None})
    except ValidationError as error:
        raise SettingsError(_explain(slug, error)) from None
    for name in ("channel_id", "prompt", "executable"):
        if not getattr(given, name).strip():
            raise SettingsError(f"missing {name} for entry {slug}")
    unknown = next((match[0] for match in UNKNOWN.finditer(PLACEHOLDER.sub("", given.prompt))), None)
    if unknown:
        raise SettingsError(
            f"prompt of entry {slug} has {unknown}, which nothing fills in; there are {' and '.join(NAMED.values())}"
        )
    try:
        schema = Schema(given.result_schema)
    except SchemaError as error:
        raise SettingsError(f"result_schema of entry {slug} is no JSON Schema: {error}") from None
    if any("\x00" in argument for argument in given.executable_args):
        raise SettingsError(f"executable_args of entry {slug} hold a NUL character")
    return Monitor(
        slug=slug,
        channel_id=given.channel_id.strip(),
        prompt=given.prompt,
        schema=schema,
        argv=(_find(slug, given.executable), *given.executable_args),
    )


def _find(slug: str, executable: str) -> str:
    found = None if "\x00" in executable else shutil.which(executable)
    if found is None:
        raise SettingsError(
            f"executable not found for entry {slug}: {executable!r} is no program that can be run; "
            "give an absolute path, or a name that is on PATH"
        )
    return os.path.abspath(found)  # noqa: PTH100 - a link stays one: some programs go by their name


def _explain(slug: str, error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    if first["type"] != "extra_forbidden":
        return f"{place} of entry {slug}: {first['msg']}"
    near = difflib.get_close_matches(place, list(_Entry.model_fields), n=1, cutoff=0.6)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(_Entry.model_fields)}"
    return f"unknown key {place} in entry {slug}; {meant}"
