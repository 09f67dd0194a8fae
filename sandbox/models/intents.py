"""Kinds of questions, and the wordings that tell them."""

import re
from typing import Literal

Intent = Literal[
    "help",
    "thread",
    "channels",
    "usage",
    "report",
    "handoff",
    "fix",
    "recent",
    "alerts",
    "search",
    "runbook",
    "docs",
    "update",
]

# The first kind that a wording fits is taken, so the order decides where wordings overlap.
_WORDINGS: list[tuple[Intent, list[str]]] = [
    (
        "help",
        [
            r"^(?:hi|hello|hey|hallo|moin|help|good (?:morning|evening|afternoon))\b[\w ,]{0,15}[!.?]*$",
            r"what (?:can|could) you do|who are you|what are you\b|how (?:do|can) (?:you work|i use you|you help)",
        ],
    ),
    (
        "update",
        [
            r"^(?:please |can you |could you )*(?:update|change|correct|fix) (?:the |our )?"
            r"(?:docs?|documentation|handbook)\b",
        ],
    ),
    (
        "docs",
        [
            r"^(?!.*\b(?:fix|fixed|solve|solved|resolved|did we)\b)(?:please |hey,? |so,? )*"
            r"how (?:do|can|should|would|must) (?:i|we|you|one|people)\b(?!.*\b(?:last time|before)\b)",
            r"^(?!.*\bfix\b)how to\b|\b(?:docs|documentation|documented|handbook)\b",
            r"^what(?:'s| is| are) (?:our|the) (?:[\w-]+ ){0,3}(?:process|procedure|policy|rules?)\b",
            r"^where(?:'s| is| are| can i find| do i find) (?:our |the )?(?:[\w-]+ ){0,3}"
            r"(?:runbooks?|guides?|playbooks?|polic(?:y|ies)|process|procedure|docs?|page|how-?to)\b",
            r"\b(?:what|who|when|where|which)\b.*\b(?:policy|policies|deploy freeze|guidelines?)\b",
        ],
    ),
    (
        "runbook",
        [r"\brunbooks?\b(?! link)"],
    ),
    (
        "thread",
        [
            r"\b(?:this|the|that|whole) thread\b|what happened here",
            r"^(?:please )?(?:summari[sz]e|recap|tl;?dr)\b(?!.*\b(?:channel|alerts|week|today)\b)(?!.*#)",
        ],
    ),
    (
        "channels",
        [
            r"\b(?:what|which|list|show|how many)\b(?!.*\balerts?\b).*\bchannels\b",
            r"what (?:can|do) you (?:see|watch|read|record)",
        ],
    ),
    (
        "usage",
        [
            r"(?<!disk )(?<!memory )(?<!cpu )(?<!heap )\busage\b|\bcosts?\b|\bspen[dt]\b|how busy",
            r"how many (?:tokens|requests|model calls)|tokens (?:did|do|have|were)",
            r"how (?:much|often) (?:are|were|is|was|have) you(?: been)? used",
        ],
    ),
    (
        "handoff",
        [
            r"\bhand(?:ing)?[- ]?(?:off|over)\b|\bshift_handoff\b",
            r"\b(?:take|took) over\b|\bend of (?:my|the|this) shift\b",
        ],
    ),
    (
        "report",
        [
            r"\b(?:report_channel|toil|(?:weekly|channel|alerts?) report|alert noise)\b",
            r"^(?:please |can you |could you )?(?:make |write |give me |show me )?(?:a |the )?"
            r"report (?:on|for|about|of|the)\b",
        ],
    ),
    (
        "fix",
        [
            r"^(?!.*\b(?:how (?:many|often)|(?:which|list|show|top)(?: \S+)* alerts)\b)"
            r".*\b(?:how|who|what|did|has|was|were|when|and)\b.*"
            r"\b(?:fix|fixed|fixes|solved?|resolved?|resolution|mitigated?|handled?|repaired?|cured?|recovered)\b",
            r"\bfix for\b|root cause|what did (?:we|you|they) do\b|\bdealt? with\b|\bwhy (?:did|was|were|does|is)\b",
        ],
    ),
    (
        "recent",
        [
            r"^(?!.*\b(?:before|ever|last time)\b).*\b(?:anyone|anybody|someone|somebody)\b.*"
            r"\b(?:look\w*|work\w*|see\w*|on (?:it|this|that))\b",
            r"\bwho(?: is|'s) (?:looking|working)\b",
        ],
    ),
    (
        "alerts",
        [r"\b(?:alerts?|alarms?|noisiest|noisy|paged?|incidents?)\b|\b(?:fired?|fires|firing|triggered)\b"],
    ),
    (
        "recent",
        [
            r"\b(?:going on|happening|right now|at the moment|currently|what'?s up|latest on|status of|state of)\b",
            r"\b(?:any news|being discussed|talking about|discussing)\b",
        ],
    ),
    (
        "search",
        [
            r"^(?:please |can you |could you )?(?:search|find|look for|look up|show me|list|where|when)\b",
            r"\bwho (?:mentioned|said|wrote|talked|asked)\b|\b(?:mention(?:s|ed)?|messages?|said|wrote)\b",
        ],
    ),
]
_COMPILED = [(intent, re.compile("|".join(wordings), re.IGNORECASE)) for intent, wordings in _WORDINGS]
_QUOTED = re.compile(r"[\"“”`]([^\"“”`]{2,})[\"“”`]")
_WORD = re.compile(r"[A-Za-z0-9_][\w./:@%'-]*")
_STOP = frozenset(
    re.findall(
        r"\S+",
        """a about after again alarm alarms alert alerts all also am an and any anybody anyone anything are around as
        asked at be been before being but by can channel channels common could currently deal dealt did do does
        doing done ever everything experience find fire fired fires firing first fix fixed fixes for frequent
        frequently from get give go going gone got had handle handled happen happened happening happens has have he
        hear help here hey hi how i if in incident incidents into is issue issues it it's its just kind know last
        latest like list log look looked looking me mention mentioned mentions message messages moment most much
        many my new news noisiest noisy now occurred of off often ok okay on one ones only or our out over paged
        past people please problem problems rank ranked ranking read recent recently resolution resolve resolved
        right root cause said same saw say says search searched second see seen sent service services she should
        show since so solve solved some somebody someone something somewhere state status stuff such summarise
        summarize talk talked talking tell than thanks that the their them then there these they thing things third
        this thread threads time times to today top trigger triggered up us use used wait was we went were what
        what's whats when where which who who's whom why will with work working would wrote yet you your""",
    )
)


def find_intent(text: str) -> Intent | None:
    """What kind of question it is; None if no wording tells."""
    return next((intent for intent, pattern in _COMPILED if pattern.search(text)), None)


def key_terms(text: str) -> str:
    """The words that carry the question, in order, once each; quoted phrases whole."""
    terms = [match[1].strip() for match in _QUOTED.finditer(text)]
    for word in _WORD.findall(_QUOTED.sub(" ", text)):
        plain = word.strip(".:'/-@").removesuffix("'s")
        if plain and not {plain.lower(), word.lower()} & _STOP and (len(plain) > 1 or plain.isdigit()):
            terms.append(plain)
    return " ".join(dict.fromkeys(terms))
