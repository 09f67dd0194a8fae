"""Small readers of Slack's text: markup, emoji, colours, durations."""

from __future__ import annotations

import colorsys
import html
import re
from datetime import timedelta
from functools import lru_cache
from typing import Literal

Sign = Literal["bad", "good", ""]

LINK = re.compile(r"<(?:[^<>|\n]{1,2000})\|([^<>\n]{0,500})>")
MENTION = re.compile(r"<[@!#][^<>\n]{1,100}>")
BARE_LINK = re.compile(r"<?https?://[^\s<>|]{1,2000}>?")
DATE = re.compile(r"<!date\^\d+\^[^<>|]{0,200}\|([^<>]{0,100})>")
MARKDOWN_LINK = re.compile(r"\[([^\[\]\n]{1,200})\]\(https?://[^()\s]{1,1000}\)")
MARKUP = re.compile(r"[*`~]+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")
EMOJI = re.compile(r":[a-z][a-z0-9_+-]{0,60}:(?::skin-tone-\d:)?|:\+1:|:-1:|:100:")
PICTURE = re.compile(r"[\u2190-\u21ff\u2300-\u27bf\u2900-\u297f\u2b00-\u2bff\ufe0f\u200d\U0001f000-\U0001faff]+")
ARROW = re.compile(r"\s*(?:→|➜|➔|⇒|=&gt;|=>|-&gt;|->|:arrow_right:)\s*")
EMPTY = re.compile(r"\(\s{0,5}\)")
SPACE = re.compile(r"\s+")
WORD = re.compile(r"[^\W\d_]+")


def words(text: str) -> frozenset[str]:
    """The words of a text that lists them."""
    return frozenset(text.split())


# Emoji and pictures that monitoring tools use for "it is bad" and "it is over".
BAD_EMOJI = words(
    """
    fire rotating_light red_circle large_red_circle red_square large_red_square x no_entry no_entry_sign octagonal_sign
    sos boom bomb skull skull_and_crossbones exclamation heavy_exclamation_mark bangbang warning large_orange_circle
    large_yellow_circle orange_circle yellow_circle large_orange_diamond small_red_triangle small_red_triangle_down
    stop_sign alert chart_with_downwards_trend broken_heart thumbsdown -1 cry sob scream arrow_down red_light
    negative_squared_cross_mark rage bell loudspeaker mega collision critical error
    """
)
GOOD_EMOJI = words(
    """
    white_check_mark heavy_check_mark ballot_box_with_check large_green_circle green_circle green_heart
    large_green_square green_square ok ok_hand +1 thumbsup tada green_tick check green_check recovery resolved
    sunny arrow_up
    """
)
BAD_PICTURES = frozenset("🔥🚨🔴🟥❌⛔🚫🛑🆘💥💣💀☠❗❕‼⚠🟠🟡🔶🔻📉💔👎✖❎🔺📛🔔📢")
GOOD_PICTURES = frozenset("✅✔☑🟢💚🟩👍👌🎉🆗")


def plain(text: str) -> str:
    """One line without markup, emoji and addresses: what is left to read."""
    text = html.unescape(text) if "&" in text else text
    if "<" in text:
        text = MENTION.sub("", LINK.sub(r"\1", DATE.sub(r"\1", text)))
    if "](" in text:
        text = MARKDOWN_LINK.sub(r"\1", text)
    if "://" in text:
        text = BARE_LINK.sub("", _address_as_subject(text))
    if ":" in text:
        text = EMOJI.sub(" ", text)
    text = EMPTY.sub(" ", ARROW.sub(" -> ", text))
    text = PICTURE.sub(" ", text)
    return SPACE.sub(" ", MARKUP.sub("", text)).strip()


# What stands beside an address that is itself what a line tells of: "Monitor is DOWN: https://…", "https://… seems up".
ADDRESS_KEYS = words("monitor site website url endpoint check host target page")
ADDRESS_STATES = words(
    """
    down up offline online unreachable available unavailable reachable ok okay critical warning error failed failing
    failure recovered recovery resolved restored healthy unhealthy degraded slow timeout alert alarm problem outage
    responding is are has have was seems appears looks went got came returned
    """
)
ADDRESS_LEAD = ADDRESS_KEYS | ADDRESS_STATES | words("the your our a an now back again status new been uptime web")
ADDRESS_AFTER = re.compile(r"\W*(?:since|after|for|from|reason|cause|in|at|with)\b", re.IGNORECASE)


def _address_as_subject(text: str) -> str:
    """The text with its first address as host and path, where the line tells of the address and of nothing else."""
    link = BARE_LINK.search(text)
    if link is None:
        return text
    before = [word.lower() for word in WORD.findall(EMOJI.sub(" ", text[: link.start()]))]
    after = WORD.search(EMOJI.sub(" ", text[link.end() :]))
    if not all(word in ADDRESS_LEAD for word in before):
        return text
    stated = any(word in ADDRESS_STATES or word in ADDRESS_KEYS for word in before)
    if after is None or ADDRESS_AFTER.match(EMOJI.sub(" ", text[link.end() :])):
        told = stated
    else:
        told = after[0].lower() in ADDRESS_STATES
    if not told:
        return text
    address = link[0].strip("<>").partition("://")[2].rstrip(".,;:!)/")
    return f"{text[: link.start()]}{re.split('[?#]', address, maxsplit=1)[0]} {text[link.end() :]}"


def emoji_sign(text: str) -> Sign:
    """Whether the first telling emoji of a line is a bad or a good one."""
    found: list[tuple[int, Sign]] = []
    if ":" in text:
        for match in EMOJI.finditer(text):
            name = match[0].split(":")[1]
            if name in BAD_EMOJI or name in GOOD_EMOJI:
                found.append((match.start(), "bad" if name in BAD_EMOJI else "good"))
                break
    if not text.isascii():
        for match in PICTURE.finditer(text):
            signs: list[Sign] = [
                "bad" if mark in BAD_PICTURES else "good"
                for mark in match[0]
                if mark in BAD_PICTURES or mark in GOOD_PICTURES
            ]
            if signs:
                found.append((match.start(), signs[0]))
                break
    return min(found)[1] if found else ""


@lru_cache(maxsize=512)
def color_sign(color: str) -> Sign:
    """What an attachment's colour says: reds to yellows are bad, greens are good, the others say nothing."""
    color = color.strip().lower()
    if color in {"danger", "warning", "red", "orange", "yellow"}:
        return "bad"
    if color in {"good", "green"}:
        return "good"
    digits = color.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    if not re.fullmatch(r"[0-9a-f]{6}", digits):
        return ""
    red, green, blue = (int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4))
    hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
    if saturation < 0.35 or value < 0.25:
        return ""
    degrees = hue * 360
    if degrees < 66 or degrees > 335:
        return "bad"
    return "good" if 75 <= degrees <= 172 else ""


UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "w": 604800.0, "ms": 0.001}
AMOUNT = re.compile(
    r"(\d{1,9}(?:\.\d{1,3})?)\s?(weeks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|min|ms|m|seconds?|secs?|sec|s)(?![a-z])",
    re.IGNORECASE,
)
CLOCK = re.compile(r"^(?:(\d{1,3})d?[ :])?(\d{1,3}):(\d{2})(?::(\d{2}))?(?:\.\d+)?$")


def read_duration(text: str) -> timedelta | None:
    """A span such as ``1h30m``, ``2 hours, 5 minutes`` or ``00:05:12``; None when it is none."""
    text = text.strip()[:80]
    clock = CLOCK.match(text)
    if clock:
        days, first, second, third = (int(part or 0) for part in clock.groups())
        hours, minutes, seconds = (first, second, third) if clock[4] else (0, first, second)
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    seconds_in_all, found = 0.0, False
    at = 0
    for match in AMOUNT.finditer(text):
        if match.start() - at > 6:  # "5 minutes and 3 seconds" belongs together, what stands farther off does not
            break
        unit = match[2].lower()
        seconds_in_all += float(match[1]) * UNITS["ms" if unit == "ms" else unit[0]]
        at, found = match.end(), True
    return timedelta(seconds=min(seconds_in_all, 1e9)) if found else None
