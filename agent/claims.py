"""Which sentences of an answer claim something, and which speak of causes. Words decide; in doubt it is a claim.

Questions, greetings, offers, advice, what the agent says of its own doing, what was not found, and what calls itself a
guess are none. Of a text that is not English only questions and what has less than four words are known to be none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent.references import SPAN

LEAST_WORDS, LEAST_FOREIGN_WORDS = 3, 4
WORD = re.compile(r"\w[\w'’./:@#-]*")
ADDRESS = r"https?://[^\s<>()|]+"
LINK = re.compile(rf"!?\[([^\[\]]*)\]\([^()\s]*\)|<{ADDRESS}\|([^<>|]*)>|<[^<>\s]+>|{ADDRESS}")
MARKS = re.compile(r"[*`~]+|(?<!\w)_+|(?<!_)_++(?!\w)|^[\s>]*#{1,6}\s")
SENTENCE_END = re.compile(r"[.!?][\"”’)*_]*(?:(?:[ \t]*\[[\d, ]+\])+[\"”’)*_]*)?\s+(?=[^a-z\s])")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|approx|ca|cf|incl|no|nr)|(?<!\S)\d{1,9})\.\s+\Z", re.IGNORECASE)
LONGEST_ABBREVIATION = 9  # characters before its period
# Of a limited length: signs that nothing closes must not each be followed to the end of the text.
QUOTATION = re.compile(r"“[^”]{0,1000}+”|„[^“”]{0,1000}+[“”]|«[^»]{0,1000}+»|\"[^\"\n]*\"")
ENGLISH_WORDS = """
    a an and are as at be because but by did do does for from had has have how i if in into is it its last no not of on
    or so than that the then there they this to was we were what when which who why will with would you your
"""
ENGLISH = frozenset(ENGLISH_WORDS.split())
VERB_WORDS = """
    add adjust apply ask assign avoid be bring build call change check clear close collect compare configure confirm
    consider contact copy correlate create cut decrease delete deploy disable do don't don’t drain edit enable ensure
    escalate examine expand find fix follow force get give go grep identify increase inspect install investigate invite
    keep kill leave limit link log look lower make mark merge monitor move mute never note notify open page pause pin
    pipe post profile promote pull purge push put raise rerun retry read rebuild reduce refer remember remove rename
    renew repeat replace report reproduce request reset restart restore resume revert review revoke roll rotate run save
    scale schedule search see send set share shift show silence skip start stop switch take test throttle tighten trace
    track trigger try tune turn undo update upgrade use validate verify wait watch write
"""
# After one of those words these make a noun of it: "Restart failed", "Search latency rose".
FINITE_WORDS = """
    are began came decreased dropped ended exceeded failed fails fell grew had happened has have hit increased is
    reached remained returned rises rose show showed shows spiked started stayed timed took was went were
"""
DETERMINER_WORDS = """
    a all an any how if it its our that the their them these this those what where whether which who why your
"""


def _any_of(words: str | Iterable[str]) -> str:
    return "|".join(words.split() if isinstance(words, str) else words)


def _starting(*patterns: str) -> re.Pattern[str]:
    """Any of these at the beginning of a sentence, after words such as "also"."""
    joins = (
        "so|also|and|but|then|now|first|next|second|third|finally|lastly|unfortunately|sadly|however|for now|so far|"
        "note that|otherwise|in short|after that|meanwhile|instead|alternatively|optionally"
    )
    return re.compile(rf"^(?:(?:{joins})\b[,:]?\s+)*(?:{_any_of(patterns)})", re.IGNORECASE)


OWN = _starting(
    r"i\b|i['’](?:m|ve|d|ll)\b|let me\b|let['’]s\b|as an ai\b|sorry\b|(?:my )?apologies\b",
    r"my (?:tools?|search(?:es)?|access|model)\b",
    r"here(?:['’]s| is| are)\b|this is (?:what|all)\b|that is all\b",
)
FOUND = _starting(
    r"i(?:['’]ve)?(?: (?:have|can|also|only|do))* (?:found|find|see|saw|count|counted|confirm|confirmed|know)\b"
    r"(?!\s+(?:nothing|no|none|neither|not|nobody)\b)"
)
THINGS = (
    "results?|match(?:es)?|messages?|hits?|alerts?|mentions?|records?|documents?|documentation|runbooks?|passages?|"
    "threads?|tools?|channels?|requests?|approvals?"
)
NOT = r"(?: not|n['’]t)"
ABSENT_PATTERNS = (
    r"no (?:\w+ )?root cause",
    r"(?:root )?cause (?:is|was|remains) (?:still )?(?:unknown|unclear|open|not\b)",
    r"found (?:nothing|none|no)",
    rf"(?:no|zero) (?:\w+ ){{0,3}}(?:{THINGS})",
    r"nothing (?:\w+ ){0,3}(?:found|match\w*|covers?|says?|mentions?|looked)",
    r"nobody (?:\w+ ){0,2}(?:wrote|mention\w*|said)",
    rf"(?:do|does|did){NOT} (?:cover|mention|say|contain|hold|find)",
    rf"(?:is|was|are){NOT} (?:found|documented|mentioned|covered (?:there|(?:in|by) (?:the |our )?(?:doc|runbook)\w*))",
    r"(?:tool|search|call|lookup|query) (?:\w+ ){0,2}(?:failed|fails|timed out|refused|did not|could not)",
    r"(?:could|can)(?: ?not|n['’]t) (?:answer|be (?:reached|read|looked up|searched|found))",
)
ABSENT = re.compile(rf"\b(?:{_any_of(ABSENT_PATTERNS)})\b", re.IGNORECASE)
PLEASANTRY = re.compile(
    r"^(?:hello|hi|hey|good (?:morning|evening|afternoon)|thanks?|thank you|you['’]re welcome|welcome|sure|ok(?:ay)?|"
    r"of course|certainly|got it|done|great|no problem|glad|understood|noted|will do|good question|yes|no|"
    r"hallo|hola|bonjour|bitte|danke|gern|merci|gracias|de nada)\b",
    re.IGNORECASE,
)
OFFER = _starting(
    r"(?:let me know|tell me|ask me|feel free|want me|say so|please|happy to|just (?:ask|say|tell))\b",
    r"if you(?:['’]d)? (?:want|like|need|wish|prefer|would|are unsure|have)\b",
)
ADVICE = _starting(
    r"(?:(?:to|if|when|once|before|after|for) [^,.]{2,120}, (?:then )?)?(?:"
    rf"(?:{_any_of(VERB_WORDS)})\b"
    rf"(?!['’]s|(?:\s+(?!(?:{_any_of(DETERMINER_WORDS)})\b)[\w./-]+)?\s+(?:{_any_of(FINITE_WORDS)})\b)"
    r"|(?:you|we|someone|the team|on-?call|they) (?:can|could|should|may|might|need to|have to|must)\b"
    r"|i (?:would )?(?:recommend|suggest|advise|propose)\b|it (?:is|would be) (?:worth|best|good|safe)\w*\b"
    r"|(?:my )?(?:recommendation|suggestion|advice|proposal)\b|next steps?\b|to do\b)"
)
PLAN = re.compile(
    r"\b(?:i can|(?:you|we) (?:can|could|should)|next steps?|to[ -]do|recommend\w*|suggest\w*|proposals?|options?|"
    r"examples?|action items?|what to (?:do|check|try)|follow-ups?)\b",
    re.IGNORECASE,
)
HEDGE_PATTERNS = (
    "probably|possibly|perhaps|maybe|presumably|hypothes[ie]s|guess(?:ing)?|(?:a|best|educated|my) guess|speculat\\w+",
    "i suspect|i (?:would )?assume|i (?:would )?think|i believe",
    "(?:could|might|may) (?:\\w+ )?(?:be|have been)",
    "not verified|unverified|unconfirmed|unchecked|not confirmed|cannot be sure|not certain|not sure",
)
HEDGE = re.compile(rf"\b(?:{_any_of(HEDGE_PATTERNS)})\b", re.IGNORECASE)
CAUSE_PATTERNS = (
    "root[- ]causes?|caus(?:ed|es|ing)|because of|culprit",
    "(?:the|a|its|likely|probable|main) (?:cause|trigger|reason) (?:is|was|were|for|of|seems|appears)",
    "due to(?! (?:be|run|start|expire|end|begin|renew|restart|land|ship)\\b)",
    "(?:triggered|brought down|knocked out) by",
)
CAUSE = re.compile(rf"\b(?:{_any_of(CAUSE_PATTERNS)})\b", re.IGNORECASE)


def claims(text: str) -> list[int]:
    """Where in a paragraph or list item sentences begin that claim something."""
    english = is_english(plain(text))
    return [start for start, sentence in sentences(text) if _is_claim(plain(sentence), english=english)]


def causes(text: str) -> list[tuple[int, str]]:
    """The sentences that say why something happened, as ``sentences``, also as a guess.

    In the answer's own words: not in those of a quotation, or of code.
    """
    found = []
    for start, sentence in sentences(text):
        words = plain(QUOTATION.sub(" ", SPAN.sub(" ", sentence)))
        if CAUSE.search(words) and count_words(words) >= LEAST_WORDS and not words.endswith("?") and _tells(words):
            found.append((start, sentence))
    return found


def names_cause(text: str) -> bool:
    """Whether a heading, or what introduces a list, announces causes."""
    return bool(CAUSE.search(plain(text)))


def announces_plans(text: str) -> bool:
    """Whether a heading, or what introduces a list, announces what can or should be done."""
    return bool(PLAN.search(plain(text)))


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of a text with the places where they begin; code spans are not parted."""
    hidden = SPAN.sub(lambda span: "`" + "x" * (len(span[0]) - 2) + "`", text) if "`" in text else text
    begin = 0
    ends = [(found.start(), found.end()) for found in SENTENCE_END.finditer(hidden)]
    for period, end in [*ends, (len(text), len(text))]:
        if end < len(text) and ABBREVIATION.search(hidden, max(begin, period - LONGEST_ABBREVIATION), end):
            continue
        if sentence := text[begin:end].strip():
            yield begin + text[begin:end].index(sentence), sentence
        begin = end


def plain(text: str) -> str:
    """The words of Markdown, in a line."""
    if any(sign in text for sign in ("[", "<", "://")):
        text = LINK.sub(lambda link: link[1] or link[2] or " ", text)
    if any(sign in text for sign in "*`~_#"):
        text = MARKS.sub(" ", text)
    return " ".join(text.split())


def count_words(text: str) -> int:
    """How many words there are in plain text."""
    return len(WORD.findall(text))


def is_english(text: str) -> bool:
    """Whether enough of its words are those that English sentences are made of; short ones count as English."""
    words = [word.casefold() for word in WORD.findall(text)]
    if len(words) < 8 and text.isascii():
        return True
    return sum(word in ENGLISH for word in words) >= max(1, sum(map(str.isalpha, words)) // 8)


def _is_claim(text: str, *, english: bool) -> bool:
    words = count_words(text)
    if text.rstrip(' )"”»').endswith(("?", "？", "؟")) or words < (LEAST_WORDS if english else LEAST_FOREIGN_WORDS):
        return False
    if HEDGE.search(text):
        return False
    if not english:
        return True
    if PLEASANTRY.match(text) and words <= 6 and not re.search(r"\d", text):
        return False
    return _tells(text)


def _tells(text: str) -> bool:
    """Whether an English sentence tells of the world, and not of the agent, of what was not found, or what to do."""
    if ABSENT.search(text):
        return False
    parts = (text, text.split(": ", 1)[-1]) if ": " in text[:60] else (text,)
    if any(FOUND.match(part) for part in parts):
        return True
    return not any(pattern.match(part) for pattern in (OWN, OFFER, ADVICE) for part in parts)
