"""Explains whether somebody may use a tool in a channel: which rule decides, where it is written, who can change it.

The decision is the gate's (agent/permission.py); what is added here is where each part of it comes from. The command
``why``, ``help`` and ``ratchet policy explain`` all go by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.permission import Denial, deny_approval, deny_call
from ratchet.policies import Policies
from ratchet.settings import config_name
from storage.budgets import Balance
from storage.channels import User
from tools.mcp.spec import SEPARATOR
from tools.registry import CatalogueEntry

if TYPE_CHECKING:
    from tools.mcp.servers import McpServers

NOT_SETTABLE = "not a setting"
MISSING = "A team can bring a tool of its own: docs/adding-a-tool.md."
DISABLED = "An operator sees with `ratchet tools` what is wrong with it, and accepts it with `ratchet tools --accept`."
WORD = re.compile(r"[^\W\d_]{3,}")
# Words of a question that say nothing about a tool.
IDLE = frozenset({"and", "any", "can", "channel", "for", "from", "give", "here", "into", "not", "our", "the", "them",
                  "this", "use", "what", "with", "you", "your"})  # fmt: skip
NAMED, DESCRIBED = 3, 1  # what a word counts that stands in a tool's name, and in its first sentence


@dataclass(frozen=True)
class Place:
    """A channel: ``label`` is how it is called, such as ``#ops``."""

    channel_id: str
    name: str
    label: str


@dataclass(frozen=True)
class Approvers:
    """The approvers of a channel: user ids, None where Slack was not asked, or the ``problem`` of finding them."""

    people: Sequence[str] | None = None
    problem: str = ""


@dataclass(frozen=True)
class Reason:
    """One step of a decision: what it is about, whether it lets the call pass, why, and where that is written."""

    about: str
    allows: bool
    text: str
    where: str


@dataclass(frozen=True)
class Decision:
    """Whether a tool may be used; ``remedy`` says who can change that, and how."""

    tool: str
    denial: Denial | None
    reasons: tuple[Reason, ...]
    remedy: str = ""

    @property
    def allowed(self) -> bool:
        """Whether nothing forbids it; a change still needs its approval."""
        return self.denial is None


class Explainer:
    """Decides by the policies over a catalogue, and says why.

    Args:
        policies: as configured.
        catalogue: every tool there is.
        disabled: why a tool of an MCP server is not in the catalogue, by its name; None where nothing is known of it.
    """

    def __init__(
        self,
        policies: Policies,
        catalogue: Sequence[CatalogueEntry],
        disabled: Callable[[str], str | None] = lambda tool: None,
    ) -> None:
        self._entries = catalogue
        self._policies = policies
        self._disabled = disabled

    @property
    def catalogue(self) -> Mapping[str, CatalogueEntry]:
        """Every tool there is now, by name."""
        return {entry.name: entry for entry in self._entries}

    def usable(self, user: User, place: Place) -> list[CatalogueEntry]:
        """The tools that somebody may use in a channel."""
        where, catalogue = (place.channel_id, place.name), self.catalogue
        allowed, restricted = self._policies.allowed_tools(*where), self._policies.restricts(user, *where)
        return [
            entry
            for name, entry in catalogue.items()
            if deny_call(name, catalogue, allowed, restricted=restricted) is None
        ]

    def explain(
        self,
        tool: str,
        user: User,
        place: Place,
        *,
        approvers: Approvers = Approvers(),
        balances: Sequence[Balance] = (),
    ) -> Decision:
        """Whether a person may have a tool used in a channel, with each rule that has a say, in the gate's order."""
        where = (place.channel_id, place.name)
        key, rule = self._policies.rule(*where)
        denial = deny_call(
            tool,
            self.catalogue,
            self._policies.allowed_tools(*where),
            restricted=self._policies.restricts(user, *where),
        )
        reasons = [self._policy(key, place), self._tool(tool, user, key, place)]
        if denial is Denial.unknown:
            remedy = DISABLED if self._disabled(tool) is not None else MISSING
            return Decision(tool, denial, tuple(reasons), remedy)
        if (why := self._disabled(tool)) is not None:
            denial = denial or Denial.disabled
            reasons.append(Reason("tool", False, f"`{tool}` is disabled: {why}", "mcp.servers"))
        reasons.append(self._person(user, key, place))
        if self.catalogue[tool].effect == "change":
            refused, reason = self._approval(user, key, place, approvers)
            denial = denial or refused
            reasons.append(reason)
        for balance in balances:
            reasons.append(_budget(balance, key))
            if not reasons[-1].allows:
                denial = denial or Denial.spent
        remedy = _remedy(denial, tool, user, key, place, rule.budget.contact) if denial else ""
        return Decision(tool, denial, tuple(reasons), remedy)

    def nearest(self, words: str) -> list[str]:
        """The tools that some words speak of, by their names and first sentences: the best ones, often none."""
        if words in self.catalogue or self._disabled(words) is not None:
            return [words]
        wanted = _stems(words) - IDLE
        scores = {name: _score(wanted, entry) for name, entry in self.catalogue.items()}
        best = max(scores.values(), default=0)
        return [name for name, score in scores.items() if score == best][:3] if best >= NAMED else []

    def person(self, user: User, place: Place) -> Reason:
        """What a channel's policy says to somebody."""
        return self._person(user, self._policies.rule(place.channel_id, place.name)[0], place)

    def _policy(self, key: str, place: Place) -> Reason:
        if key == "policies.default":
            return Reason("policy", True, f"{place.label} has no policy of its own, so the default applies", key)
        return Reason("policy", True, f"{place.label} has a policy of its own, in place of the default", key)

    def _tool(self, tool: str, user: User, key: str, place: Place) -> Reason:
        entry = self.catalogue.get(tool)
        if entry is None:
            if (why := self._disabled(tool)) is not None:
                return Reason("tool", False, f"`{tool}` is not offered: {why}", "mcp.servers")
            return Reason("tool", False, f"there is no tool `{tool}`", NOT_SETTABLE)
        kind = f"`{tool}` ({entry.source}, {entry.effect})"
        selector = self._policies.selector(tool, place.channel_id, place.name)
        if selector is not None:
            return Reason("tool", True, f"{kind} is allowed by `{selector}`", f"{key}.tools")
        _, rule = self._policies.rule(place.channel_id, place.name)
        listed = ", ".join(f"`{name}`" for name in rule.tools) or "nothing"
        what = "" if user.is_outsider else f"; what is listed: {listed}"
        return Reason("tool", False, f"{kind} is not listed there{what}", f"{key}.tools")

    def _person(self, user: User, key: str, place: Place) -> Reason:
        if user.is_bot:
            return Reason("person", False, f"{user.name} is a bot, and bots have nothing done", NOT_SETTABLE)
        if not (user.is_guest or user.is_stranger):
            return Reason("person", True, f"{user.name} is a full member of the workspace", NOT_SETTABLE)
        kind = "from another workspace" if user.is_stranger else "a guest"
        allows = not self._policies.restricts(user, place.channel_id, place.name)
        verdict = "may use tools" if allows else "may use no tools"
        return Reason("person", allows, f"{user.name} is {kind}, and those {verdict} here", f"{key}.allow_guests")

    def _approval(self, user: User, key: str, place: Place, approvers: Approvers) -> tuple[Denial | None, Reason]:
        names, self_approval = self._policies.approvers(place.channel_id, place.name)
        if approvers.problem:
            text = "it needs a person's approval, and nobody can give it now" if user.is_outsider else approvers.problem
            return Denial.no_approvers, Reason("approval", False, text, f"{key}.approvers")
        # Where Slack was not asked, a name counts as somebody, and an id as who it is.
        denial = deny_approval(
            names if approvers.people is None else approvers.people, user.user_id, self_approval=self_approval
        )
        if denial is Denial.no_approvers:
            text = "it changes something, which needs a person's approval, and no approvers are named"
            return denial, Reason("approval", False, text, f"{key}.approvers")
        if denial is Denial.only_own:
            text = "it needs a person's approval, and the only approver may not approve what they asked for themselves"
            return denial, Reason("approval", False, text, f"{key}.self_approval")
        named = "one of these: " + ", ".join(f"`{name}`" for name in names)
        who = "an approver of this channel" if user.is_outsider else named
        return None, Reason("approval", True, f"it needs the approval of {who}", f"{key}.approvers")


def disabled_by(servers: McpServers | None) -> Callable[[str], str | None]:
    """Why a tool of an MCP server cannot be used, by the tool's name; None where nothing is wrong with it."""

    def why(tool: str) -> str | None:
        name = tool.partition(SEPARATOR)[0]
        for state in servers.states() if servers else ():
            if state.name == tool and state.refused:
                return state.refused
        for server in servers.servers if servers else ():
            if server.spec.name == name and server.problem and not server.definitions:
                return f"the MCP server {name} did not answer when Ratchet started, and was never seen before"
        return None

    return why


def left(balance: Balance) -> str:
    """What is left of a budget, in words."""
    if balance.unit == "usd":
        return f"${balance.remaining:,.2f} of ${balance.limit:,.2f} a {balance.period}"
    return f"{balance.remaining:,.0f} of {balance.limit:,.0f} tokens a {balance.period}"


def _budget(balance: Balance, key: str) -> Reason:
    setting = "monthly_usd" if balance.unit == "usd" else "daily_tokens"
    text = f"{left(balance)} are left for the model"
    return Reason("budget", balance.remaining > 0, text, f"{key}.budget.{setting}")


def _remedy(denial: Denial, tool: str, user: User, key: str, place: Place, contact: str) -> str:
    operator = "An operator of Ratchet can"
    restart = f"in {config_name()} and restart Ratchet"
    match denial:
        case Denial.unlisted:
            own = ""
            if key == "policies.default":
                own = (
                    f", for every channel without a policy of its own; or write one for {place.label} under "
                    f"`policies.channels.{place.name or place.channel_id}`"
                )
            return f"{operator} add `{tool}` to `{key}.tools` {restart}{own}."
        case Denial.restricted if user.is_bot:
            return "A person has to ask."
        case Denial.restricted:
            return f"{operator} set `{key}.allow_guests: true` {restart}. A full member can ask in your place."
        case Denial.no_approvers:
            return f"{operator} name people under `{key}.approvers` {restart}."
        case Denial.only_own:
            return f"{operator} name others under `{key}.approvers`, or set `{key}.self_approval: true`, {restart}."
        case Denial.spent:
            asked = f"Ask {contact} if you need more before that." if contact else ""
            return f"It renews by itself. {operator} raise `{key}.budget` {restart}. {asked}".strip()
        case Denial.disabled:
            return DISABLED
        case Denial.unknown:
            return MISSING


def _stems(text: str) -> set[str]:
    """The words of a text, without their plural."""
    return {word.removesuffix("s") if len(word) > 3 else word for word in WORD.findall(text.lower().replace("_", " "))}


def _score(wanted: set[str], entry: CatalogueEntry) -> int:
    name = _stems(entry.name.partition(SEPARATOR)[2] or entry.name)
    described = _stems(entry.tool.description.partition(".")[0]) - name
    return NAMED * len(wanted & name) + DESCRIBED * len(wanted & described)
