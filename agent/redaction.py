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

# A private key that goes on, or whose first line does: it is the only known format with blanks in it.
OPEN_KEY = re.compile(r"-----BEGIN(?: [A-Z ]*(?:PRIVATE KEY-----|$)|$)")
CLOSED_KEY = re.compile(r"-----END [A-Z ]*PRIVATE KEY-----")

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
        self._phrases = [secret for secret in exact if any(c.isspace() for c in secret)]

    def brings(self, text: str, standing: str) -> bool:
        """Whether a text, such as a diff, holds a secret that does not stand in another one already."""
        return bool(self._values(text) - self._values(standing))

    def _values(self, text: str) -> set[str]:
        """The secrets in a text, without blanks and the signs of a diff, which may stand between their lines."""
        found = [match[0] for match in PATTERNS.finditer(text)]
        if self._exact:
            found += self._exact.findall(text)
        for pattern, _ in KEPT:
            found += [match[0][len(match["keep"]) :] for match in pattern.finditer(text)]
        return {re.sub(r"[\s+-]", "", value) for value in found}

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

    def settled(self, text: str) -> int:
        """How much of a text that is still being written, once its secrets are out, more of it cannot change.

        Secrets hold no blanks, but for private keys and some configured ones; so it ends at a blank, and before
        anything that may yet become one of these.
        """
        end = max(text.rfind(" "), text.rfind("\n")) + 1
        closed = 0
        for match in CLOSED_KEY.finditer(text, 0, end):
            closed = match.end()
        if opened := OPEN_KEY.search(text, closed, end):
            end = opened.start()
        for phrase in self._phrases:
            for size in range(min(len(phrase) - 1, end), 0, -1):
                if text.startswith(phrase[:size], end - size):
                    end -= size
                    break
        return end
