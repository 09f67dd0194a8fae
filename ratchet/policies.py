"""Which tools may be used where: the policies of configs/ratchet.yaml applied to the catalogue."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

import structlog

from ratchet.sections import Policy, PolicySettings
from storage.access import Audience
from storage.budgets import Budget
from storage.channels import User
from tools.mcp.spec import SEPARATOR
from tools.registry import BUILT_IN, CatalogueEntry

log = structlog.get_logger()
CHANNEL_ID = re.compile("[CDG][A-Z0-9]+")  # names are in lower case
# Whether a feature of a channel is switched on, by (channel id, feature), where somebody touched its switch.
Switched = Mapping[tuple[str, str], bool]


class PolicyError(Exception):
    """A policy names a tool that does not exist, or cannot be kept."""


@dataclass(frozen=True)
class Rule:
    """A policy as configured: tool names or ``@read``, ``@post``, ``@change`` for the built-in ones."""

    tools: Sequence[str]
    allow_guests: bool = False
    auto: Sequence[str] = ()
    switches: Sequence[str] = ()
    budget: Budget = field(default=Budget())
    owner: str = ""
    approvers: Sequence[str] = ()
    self_approval: bool = False
    model: str = ""
    language: str = ""
    audience: Audience = "auto"


class Policies:
    """Answers what a channel's policy allows. What no policy lists is denied."""

    def __init__(
        self,
        default: Rule,
        channels: Mapping[str, Rule],
        catalogue: Sequence[CatalogueEntry],
        *,
        mcp_servers: Sequence[str] = (),
        switched: Switched | None = None,
    ) -> None:
        self._switched = {} if switched is None else switched
        self._rules = {name.lstrip("#"): rule for name, rule in channels.items()}
        self._default = default
        self._allowed = {
            id(rule): _resolve(name, rule, catalogue, mcp_servers)
            for name, rule in [("default", default), *self._rules.items()]
        }

    def rule(self, channel_id: str, channel_name: str) -> tuple[str, Rule]:
        """The policy of a channel, and its place in configs/ratchet.yaml, such as ``policies.default``."""
        for name in (channel_id, channel_name):
            if name in self._rules:
                return f"policies.channels.{name}", self._rules[name]
        return "policies.default", self._default

    def needs_name(self, channel_id: str) -> bool:
        """Whether only a channel's name tells its policy: there are some by name, and none by this id."""
        return channel_id not in self._rules and any(not CHANNEL_ID.fullmatch(key) for key in self._rules)

    def allowed_tools(self, channel_id: str, channel_name: str) -> frozenset[str]:
        """The names of the tools that may be used in a channel."""
        return frozenset(self._allowed[id(self._rule(channel_id, channel_name))])

    def selector(self, tool: str, channel_id: str, channel_name: str) -> str | None:
        """By which word of a channel's policy a tool may be used there, such as ``@read``; None where it may not."""
        return self._allowed[id(self._rule(channel_id, channel_name))].get(tool)

    def restricts(self, user: User, channel_id: str, channel_name: str) -> bool:
        """Whether somebody may use no tools there: a bot never, guests and strangers only where the policy says so."""
        outside = user.is_guest or user.is_stranger
        return user.is_bot or (outside and not self.allows_guests(channel_id, channel_name))

    def allows_guests(self, channel_id: str, channel_name: str) -> bool:
        """Whether guests and people of other workspaces may use tools there."""
        return self._rule(channel_id, channel_name).allow_guests

    def audience(self, channel_id: str, channel_name: str) -> Audience:
        """Whose messages its answers may show."""
        return self._rule(channel_id, channel_name).audience

    def does_unasked(self, feature: str, channel_id: str, channel_name: str) -> bool:
        """Whether Ratchet does something there by itself, such as ``runbook``."""
        rule = self._rule(channel_id, channel_name)
        if feature in rule.switches:
            return self._switched.get((channel_id, feature), feature in rule.auto)
        return feature in rule.auto

    def does_unasked_somewhere(self, feature: str) -> bool:
        """Whether there may be a channel where Ratchet does this by itself."""
        rules = (self._default, *self._rules.values())
        if any(feature in rule.auto for rule in rules):
            return True
        return any(feature in rule.switches for rule in rules) and any(
            is_on for (_, name), is_on in self._switched.items() if name == feature
        )

    def switches(self, channel_id: str, channel_name: str) -> dict[str, bool]:
        """What of that a channel's managers may switch, and whether it is on, in the order of the policy."""
        names = self._rule(channel_id, channel_name).switches
        return {name: self.does_unasked(name, channel_id, channel_name) for name in names}

    def approvers(self, channel_id: str, channel_name: str) -> tuple[Sequence[str], bool]:
        """Who approves changes there, as configured, and whether they may approve what they asked for themselves."""
        rule = self._rule(channel_id, channel_name)
        return rule.approvers, rule.self_approval

    def budget(self, channel_id: str, channel_name: str) -> Budget:
        """What model calls of a channel may cost, and its clock. Each channel has its own."""
        return self._rule(channel_id, channel_name).budget

    def model(self, channel_id: str, channel_name: str) -> str:
        """The chat model that answers questions of a channel; empty for the configured one."""
        return self._rule(channel_id, channel_name).model

    def language(self, channel_id: str, channel_name: str) -> str:
        """The language in which questions of a channel are answered; empty for that of the question."""
        return self._rule(channel_id, channel_name).language

    def owner(self, channel_id: str, channel_name: str) -> str:
        """Who is nudged about a channel's unanswered questions; empty where nobody is."""
        return self._rule(channel_id, channel_name).owner

    def check_prices(self, model: str, priced: Container[str]) -> None:
        """Insist that budgets in US dollars can be kept.

        Args:
            model: which one answers where a policy names none; Ratchet's own work uses it everywhere.
            priced: the models that have a price.

        Raises:
            PolicyError: there is one, and a model of that channel has no price: it would never be spent.
        """
        for name, rule in [("default", self._default), *self._rules.items()]:
            if rule.budget.monthly_usd is None:
                continue
            if unpriced := [used for used in (model, rule.model) if used and used not in priced]:
                raise PolicyError(
                    f"the policy {name!r} has a budget in US dollars, but model.prices has no price for {unpriced[0]}: "
                    "add one (0 where it is free), or set daily_tokens instead"
                )

    def lacking_approvers(self, effects: Mapping[str, str]) -> dict[str, list[str]]:
        """The tools of effect ``change`` that a policy allows and nobody can approve, by the policy's name.

        Args:
            effects: what each tool does; one that is missing changes something, such as an MCP server's.
        """
        lacking = {
            name: sorted(tool for tool in self._allowed[id(rule)] if effects.get(tool, "change") == "change")
            for name, rule in [("default", self._default), *self._rules.items()]
            if not rule.approvers
        }
        return {name: tools for name, tools in lacking.items() if tools}

    def _rule(self, channel_id: str, channel_name: str) -> Rule:
        return self.rule(channel_id, channel_name)[1]


def _resolve(
    policy: str, rule: Rule, catalogue: Sequence[CatalogueEntry], mcp_servers: Sequence[str] = ()
) -> dict[str, str]:
    """The tools that a policy allows, each with the word that does."""
    names: dict[str, str] = {}
    unknown: list[str] = []
    known = {entry.name for entry in catalogue}
    for selector in rule.tools:
        if selector in {"@read", "@post", "@change"}:
            for entry in catalogue:
                if entry.source == BUILT_IN and entry.effect == selector[1:]:
                    names.setdefault(entry.name, selector)
        elif selector in known:
            names.setdefault(selector, selector)
        elif selector.partition(SEPARATOR)[0] in mcp_servers:  # away, or disabled: no reason not to start
            log.warning("a policy allows a tool that is not there now", policy=policy, tool=selector)
            names.setdefault(selector, selector)
        else:
            unknown.append(repr(selector))
    if unknown:
        place = "policies.default" if policy == "default" else f"policies.channels.{policy}"
        what = f"tools that do not exist: {', '.join(unknown)}"
        if len(unknown) == 1:
            what = f"a tool {unknown[0]} that does not exist"
        raise PolicyError(f"{place}.tools names {what}; there are {', '.join(sorted(known))}, @read, @post and @change")
    return names


def policies_of(
    settings: PolicySettings,
    catalogue: Sequence[CatalogueEntry],
    *,
    mcp_servers: Sequence[str] = (),
    switched: Switched | None = None,
) -> Policies:
    """The configured policies over a catalogue. Tools of these MCP servers need not be there.

    ``switched`` is what channel managers switched, as it is at any time (ratchet/switches.py).

    Raises:
        PolicyError: one names a tool that does not exist.
    """
    channels = {name: _rule_of(policy) for name, policy in settings.channels.items()}
    return Policies(_rule_of(settings.default), channels, catalogue, mcp_servers=mcp_servers, switched=switched)


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
        tuple(policy.switches),
        budget,
        owner=policy.owner,
        approvers=tuple(policy.approvers),
        self_approval=policy.self_approval,
        model=policy.model,
        language=policy.language,
        audience=policy.audience,
    )
