"""A Slack workspace in memory: people, channels, messages and threads.

The model knows nothing of HTTP or events: it stores and indexes. `sandbox.slack` publishes what changes.
Messages are indexed by channel and ts, timelines and threads are sorted lists of ts, so that a workspace of a
hundred thousand messages answers as fast as an empty one.
"""

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable
from itertools import count

from sandbox.slack.records import JSON, Bot, Channel, Kind, Message, SlackError, Thread, User, normal_ts

APP_ID = "A0SBX00001"


class Workspace:
    """One team with one app of its own, whose bot is `bot_user_id`.

    Args:
        name: The team's name.
        domain: The team's subdomain, for `team.info`.
        bot_name: How the app's bot is called.
        clock: Seconds since 1970, from which new ts are taken.
    """

    def __init__(
        self,
        name: str = "Sandbox",
        domain: str = "sandbox",
        bot_name: str = "ratchet",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.domain = domain
        self.clock = clock
        self.team_id = "T0SBX00001"
        self.users: dict[str, User] = {}
        self.bots: dict[str, Bot] = {}
        self.channels: dict[str, Channel] = {}
        self._numbers = count(1)
        self._last_ts = 0
        self._channel_names: dict[str, str] = {}
        self._user_names: dict[str, str] = {}
        self._bot_names: dict[str, str] = {}
        self._emails: dict[str, str] = {}
        self._direct: dict[frozenset[str], str] = {}
        bot = self.add_bot(bot_name, app_id=APP_ID, with_user=True)
        self.bot_id = bot.id
        self.bot_user_id = bot.user_id or ""

    def new_id(self, prefix: str) -> str:
        """A fresh id of Slack's shape: one letter for the kind, then digits and capitals."""
        return f"{prefix}0SBX{next(self._numbers):06d}"

    def new_ts(self) -> str:
        """The present as a ts, later than every ts given out before."""
        self._last_ts = max(int(self.clock() * 1_000_000), self._last_ts + 1)
        return f"{self._last_ts // 1_000_000:010d}.{self._last_ts % 1_000_000:06d}"

    # People

    def add_user(
        self,
        name: str,
        *,
        real_name: str | None = None,
        email: str | None = None,
        tz: str = "UTC",
        tz_offset: int = 0,
        is_bot: bool = False,
        is_admin: bool = False,
        is_restricted: bool = False,
        is_ultra_restricted: bool = False,
        team_id: str | None = None,
        user_id: str | None = None,
    ) -> User:
        """Add a person.

        Args:
            name: The short name, unique in the workspace; an existing one is returned as it is.
            real_name: What Slack shows; `name` if absent.
            email: The profile's address.
            tz: An IANA time zone.
            tz_offset: Its distance from UTC in seconds.
            is_bot: Whether it is an app's user.
            is_admin: Whether it administers the workspace.
            is_restricted: A guest of several channels.
            is_ultra_restricted: A guest of one channel.
            team_id: Another team's id makes it a stranger of Slack Connect.
            user_id: An id to keep, when a workspace is imported.
        """
        if name in self._user_names:
            return self.users[self._user_names[name]]
        user = User(
            id=user_id or self.new_id("U"),
            name=name,
            real_name=real_name or name,
            team_id=team_id or self.team_id,
            email=email,
            tz=tz,
            tz_offset=tz_offset,
            is_bot=is_bot,
            is_admin=is_admin,
            is_restricted=is_restricted or is_ultra_restricted,
            is_ultra_restricted=is_ultra_restricted,
        )
        self.users[user.id] = user
        self._user_names[name] = user.id
        if email:
            self._emails[email.lower()] = user.id
        return user

    def add_bot(self, name: str, *, app_id: str | None = None, with_user: bool = False) -> Bot:
        """Add an app that posts, or return the one of that name; old integrations have no user."""
        if name in self._bot_names:
            return self.bots[self._bot_names[name]]
        bot = Bot(id=self.new_id("B"), name=name, app_id=app_id or self.new_id("A"))
        if with_user:
            user = self.add_user(name, is_bot=True)
            user.bot_id = bot.id
            bot.user_id = user.id
        self.bots[bot.id] = bot
        self._bot_names[name] = bot.id
        return bot

    def rename_user(self, user_id: str, name: str) -> None:
        """Give a person another short name; raises `name_taken`."""
        user = self.user(user_id)
        if name in self._user_names:
            raise SlackError("name_taken")
        del self._user_names[user.name]
        user.name = name
        self._user_names[name] = user_id

    def user(self, user_id: str) -> User:
        """The user of this id; raises `user_not_found`."""
        if user_id not in self.users:
            raise SlackError("user_not_found")
        return self.users[user_id]

    def user_named(self, name: str) -> User:
        """The user of this id or short name (with or without @); raises `user_not_found`."""
        return self.user(self._user_names.get(name.removeprefix("@"), name))

    def user_with_email(self, email: str) -> User:
        """The user of this address, in any case; raises `users_not_found`."""
        user_id = self._emails.get(email.lower())
        if user_id is None:
            raise SlackError("users_not_found")
        return self.users[user_id]

    # Channels

    def add_channel(
        self,
        name: str,
        *,
        is_private: bool = False,
        members: Iterable[str] = (),
        creator: str | None = None,
        topic: str = "",
        purpose: str = "",
        created: int | None = None,
        channel_id: str | None = None,
    ) -> Channel:
        """Add a public or private channel; `members` are user ids. Raises `name_taken`."""
        name = name.removeprefix("#")
        if name in self._channel_names:
            raise SlackError("name_taken")
        channel = Channel(
            id=channel_id or self.new_id("C"),
            name=name,
            kind="group" if is_private else "channel",
            created=int(self.clock()) if created is None else created,
            creator=creator,
            topic=topic,
            purpose=purpose,
            members=dict.fromkeys(self.user(member).id for member in members),
        )
        self.channels[channel.id] = channel
        self._channel_names[name] = channel.id
        return channel

    def rename_channel(self, channel_id: str, name: str) -> None:
        """Give a channel another name; raises `name_taken`."""
        channel, name = self.channel(channel_id), name.removeprefix("#")
        if name in self._channel_names:
            raise SlackError("name_taken")
        del self._channel_names[channel.name]
        channel.name = name
        self._channel_names[name] = channel_id

    def open_direct(self, user_ids: Iterable[str]) -> Channel:
        """The direct conversation of exactly these users: an `im` of two, an `mpim` of more."""
        members = [self.user(user_id).id for user_id in user_ids]
        key = frozenset(members)
        if key not in self._direct:
            kind: Kind = "im" if len(key) <= 2 else "mpim"
            name = "" if kind == "im" else f"mpdm-{'--'.join(self.users[m].name for m in members)}-1"
            channel_id = self.new_id("D" if kind == "im" else "G")
            channel = Channel(channel_id, name, kind, int(self.clock()), members=dict.fromkeys(members))
            self.channels[channel_id] = channel
            self._direct[key] = channel_id
        return self.channels[self._direct[key]]

    def channel(self, channel_id: str) -> Channel:
        """The conversation of this id; raises `channel_not_found`."""
        if channel_id not in self.channels:
            raise SlackError("channel_not_found")
        return self.channels[channel_id]

    def channel_named(self, name: str) -> Channel:
        """The conversation of this id or name (with or without #); raises `channel_not_found`."""
        return self.channel(self._channel_names.get(name.removeprefix("#"), name))

    # Messages

    def message(self, channel_id: str, ts: str) -> Message:
        """The message of this channel and ts; raises `message_not_found`."""
        message = self.channel(channel_id).messages.get(ts)
        if message is None:
            raise SlackError("message_not_found")
        return message

    def add_message(
        self,
        channel_id: str,
        text: str,
        *,
        user: str | None = None,
        ts: str | None = None,
        thread_ts: str | None = None,
        subtype: str | None = None,
        bot_id: str | None = None,
        app_id: str | None = None,
        username: str | None = None,
        blocks: list[JSON] | None = None,
        attachments: list[JSON] | None = None,
        metadata: JSON | None = None,
        files: list[JSON] | None = None,
        reactions: dict[str, list[str]] | None = None,
    ) -> Message:
        """Store a message; no event goes out.

        Args:
            channel_id: Where.
            text: What was written, in mrkdwn.
            user: The author's id; absent for old integrations.
            ts: A ts of the past, to load history; absent for now.
            thread_ts: The parent's ts. A reply may be stored before its parent.
            subtype: Slack's subtype; `thread_broadcast` shows a reply in the channel too.
            bot_id: The app's bot that posted it.
            app_id: The app that posted it.
            username: The name shown for `bot_message`.
            blocks: Block Kit.
            attachments: Legacy attachments, as alert integrations send them.
            metadata: `{event_type, event_payload}`.
            files: Slack's file objects.
            reactions: Emoji names to user ids.

        Raises:
            SlackError: `channel_not_found`, `invalid_ts`, or `duplicate_message` for a ts that is taken.
        """
        channel = self.channel(channel_id)
        if ts is None:
            ts = self.new_ts()
        else:
            ts = normal_ts(ts)
            self._last_ts = max(self._last_ts, int(ts.replace(".", "")))
        if ts in channel.messages:
            raise SlackError("duplicate_message")
        message = Message(
            channel_id=channel_id,
            ts=ts,
            text=text,
            user=user,
            thread_ts=thread_ts if thread_ts != ts else None,
            subtype=subtype,
            bot_id=bot_id,
            app_id=app_id,
            username=username,
            blocks=blocks,
            attachments=attachments,
            metadata=metadata,
            files=files,
            reactions=reactions or {},
        )
        channel.messages[ts] = message
        if not message.is_reply or subtype == "thread_broadcast":
            insort(channel.timeline, ts)
        if message.thread_ts:
            thread = channel.threads.setdefault(message.thread_ts, Thread())
            insort(thread.replies, ts)
            author = user or bot_id or ""
            thread.authors[author] = thread.authors.get(author, 0) + 1
        return message

    def remove_message(self, channel_id: str, ts: str) -> Message:
        """Forget a message; raises `message_not_found`. The caller sees to its replies."""
        message = self.message(channel_id, ts)
        channel = self.channels[channel_id]
        del channel.messages[ts]
        for index in (channel.timeline, *self._thread_index(channel, message)):
            at = bisect_left(index, ts)
            if at < len(index) and index[at] == ts:
                del index[at]
        if message.thread_ts and message.thread_ts in channel.threads:
            thread = channel.threads[message.thread_ts]
            author = message.user or message.bot_id or ""
            thread.authors[author] -= 1
            if not thread.authors[author]:
                del thread.authors[author]
            if not thread.replies:
                del channel.threads[message.thread_ts]
        return message

    @staticmethod
    def _thread_index(channel: Channel, message: Message) -> list[list[str]]:
        thread = channel.threads.get(message.thread_ts or "")
        return [thread.replies] if thread else []

    def add_reaction(self, channel_id: str, ts: str, user: str, name: str) -> Message:
        """Let `user` react with the emoji `name`; raises `already_reacted`."""
        message = self.message(channel_id, ts)
        users = message.reactions.setdefault(name, [])
        if user in users:
            raise SlackError("already_reacted")
        users.append(user)
        return message

    def remove_reaction(self, channel_id: str, ts: str, user: str, name: str) -> Message:
        """Take that reaction back; raises `no_reaction`."""
        message = self.message(channel_id, ts)
        users = message.reactions.get(name, [])
        if user not in users:
            raise SlackError("no_reaction")
        users.remove(user)
        if not users:
            del message.reactions[name]
        return message
