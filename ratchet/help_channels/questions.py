"""Which messages are questions to everybody; decided by their words alone, so it is cheap and sometimes wrong."""

from __future__ import annotations

import re

LONGEST = 4000
FEWEST_WORDS = 3
CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
QUOTED = re.compile(r"^(?:&gt;|>).*$", re.MULTILINE)
LINK = re.compile(r"<https?://[^>\s]+>|https?://\S+")
# A name with a sign before it, or Slack's own form of it; not an e-mail address, not @here.
MENTION = re.compile(r"(?:^|[\s(\[,;:])@(?!(?:here|channel|everyone)\b)\w|<(?:@|!subteam\^)[A-Z0-9]")
WORD = re.compile(r"[^\W\d_]{2,}")
GREETING = re.compile(
    r"(?:\b(?:hi|hello|hey|hiya|howdy|morning|good (?:morning|afternoon|evening|day)|team|all|folks|everyone|everybody|"
    r"there|guys|yo|happy \w+day)\b|[\s,.!:;])+",
    re.IGNORECASE,
)
DRINKS = r"(?:lunch|coffee|beers?|drinks?|dinner|breakfast)"
SMALL_TALK = re.compile(
    rf"""(?: how (?:['’]s|\ is|\ are|\ was)?\ (?:you|it\ going|everyone|everybody|things|your\ \w+|the\ weekend)
      | what['’]?s\ (?:up|new)
      | (?:any(?:one|body)|who(?:['’]s|\ is)?)\ (?:up\ |in\ |coming\ )?(?:for|to)\ (?:a\ |some\ )?{DRINKS}
      | {DRINKS},?\ (?:any(?:one|body)|who) )\b""",
    re.IGNORECASE | re.VERBOSE,
)
ENDS_ASKING = re.compile(r"[^\W_][\"'”’)\]*_]*\s*\?")
BEGINS_ASKING = re.compile(
    r"""(?: ^ | [.!\n]\s* ) (?:so\ |and\ |but\ |also\ |(?:quick\ )?question[:,]?\ )?
    (?: how\ (?:do|does|can|could|to|should|would|is|are|did|long|many|much|often|come)
      | what(?:['’]s|\ is|\ are|\ does|\ do) | which\ \w+ | why\ (?:do|does|is|are|did)
      | where\ (?:do|does|can|is|are|should) | when\ (?:do|does|is|are|will|should) | who\ (?:owns|can|knows|is)
      | (?:can|could)\ (?:i|we|you|some(?:one|body)|any(?:one|body)) | should\ (?:i|we) | do\ (?:we|you|i)
      | does\ (?:any(?:one|body)|it|the) | has\ any(?:one|body) | any(?:one|body)\ (?:know|have|seen|else)
      | is\ there | are\ there | any\ (?:idea|docs|way) )\b""",
    re.IGNORECASE | re.VERBOSE,
)


def is_question(text: str) -> bool:
    """Whether a message asks everybody something: no greeting, no small talk, and nobody is mentioned in it.

    Args:
        text: as a person sees it (``NewMessage.text``).
    """
    if len(text) > LONGEST:
        return False
    plain = CODE.sub(" code ", QUOTED.sub(" ", text))
    if MENTION.search(plain):
        return False
    plain = LINK.sub(" link ", plain).strip()
    said = GREETING.sub("", plain, count=1) if GREETING.match(plain) else plain
    if len(WORD.findall(said)) < FEWEST_WORDS or SMALL_TALK.match(said):
        return False
    return bool(ENDS_ASKING.search(said) or BEGINS_ASKING.search(said))
