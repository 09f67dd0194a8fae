"""Messages that list the alerts of a group, each with its labels."""

from __future__ import annotations

import re

from tools.alerts import names
from tools.alerts.document import Document
from tools.alerts.model import CLOSE, OPEN, AlertAction, Priority
from tools.alerts.states import read_level, read_priority

Labelled = tuple[AlertAction | None, str, str | None, Priority | None]


def labelled_alerts(doc: Document) -> list[Labelled]:
    """The alerts of a group that lists each with its labels: (action, name, service, priority)."""
    found: list[Labelled] = []
    section: AlertAction | None = None
    current: dict[str, str] = {}

    def finish() -> None:
        name = current.get("alertname") or current.get("alert name") or ""
        if names.is_name(name):
            labels = {key: value for key, value in current.items() if value.lower() not in names.NOTHING}
            service = names.label_service({key: value.split(" ")[0] for key, value in labels.items()})
            found.append((section, name, service or None, read_priority(labels.get("severity", ""))))
        current.clear()

    for line in doc.lines:
        text = line.plain
        state = read_level(text.rstrip(":")).state if len(text) < 40 and ":" not in text.rstrip(":") else None
        if state in ("open", "close") and not names.LABEL.search(text):
            finish()
            section = OPEN if state == "open" else CLOSE
            continue
        if text.lower() in {"labels", "labels:"}:
            finish()
        inline = names.labels_in(text) if "alertname" in text and "," in text else {}
        if len(inline) > 1:
            finish()
            current.update(inline)
            finish()
            continue
        match = re.match(r"^\W{0,4}([A-Za-z_][\w. ]{0,40}?)\s*[=:]\s*(\S.{0,160})$", text)
        if match:
            key = match[1].lower().strip()
            if key in {"annotations", "source", "silence", "dashboard", "panel", "value"}:
                continue
            if key in current and key in {"alertname", "alert name"}:
                finish()
            current.setdefault(key, match[2].strip())
    finish()
    return found if len(found) >= 1 else []
