"""What can end a turn without an answer.

AgentError
  +-- ModelError             the model gave no answer; ``str()`` is fit for the user
        +-- ModelUnavailable   it stayed unreachable, overloaded or empty through every try
        +-- ModelRefused       it will go on refusing: key, name or request are wrong
        +-- BudgetSpent        the channel's budget of model calls does not suffice for another one
        +-- BadAnswer          it answered in another shape than was asked for
  +-- MembersUnknown         Slack did not tell what somebody may read, and the turn depends on it; to be tried again
"""

from __future__ import annotations


class AgentError(Exception):
    """Base of this package's errors."""


class ModelError(AgentError):
    """The model gave no answer. The message tells the user what happened and what to do."""


class ModelUnavailable(ModelError):
    """Unreachable, overloaded or empty through every try."""


class ModelRefused(ModelError):
    """Wrong key, unknown model, or a request that it cannot take."""


class BudgetSpent(ModelError):
    """The channel's budget does not suffice for another model call."""


class BadAnswer(ModelError):
    """Its answer has not the shape that was asked for."""


class MembersUnknown(AgentError):
    """Slack did not tell which channels somebody may read, and the turn depends on it; it is to be tried again."""


class Refusal(Exception):
    """Why a tool call may not run; ``action`` names it in the audit log, ``reason`` is for the model."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(reason)
        self.action = action
        self.reason = reason
