"""Who Ratchet is in a workspace, and what a message is to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from slack_app.events import IncomingMessage
from storage.messages import NewAlert, NewMessage
from storage.turns import Source
from tools.alerts import Alert, AlertMessage, overall, read

ADDRESSING = {None, "file_share", "thread_broadcast", "me_message"}
USER = re.compile(r"<@([A-Z0-9]+)(?:\|[^>]*)?>")


@dataclass(frozen=True)
class Identity:
    """From Slack's ``auth.test``; ``workspace_url`` begins every permalink."""

    team_id: str
    bot_user_id: str
    bot_id: str
    workspace_url: str
    name: str = "ratchet"
    mention: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mention", re.compile(rf"<@{re.escape(self.bot_user_id)}(?:\|[^>]*)?>"))

    def permalink(self, channel_id: str, ts: str, thread_ts: str | None) -> str:
        """The link to a message, as Slack builds it."""
        link = f"{self.workspace_url}archives/{channel_id}/p{ts.replace('.', '')}"
        return f"{link}?thread_ts={thread_ts}&cid={channel_id}" if thread_ts else link

    def wrote(self, message: IncomingMessage) -> bool:
        """Whether the message is Ratchet's own."""
        return message.bot_id == self.bot_id or message.user_id == self.bot_user_id

    def addressed_by(self, message: IncomingMessage) -> Source | None:
        """Whether a person talks to Ratchet: by mention anywhere in the text, or in a DM."""
        if message.is_bot or self.wrote(message) or message.subtype not in ADDRESSING:
            return None
        if message.channel_kind == "im":
            return "dm"
        return "mention" if self.mention.search(message.raw_text) else None

    def question_in(self, message: IncomingMessage) -> str:
        """What is asked, without the mention."""
        return self.mention.sub("", message.text).strip()

    def question_in_stored(self, text: str) -> str:
        """What is asked, of a message as it is stored (``describe``)."""
        return re.sub(rf"@{re.escape(self.name)}(?!\w)", "", text).strip()

    def people_in(self, message: IncomingMessage) -> set[str]:
        """The ids of the people whose names the stored message needs."""
        return {*USER.findall(message.text), message.user_id or ""} - {"", self.bot_user_id}

    def describe(self, message: IncomingMessage, names: Mapping[str, str]) -> NewMessage:
        """A message as it is stored: with names, permalink and the alerts that it reports.

        Args:
            message: as Slack delivered it.
            names: of people by id; an id that is not there stays as it is.
        """
        names = {self.bot_user_id: self.name, **names}
        is_own = self.wrote(message)
        alerts = [] if is_own else read(alert_message(message))
        return NewMessage(
            team_id=message.team_id,
            channel_id=message.channel_id,
            ts=message.ts,
            thread_ts=message.thread_ts,
            user_id=message.user_id,
            bot_id=message.bot_id,
            author=message.bot_username or names.get(message.user_id or "") or message.user_id or "unknown",
            is_bot=message.is_bot or is_own,
            searchable=not is_own and self.addressed_by(message) is None,
            text=USER.sub(lambda match: "@" + names.get(match[1], match[1]), message.text),
            permalink=self.permalink(message.channel_id, message.ts, message.thread_ts),
            alert_action=overall(alerts),
            edited_ts=message.edited_ts,
            attrs=message.attrs(),
            alerts=tuple(new_alert(alert) for alert in alerts),
        )


def alert_message(message: IncomingMessage) -> AlertMessage:
    """A message as the classifier reads it."""
    return AlertMessage(
        message.bot_username or "", message.raw_text, message.attachments, message.blocks, is_bot=message.is_bot
    )


def new_alert(alert: Alert) -> NewAlert:
    """A reading as it is stored."""
    return NewAlert(
        fingerprint=alert.fingerprint,
        action=alert.action,
        alert=alert.alert,
        service=alert.service,
        priority=alert.priority,
        duration=alert.duration,
        parser=alert.parser,
        confidence=alert.confidence,
    )
