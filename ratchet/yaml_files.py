"""Reads the YAML files that operators write: safely, and with the place of what is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Iterable
from pathlib import Path
from typing import Any

import yaml

from ratchet.settings import SettingsError

LARGEST = 256 * 1024
DEEPEST = 32


class _Refused(Exception):
    """The YAML does what it must not."""


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


def read_mapping(path: Path, *, of: str) -> dict[Any, Any]:
    """What a YAML file holds, which must be keys and values; an empty file holds none.

    Args:
        path: the file, UTF-8.
        of: what the keys are, for the message about a file that holds something else.

    Raises:
        SettingsError: it cannot be read, is too large, is no YAML, or holds what it must not.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from None
    if len(content) > LARGEST:
        raise SettingsError(f"{path} is larger than {LARGEST // 1024} KiB")
    try:
        return _parse(content.decode("utf-8"), of)
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8") from None
    except _Refused as error:
        raise SettingsError(f"{path}: {error}") from None
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _parse(text: str, of: str) -> dict[Any, Any]:
    try:
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - it is a safe one
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # 2020-13-45, !!int x, !!map [1]
        raise _Refused(f"a value is not of its kind: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _Refused(f"it must hold {of}")
    return content


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was meant, or all that there are."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(names)}"
