"""What goes wrong with GitHub, told so that people know what happened and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import gidgethub
import httpx2
from gidgethub.sansio import RateLimit

SHORT_SECONDS = 5.0  # a pause that GitHub asks for is waited out up to here


class GitHubError(Exception):
    """A request that GitHub did not fulfil; the message is for people.

    Attributes:
        status: the HTTP status; None when there was no answer.
        retry_at: when a rate limit is over.
        transient: whether trying again at once may help.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_at: datetime | None = None, transient: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_at = retry_at
        self.transient = transient

    @property
    def pause(self) -> float | None:
        """Seconds until the rate limit is over; None where there is none."""
        return max(0.0, (self.retry_at - datetime.now(UTC)).total_seconds()) if self.retry_at else None


def explain(error: Exception, repository: str, host: str) -> GitHubError:
    """Turn what a client raised into a ``GitHubError``.

    Args:
        error: of gidgethub, of the HTTP client, or of reading the answer.
        repository: ``owner/name``, or what else was asked for.
        host: GitHub's, for errors of the connection.
    """
    if isinstance(error, GitHubError):
        return error
    if isinstance(error, gidgethub.HTTPException):
        return _explain_status(error, repository)
    if isinstance(error, httpx2.TimeoutException):
        return GitHubError(f"GitHub ({host}) did not answer in time. Try again in a few minutes.", transient=True)
    if isinstance(error, httpx2.HTTPError | httpx2.InvalidURL):
        kind = type(error).__name__
        return GitHubError(f"GitHub ({host}) cannot be reached ({kind}). Try again in a few minutes.", transient=True)
    return GitHubError(
        f"GitHub ({host}) gave an answer that cannot be understood ({type(error).__name__}). "
        "Check the address of its API.",
    )


def _explain_status(error: gidgethub.HTTPException, repository: str) -> GitHubError:
    status = int(error.status_code)
    said = " ".join(str(error).split())[:200]
    if status in (403, 429):
        over = _limited_until(error, said)
        if over:
            pause = (over - datetime.now(UTC)).total_seconds()
            return GitHubError(
                f"GitHub's rate limit is used up for {repository} until {over:%Y-%m-%d %H:%M:%S} UTC. "
                "Try again after that.",
                status=status,
                retry_at=over,
                transient=pause <= SHORT_SECONDS,
            )
    if status >= 500:
        return GitHubError(
            f"GitHub has a problem of its own ({status}: {said}). Try again in a few minutes.",
            status=status,
            transient=True,
        )
    if status in (301, 302, 307, 308):
        text = f"{repository} has moved on GitHub ({status}). An operator has to set its new owner and name."
    elif status == 401:
        text = f"GitHub refused the credentials for {repository} (401: {said}). An operator has to renew them."
    elif status in (403, 429):
        text = (
            f"GitHub does not permit this in {repository} ({status}: {said}). The token or app needs the "
            "permissions Contents (read; for updates write) and, for updates, Pull requests (write)."
        )
    elif status == 404:
        text = (
            f"GitHub found nothing there in {repository} (404: {said}). It does not exist, or the token or app may "
            "not see it: check owner, name, branch, path and permissions."
        )
    elif status == 409:
        text = f"GitHub reports a conflict in {repository} (409: {said}). Somebody changed it meanwhile: try again."
    else:
        text = f"GitHub refused the request for {repository} ({status}: {said})."
    return GitHubError(text, status=status)


def _limited_until(error: gidgethub.HTTPException, said: str) -> datetime | None:
    """When a rate limit, the hourly or the secondary one, is over; None where it is something else."""
    after = error.headers.get("retry-after", "")
    if after.isdigit():
        return datetime.now(UTC) + timedelta(seconds=int(after))
    limit = RateLimit.from_http(error.headers)
    if limit is not None and limit.remaining <= 0:
        return limit.reset_datetime
    if error.status_code == 429 or "rate limit" in said.lower():
        return datetime.now(UTC) + timedelta(minutes=1)  # what GitHub asks for where it names no time
    return None
