"""Replies that continue a conversation with Ratchet without mentioning it, in channels that want that.

A mention is the rule. Where a channel's policy says so, a reply counts that comes soon after an answer, from somebody
who was answered in that thread, names nobody and says more than thanks; and no longer once people talk to each other
there, or the last answer got a thumb down. storage/follow_ups.py decides it from what is stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from slack_app.events import IncomingMessage
from slack_app.identity import Identity
from storage import follow_ups
from storage.db import Connection
from storage.follow_ups import Reply

ADDRESSES = re.compile(r"<@[UW]|<!(?:subteam|here|channel|everyone)|^\W*@\w")
CALLED = re.compile(r"^\W*([^\W\d_][\w.-]{0,39}\w)(?P<sign>\s*[,:])?(?=[\s,:.?!]|$)")
# First words of a sentence that are names of people too: without a comma or colon behind them they call nobody.
ORDINARY = re.compile(
    r"an|and|any|are|can|could|did|do|does|had|has|have|he|how|in|is|it|may|me|my|no|not|now|on|or|please|say|see|she|"
    r"should|show|so|tell|than|that|the|then|they|this|to|was|we|were|what|when|where|which|who|why|will|with|would|"
    r"yes|yet|you",
    re.IGNORECASE,
)
MARKUP = re.compile(r":[\w+'-]+:|<[^<>]*>")
WORDS = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
# What only says that an answer was read.
PHRASES = (
    r"thanks?|thank you|thx|ty|tysm|cheers|ok(?:ay)?|kk?|cool|great|nice|perfect|awesome|excellent|brilliant|lovely|"
    r"got it|gotcha|understood|roger|noted|copy that|will do|done|fine|sure|right|alright|good (?:job|work|bot|one)|"
    r"well done|makes sense|(?:that|this|it)(?:['’]s| is| was)? (?:it|helpful|perfect|great|useful|all)|"
    r"(?:that|this|it) (?:helps|helped|works|worked)|works|worked|very helpful|helpful|(?:very|so) much|a lot|"
    r"many|for (?:that|this|the (?:help|info|link|answer))|all good|no (?:problem|worries)|np|you['’]re welcome|"
    r"lol|haha|wow|yay|\+?1|danke|vielen dank|merci|gracias|super|ratchet"
)
ACKNOWLEDGED = re.compile(rf"(?:{PHRASES})(?: (?:{PHRASES}))*")


@dataclass(frozen=True)
class FollowUps:
    """Picks follow-ups out of what Slack delivers.

    Attributes:
        anywhere: whether any channel wants them.
        wanted: whether a channel does, by id and name.
        seconds: for how long after an answer.
        quiet_seconds: for how long only mentions count once people talk to each other.
    """

    anywhere: Callable[[], bool]
    wanted: Callable[[str, str], bool]
    seconds: float
    quiet_seconds: float

    async def among(
        self, conn: Connection, identity: Identity, delivered: Sequence[IncomingMessage]
    ) -> set[tuple[str, str]]:
        """Inside the transaction that stored these messages: the keys of those that follow up an answer."""
        if not self.anywhere():
            return set()
        replies = [reply for message in delivered if (reply := _reply(identity, message))]
        if not replies:
            return set()
        found = await follow_ups.choose(
            conn,
            identity.team_id,
            replies,
            bot_user_id=identity.bot_user_id,
            seconds=self.seconds,
            quiet_seconds=self.quiet_seconds,
        )
        return {(one.channel_id, one.ts) for one in found if self.wanted(one.channel_id, one.channel_name)}


def _reply(identity: Identity, message: IncomingMessage) -> Reply | None:
    """A message as a reply that could be meant for Ratchet."""
    if message.is_bot or identity.wrote(message) or message.subtype not in {None, "file_share"}:
        return None
    if not message.thread_ts or not message.user_id or identity.addressed_by(message):
        return None
    if ADDRESSES.search(message.raw_text) or is_acknowledgement(message.raw_text):
        return None
    called = _called(message.raw_text)
    return Reply(message.channel_id, message.thread_ts, message.ts, message.user_id, called)


def _called(text: str) -> str | None:
    """The word that a text begins with, where it may be the name of whom it speaks to."""
    found = CALLED.match(text)
    return found[1] if found and (found["sign"] or not ORDINARY.fullmatch(found[1])) else None


def is_acknowledgement(text: str) -> bool:
    """Whether a text asks for nothing: thanks, an "ok", emoji, or no words at all."""
    words = " ".join(WORDS.findall(MARKUP.sub(" ", text).lower()))
    return not words or ("?" not in text and ACKNOWLEDGED.fullmatch(words) is not None)
