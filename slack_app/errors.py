"""What Slack said when it refused a call."""

from __future__ import annotations

from typing import Any

from slack_sdk.errors import SlackApiError


def reason(error: SlackApiError) -> str:
    """Slack's code for it, such as ``channel_not_found``, or ``HTTP 503`` where a proxy or gateway answered."""
    response: Any = error.response
    data = response if isinstance(response, dict) else getattr(response, "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    status = response.get("status_code") if isinstance(response, dict) else getattr(response, "status_code", None)
    return str(code or (f"HTTP {status}" if status else error))


def is_refusal(error: SlackApiError) -> bool:
    """Whether Slack itself refused the call, rather than something on the way failing."""
    return not reason(error).startswith("HTTP ") and reason(error) not in {"internal_error", "service_unavailable"}
