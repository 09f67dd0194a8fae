"""Which tools may be used where: the policies of configs/ratchet.yaml applied to the catalogue."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

import structlog

from ratchet.sections import Policy, PolicySettings
from storage.budgets import Budget
from tools.mcp.spec import SEPARATOR
from tools.registry import BUILT_IN, CatalogueEntry

log = structlog.get_logger()


class PolicyError(Exception):
    """A policy names a tool that does not exist, or cannot be kept."""


@dataclass(frozen=True)
class Rule:
    """A policy as configured: tool names or ``@read``, ``@post``, ``@change`` for the built-in ones."""

    tools: Sequence[str]
    allow_guests: bool = False
    auto: Sequence[str] = ()
    budget: Budget = field(default=Budget())
    owner: str = ""
    approvers: Sequence[str] = ()
    self_approval: bool = False


class Policies:
    """Answers what a channel's policy allows. What no policy lists is denied."""

    def __init__(
        self,
        default: Rule,
        channels: Mapping[str, Rule],
        catalogue: Sequence[CatalogueEntry],
        *,
        mcp_servers: Sequence[str] = (),
    ) -> None:
        self._rules = {name.lstrip("#"): rule for name, rule in channels.items()}
        self._default = default
        self._allowed = {
            id(rule): frozenset(_resolve(name, rule, catalogue, mcp_servers))
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

    def approvers(self, channel_id: str, channel_name: str) -> tuple[Sequence[str], bool]:
        """Who approves changes there, as configured, and whether they may approve what they asked for themselves."""
        rule = self._rule(channel_id, channel_name)
        return rule.approvers, rule.self_approval

    def budget(self, channel_id: str, channel_name: str) -> Budget:
        """What model calls of a channel may cost, and its clock. Each channel has its own."""
        return self._rule(channel_id, channel_name).budget

    def owner(self, channel_id: str, channel_name: str) -> str:
        """Who is nudged about a channel's unanswered questions; empty where nobody is."""
        return self._rule(channel_id, channel_name).owner

    def check_prices(self, model: str, priced: Container[str]) -> None:
        """Insist that budgets in US dollars can be kept.

        Raises:
            PolicyError: there is one, and the model has no price: it would never be spent.
        """
        if model in priced:
            return
        for name, rule in [("default", self._default), *self._rules.items()]:
            if rule.budget.monthly_usd is not None:
                raise PolicyError(
                    f"the policy {name!r} has a budget in US dollars, but model.prices has no price for {model}: "
                    "add one (0 where it is free), or set daily_tokens instead"
                )

    def _rule(self, channel_id: str, channel_name: str) -> Rule:
        return self._rules.get(channel_id) or self._rules.get(channel_name) or self._default


def _resolve(
    policy: str, rule: Rule, catalogue: Sequence[CatalogueEntry], mcp_servers: Sequence[str] = ()
) -> list[str]:
    names: list[str] = []
    known = {entry.name for entry in catalogue}
    for selector in rule.tools:
        if selector in {"@read", "@post", "@change"}:
            names.extend(e.name for e in catalogue if e.source == BUILT_IN and e.effect == selector[1:])
        elif selector in known:
            names.append(selector)
        elif selector.partition(SEPARATOR)[0] in mcp_servers:  # away, or disabled: no reason not to start
            log.warning("a policy allows a tool that is not there now", policy=policy, tool=selector)
        else:
            raise PolicyError(
                f"the policy {policy!r} allows a tool {selector!r} that does not exist; "
                f"there are {', '.join(sorted(known))}, @read, @post and @change"
            )
    return names


def policies_of(
    settings: PolicySettings, catalogue: Sequence[CatalogueEntry], *, mcp_servers: Sequence[str] = ()
) -> Policies:
    """The configured policies over a catalogue. Tools of these MCP servers need not be there.

    Raises:
        PolicyError: one names a tool that does not exist.
    """
    channels = {name: _rule_of(policy) for name, policy in settings.channels.items()}
    return Policies(_rule_of(settings.default), channels, catalogue, mcp_servers=mcp_servers)


def _rule_of(policy: Policy) -> Rule:
    usd = policy.budget.monthly_usd
    budget = Budget(
        monthly_usd=None if usd is None else Decimal(str(usd)),
        daily_tokens=policy.budget.daily_tokens,
        zone=ZoneInfo(policy.timezone),
        contact=policy.budget.contact,
    )
    return Rule(
        tuple(policy.tools),
        policy.allow_guests,
        tuple(policy.auto),
        budget,
        owner=policy.owner,
        approvers=tuple(policy.approvers),
        self_approval=policy.self_approval,
    )
