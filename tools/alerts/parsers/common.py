"""What the parsers of single systems share."""

from __future__ import annotations

from tools.alerts.document import Document
from tools.alerts.model import CLOSE, OPEN, Alert, Priority, build_alert
from tools.alerts.signs import Reading, find_duration, read_message_state
from tools.alerts.states import State, read_level

OPENED: State = "open"
CLOSED: State = "close"


def posted_by(doc: Document, *words: str) -> bool:
    """Whether the poster's name, a footer or a link of a title has one of the words (lower case)."""
    places = [doc.username, *doc.links[:3], *(line.raw for line in doc.footers[:6])]
    return any(word in place.lower() for place in places for word in words)


def one(
    parser: str,
    doc: Document,
    state: State | None,
    name: str,
    service: str | None,
    *,
    priority: Priority | None = None,
    source: str = "",
    confidence: float = 0.97,
) -> list[Alert]:
    """One alert in a state that opens or closes; none where the state does neither, or without a name."""
    if state not in ("open", "close") or not name.strip():
        return []
    action = OPEN if state == "open" else CLOSE
    return [
        build_alert(
            parser,
            source or parser,
            action,
            name,
            service,
            priority=priority,
            duration=find_duration(doc) if action == CLOSE else None,
            confidence=confidence,
        )
    ]


def stated(doc: Document) -> Reading:
    """The state as the generic reader finds it, where it is sure of it."""
    reading = read_message_state(doc)
    if reading.confidence < 0.6:
        reading.state = None
    return reading


def shown(doc: Document) -> State | None:
    """The state that the colour shows, or else the first telling emoji of a headline."""
    sign = doc.color or next((line.sign for line in doc.headlines if line.sign), "")
    return {"bad": OPENED, "good": CLOSED}.get(sign)


def field_state(doc: Document, *keys: str) -> State | None:
    """The state in the first of these fields that has one."""
    for key in keys:
        value = doc.values.get(key)
        state = read_level(value).state if value else None
        if state:
            return state
    return None
