"""Takes secrets out of text before it reaches the model, Slack, a log or a table."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[redacted]"

# Linear-time patterns of well-known secret formats; the whole match is masked.
PATTERNS = re.compile(
    r"""
      xox[abeoprs]-[A-Za-z0-9-]{10,}            # Slack
    | xapp-[A-Za-z0-9-]{10,}
    | https://hooks\.slack\.com/services/[A-Za-z0-9/]{20,}
    | \bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}    # OpenAI, Anthropic
    | \bgh[pousr]_[A-Za-z0-9]{30,}              # GitHub
    | \bgithub_pat_[A-Za-z0-9_]{30,}
    | \bglpat-[A-Za-z0-9_-]{20,}                # GitLab
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b             # AWS
    | \bAIza[A-Za-z0-9_-]{35}\b                 # Google
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}   # JWT
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\s\S]*?-----END\ [A-Z ]*PRIVATE\ KEY-----
    """,
    re.VERBOSE,
)
# Here only the value goes, so that the line can still be understood.
CREDENTIAL_URL = re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{1,100}:)[^\s@/]{1,200}(?=@)", re.IGNORECASE)
ASSIGNMENT = re.compile(
    r"(?P<keep>\b(?:password|passwd|secret|api[_-]?key|access[_-]?token|auth[_-]?token|client[_-]?secret)"
    r"[\"']?\s{0,3}[=:]\s{0,3}[\"']?)(?!\[redacted\])[^\s\"',;]{6,200}",
    re.IGNORECASE,
)
BEARER = re.compile(r"(?P<keep>\b(?:bearer|basic)\s)[A-Za-z0-9+/_.=-]{16,}", re.IGNORECASE)

# What each pattern's matches contain, casefolded: most texts hold none of it, and looking costs next to nothing.
SIGNS = (
    "xox", "xapp-", "hooks.slack.com", "sk-", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "akia",
    "asia", "aiza", "eyj", "private key",
)  # fmt: skip
KEPT = (
    (CREDENTIAL_URL, ("://",)),
    (ASSIGNMENT, ("password", "passwd", "secret", "key", "token")),
    (BEARER, ("bearer", "basic")),
)


class Redactor:
    """Masks known formats and the configured secrets themselves."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        exact = sorted({secret for secret in secrets if len(secret) >= 8}, key=len, reverse=True)
        self._exact = re.compile("|".join(re.escape(secret) for secret in exact)) if exact else None

    def clean(self, text: str) -> str:
        """The text without secrets; unchanged when there are none."""
        if self._exact:
            text = self._exact.sub(MASK, text)
        folded = text.casefold()
        if any(sign in folded for sign in SIGNS):
            text = PATTERNS.sub(MASK, text)
        for pattern, signs in KEPT:
            if any(sign in folded for sign in signs):
                text = pattern.sub(rf"\g<keep>{MASK}", text)
        return text
