"""Which tools may be used where: the policies of configs/ratchet.yaml applied to the catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.registry import BUILT_IN, CatalogueEntry


class PolicyError(Exception):
    """A policy names a tool that does not exist."""


@dataclass(frozen=True)
class Rule:
    """A policy as configured: tool names or ``@read``, ``@post``, ``@change`` for the built-in ones."""

    tools: Sequence[str]
    allow_guests: bool = False
    auto: Sequence[str] = ()


class Policies:
    """Answers what a channel's policy allows. What no policy lists is denied."""

    def __init__(self, default: Rule, channels: Mapping[str, Rule], catalogue: Sequence[CatalogueEntry]) -> None:
        self._rules = {name.lstrip("#"): rule for name, rule in channels.items()}
        self._default = default
        self._allowed = {
            id(rule): frozenset(_resolve(name, rule, catalogue))
            for name, rule in [("default", default), *self._rules.items()]
        }

    def allowed_tools(self, channel_id: str, channel_name: str) -> frozenset[str]:
        """The names of the tools that may be used in a channel."""
        return self._allowed[id(self._rule(channel_id, channel_name))]

    def allows_guests(self, channel_id: str, channel_name: str) -> bool:
        """Whether guests and people of other workspaces may use tools there."""
        return self._rule(channel_id, channel_name).allow_guests

    def does_unasked(self, feature: str, channel_id: str, channel_name: str) -> bool:
        """Whether Ratchet does something there by itself, such as ``runbook``."""
        return feature in self._rule(channel_id, channel_name).auto

    def does_unasked_somewhere(self, feature: str) -> bool:
        """Whether there is any channel where Ratchet does this by itself."""
        return any(feature in rule.auto for rule in (self._default, *self._rules.values()))

    def _rule(self, channel_id: str, channel_name: str) -> Rule:
        return self._rules.get(channel_id) or self._rules.get(channel_name) or self._default


def _resolve(policy: str, rule: Rule, catalogue: Sequence[CatalogueEntry]) -> list[str]:
    names: list[str] = []
    known = {entry.name for entry in catalogue}
    for selector in rule.tools:
        if selector in {"@read", "@post", "@change"}:
            names.extend(e.name for e in catalogue if e.source == BUILT_IN and e.effect == selector[1:])
        elif selector in known:
            names.append(selector)
        else:
            raise PolicyError(
                f"the policy {policy!r} allows a tool {selector!r} that does not exist; "
                f"there are {', '.join(sorted(known))}, @read, @post and @change"
            )
    return names
