"""What an answer rests on: by code, not by the model's word (docs/evidence.md). Pure.

The model puts the reference of a tool's result behind each claim. Those that name no successful call are dropped, the
others numbered and listed with what was called. What then rests on nothing is shown as a hypothesis, and how sure a
root cause is cannot exceed what stands behind it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from agent import answer_blocks, claims, confidence, references
from agent.backing import ADDRESS, Backing, Call, facts_in, messages_in
from agent.wording import name_outcome

HYPOTHESIS = "_Hypothesis:_"
HYPOTHESES = "_Hypotheses: no tool result is named that what follows rests on._"
GENERAL = "_From the model's general knowledge; nothing was looked up._"
NOT_NOW = "_Nothing was looked up for this answer: it rests on this conversation and on general knowledge._"
EVIDENCE = "**Evidence**"
INVENTED = "(link removed: no such message was seen)"
MOST_MARKS = 3  # in an answer that names nothing; then one stands above it
LINKS = 2  # of a call
MESSAGE = re.compile(rf"{ADDRESS}/archives/[A-Z0-9]+/p\d{{16}}(?:\?[^\s\"'<>()\[\]\\|]*)?")
SOURCE = re.compile(rf'"(?:source|url|html_url|link|pull_request)":\s*"({ADDRESS})"')
# In Markdown, in Slack's own form, or bare.
WRITTEN_LINK = re.compile(
    rf"!?\[(?P<label>[^\[\]\n]*)\]\(<?(?P<url>(?>{ADDRESS}))>?[^()\n]*\)"
    rf"|<(?P<slack>{ADDRESS})(?:\|(?P<name>[^<>|\n]*))?>|(?P<bare>{ADDRESS})"
)


def ground(
    text: str,
    calls: Sequence[Call],
    *,
    looked_up: bool,
    workspace_url: str = "",
    invented: Collection[tuple[str, str]] = (),
) -> str:
    """An answer as people are to read it.

    Args:
        text: the model's, in Markdown.
        calls: the successful calls of the thread, which it may cite.
        looked_up: whether any tool was called in this turn.
        workspace_url: where the workspace's own messages stand.
        invented: messages of this workspace, as (channel id, ts), that nobody was shown: links to them are dropped.
    """
    backing = Backing(answer_blocks.read(text), calls)
    return _Writer(backing, calls, workspace_url.rstrip("/"), frozenset(invented)).write(looked_up=looked_up)


class _Writer:
    """Writes an answer anew, block by block; blocks go by their positions."""

    def __init__(
        self, backing: Backing, calls: Sequence[Call], workspace: str, invented: frozenset[tuple[str, str]]
    ) -> None:
        self._backing = backing
        self._calls = {call.reference: call for call in calls}
        self._workspace = workspace
        self._invented = invented
        self._numbers: dict[str, int] = {}
        # Asked of a lead for each of what it introduces.
        self._leads = cache(self._find_leads)
        self._announces_plans = cache(self._find_plans)
        self._announces_causes = cache(self._find_causes)

    def write(self, *, looked_up: bool) -> str:
        positions = range(len(self._backing.blocks))
        rests = any(self._backing.behind(at) for at in positions)
        unbacked = [at for at in positions if self._claims(at) and not self._backing.behind(at)]
        is_general = not rests and not looked_up
        marked = set() if is_general else self._to_mark(unbacked)
        # A table within a list has no place for a mark.
        above = (len(marked) > MOST_MARKS and not rests) or any(
            self._backing.blocks[at].kind == "table" and self._backing.blocks[at].depth for at in marked
        )
        written = {
            at: self._block(at, is_marked=at in marked and not above, is_general=is_general)
            for at in positions
            if self._backing.blocks[at].kind != "code"
        }
        body = self._join(written).strip("\r\n").rstrip()
        if not body.strip():
            return ""
        if self._backing.answer.unclosed:
            body += f"\n{self._backing.answer.unclosed}"
        self._show([call.reference for call in self._backing.for_all])
        below = self._evidence(body)
        if is_general and unbacked:
            below = NOT_NOW if self._calls else GENERAL
        return "\n\n".join(part for part in (HYPOTHESES if above else "", body, below) if part)

    def _claims(self, at: int) -> bool:
        """Whether a block claims something; one that only introduces what follows does not."""
        block, text = self._backing.blocks[at], self._backing.texts[at]
        if block.kind == "table":
            return block.last - block.first > 2
        if block.kind not in {"paragraph", "item"} or (block.kind == "item" and self._is_planned(block.lead)):
            return False
        _, body = answer_blocks.split_prefix(text)
        bare = self._backing.without_references(confidence.without(body))
        found = claims.claims(bare)
        if self._backing.introduces(at):
            *_, (last, _) = [*claims.sentences(bare)] or [(0, "")]
            found = [start for start in found if start != last]
        return bool(found)

    def _is_planned(self, lead: int | None) -> bool:
        """Whether a list is of what can or should be done."""
        while lead is not None and self._backing.blocks[lead].kind == "item":
            lead = self._backing.blocks[lead].lead
        return lead is not None and self._announces_plans(lead)

    def _find_plans(self, lead: int) -> bool:
        if not (self._backing.blocks[lead].kind == "heading" or self._backing.introduces(lead)):
            return False
        return claims.announces_plans(self._backing.texts[lead].rsplit("\n", 1)[-1])

    def _to_mark(self, unbacked: Sequence[int]) -> set[int]:
        """The blocks that are to bear a mark; a list of which nothing is backed has one, at what introduces it."""
        marked: set[int] = set()
        for at in unbacked:
            block = self._backing.blocks[at]
            lead = block.lead
            if block.depth and block.kind == "paragraph" and lead in marked:
                continue
            if block.kind in {"item", "table"} and lead is not None and self._leads(lead):
                marked.add(lead)
            else:
                marked.add(at)
        return marked

    def _find_leads(self, lead: int) -> bool:
        """Whether a mark at a block counts for all that it introduces."""
        if self._backing.blocks[lead].kind not in {"paragraph", "item"}:
            return False
        return not any(self._backing.behind(at) for at in [lead, *self._backing.led_by(lead)])

    def _block(self, at: int, *, is_marked: bool, is_general: bool) -> str:
        block = self._backing.blocks[at]
        prefix, text = answer_blocks.split_prefix(self._backing.texts[at])
        text = references.rewrite(text, self._show, self._calls, is_quotation=block.kind == "quote")
        text = references.outside_code(text, self._without_inventions)
        if block.kind in {"paragraph", "item"}:
            text = self._with_confidence(at, text, is_general=is_general)
            if unnamed := self._backing.unnamed(at):
                text = f"{text.rstrip()} {self._show([call.reference for call in unnamed])}"
            if is_marked:
                start = next(iter(claims.claims(text)), 0)
                text = f"{text[:start]}{HYPOTHESIS} {text[start:]}"
        elif is_marked:
            text = f"{HYPOTHESIS}\n\n{text}"
        return prefix + text

    def _with_confidence(self, at: int, text: str, *, is_general: bool) -> str:
        behind = self._backing.behind(at)
        if not behind and at and not confidence.without(text).strip(" .*_"):
            behind = self._backing.behind(at - 1)  # a line of its own, on what stands before it
        said = self._backing.without_references(self._backing.texts[at])
        highest = confidence.most(behind, facts_in(confidence.without(said)))
        text, told = confidence.limit(text, highest)
        if told or is_general or not (about := self._cause(at, text)):
            return text
        return confidence.add(text, *about, highest)

    def _cause(self, at: int, text: str) -> tuple[int, str] | None:
        """The sentence that says why something happened, and is to say how sure that is."""
        block = self._backing.blocks[at]
        if at + 1 < len(self._backing.texts) and confidence.TOLD.match(self._backing.texts[at + 1]):
            return None
        if self._backing.introduces(at) or (block.kind == "item" and messages_in(text)):  # somebody's words, linked
            return None
        if about := claims.causes(text):
            return about[0]
        if block.lead is None or not self._announces_causes(block.lead):
            return None
        return next(((start, said) for start, said in claims.sentences(text) if claims.claims(said)), None)

    def _find_causes(self, lead: int) -> bool:
        text = self._backing.texts[lead]
        is_short = claims.count_words(claims.plain(text)) <= 5
        is_heading = self._backing.blocks[lead].kind == "heading" or self._backing.introduces(lead)
        return is_short and is_heading and claims.names_cause(text)

    def _without_inventions(self, text: str) -> str:
        def kept(found: re.Match[str]) -> str:
            url = found["url"] or found["slack"] or found["bare"]
            if not url.startswith(f"{self._workspace}/") or not messages_in(url) & self._invented:
                return found[0]
            return f"{found['label'] or found['name'] or ''} {INVENTED}".strip()

        return WRITTEN_LINK.sub(kept, text) if self._invented and self._workspace else text

    def _show(self, named: Sequence[str]) -> str:
        """The numbers of references, as ``[1, 2]``; unknown ones have none."""
        numbers = {self._numbers.setdefault(name, len(self._numbers) + 1) for name in named if name in self._calls}
        return f"[{', '.join(map(str, sorted(numbers)))}]" if numbers else ""

    def _join(self, written: Mapping[int, str]) -> str:
        lines, parts, done = self._backing.answer.lines, list[str](), 0
        for at, block in enumerate(self._backing.blocks):
            source = "".join(lines[block.first : block.last])
            end = source[len(source.rstrip("\r\n")) :]
            parts += lines[done : block.first]
            parts += _without_footnotes(written[at] + end) if at in written else [source]
            done = block.last
        return "".join([*parts, *lines[done:]])

    def _evidence(self, body: str) -> str:
        """The calls that are cited, with what came of them, and links where the answer has none."""
        if not self._numbers:
            return ""
        lines, linked = [EVIDENCE], messages_in(body)
        for reference, number in self._numbers.items():
            call = self._calls[reference]
            shown = [] if call.messages & linked else _links(call.result)
            links = ", ".join(f"[{_label(url)}]({url})" for url in shown if url not in body)
            outcome = name_outcome(call.entry, call.result)
            words = _harmless(": ".join(part for part in (call.words, outcome) if part))
            lines.append(f"- [{number}] {words}{f' ({links})' if links else ''}")
        return "\n".join(lines)


def _links(result: str) -> list[str]:
    return list(dict.fromkeys([*MESSAGE.findall(result), *SOURCE.findall(result)]))[:LINKS]


def _label(url: str) -> str:
    return "message" if messages_in(url) else "source"


def _harmless(words: str) -> str:
    """Plain words in Markdown: what would be markup is shown, and links nowhere."""
    words = words.translate(str.maketrans("[]<>|", "()‹›/"))
    return re.sub(r"[\\`*~]|(?<!\w)_|_(?!\w)", lambda found: "\\" + found[0], words)


def _without_footnotes(text: str) -> list[str]:
    return [line for line in answer_blocks.LINE.findall(text) if not references.FOOTNOTE.fullmatch(line.rstrip())]
