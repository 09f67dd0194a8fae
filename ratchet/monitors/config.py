"""Reads the channel monitors: a YAML file with one entry a monitor (behaviour A25)."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ratchet.settings import SettingsError
from ratchet.yaml_files import nearest, read_mapping
from tools.json_schema import Schema, SchemaError

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


def load_monitors(path: Path) -> list[Monitor]:
    """Read a file of monitors, in its order.

    Raises:
        SettingsError: it cannot be read, or an entry lacks something or has what it must not have; the message
            names it.
    """
    content = read_mapping(path, of="entries by their slugs")
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
    return f"unknown key {place} in entry {slug}; {nearest(place, _Entry.model_fields)}"
