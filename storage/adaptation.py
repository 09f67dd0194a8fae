"""Takes out of every value what Postgres cannot hold: NUL characters and halves of surrogate pairs.

Both occur in JSON that Slack, models and tools send. Refused by the database, such an event would never be
acknowledged and such a turn could never end.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.types.json import set_json_dumps
from psycopg.types.string import StrDumperUnknown

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
REPLACEMENT = "\ufffd"


def storable(value: Any) -> Any:
    """The same value as JSON in Postgres can hold it.

    Characters that cannot be stored become a replacement character, and numbers that are none become null.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return UNSTORABLE.sub(REPLACEMENT, value)
    if isinstance(value, dict):
        return {storable(key): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    return value


class TextDumper(StrDumperUnknown):
    """psycopg's own, for storable text."""

    def dump(self, obj: str) -> Buffer | None:
        """The text in the connection's encoding."""
        return super().dump(UNSTORABLE.sub(REPLACEMENT, obj))


def dump_json(value: Any) -> str:
    """JSON that a ``jsonb`` column takes."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:  # an infinity or NaN, which JSON does not know
        return json.dumps(storable(value), ensure_ascii=False)
    return json.dumps(storable(value), ensure_ascii=False) if "\\u0000" in text or UNSTORABLE.search(text) else text


def register(conn: psycopg.AsyncConnection[Any]) -> None:
    """Use both on a connection."""
    conn.adapters.register_dumper(str, TextDumper)
    set_json_dumps(dump_json, conn)
