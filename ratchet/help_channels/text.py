"""What Ratchet writes in help channels: pure builders of Markdown and Slack blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.docs_answers import DocsSentence
from slack_app.mrkdwn import unmention

HELPFUL, UNHELPFUL, DRAFT = "docs_helpful", "docs_unhelpful", "docs_draft_update"  # Slack's action ids
AUTOMATIC = "_I answered by myself, out of the documentation alone. Somebody here may know better._"
PROPOSAL = (
    "The documentation did not have an answer to this, and now this thread does. Shall I draft an update of the "
    "documentation from it? Nothing changes before somebody has approved it."
)
DRAFT_REQUEST = (
    "Write what this thread found out into the documentation. Read the whole thread first, then find the page where "
    "it belongs with search_docs and read_doc, and propose the smallest change that would have answered the question "
    "with update_doc. Take over only what people here confirmed, and no names. Where the documentation says it "
    "already, or no page fits, say so and change nothing."
)


def show_answer(sentences: Sequence[DocsSentence], ts: str) -> tuple[str, list[dict[str, Any]]]:
    """An answer as Markdown in which each sentence cites its lines, and the buttons to say whether it helped.

    It notifies nobody and links to nothing but its sources.

    Args:
        sentences: the answer.
        ts: of the question.
    """
    sources: dict[str, DocsSentence] = {}
    lines = []
    for sentence in sentences:
        sources.setdefault(sentence.citation, sentence)
        number = list(sources).index(sentence.citation) + 1
        line = f"{_text(sentence.text)} ({_link(str(number), sentence.citation)})"
        lines.append(f"{line}\n{_code(sentence.code)}" if sentence.code else line)
    cited = [f"{number}. {_source(sentence)}" for number, sentence in enumerate(sources.values(), 1)]
    text = "\n\n".join([*lines, "**Sources**\n" + "\n".join(cited), AUTOMATIC])
    asked = {"type": "section", "text": {"type": "plain_text", "text": "Was this helpful?"}}
    buttons = [_button("👍 Yes", HELPFUL, ts), _button("👎 No", UNHELPFUL, ts)]
    return text, [asked, {"type": "actions", "block_id": f"docs-answer-{ts}", "elements": buttons}]


def show_proposal(ts: str) -> tuple[str, list[dict[str, Any]]]:
    """The proposal to draft an update, and its button; ``ts`` is that of the question."""
    button = _button("Draft a documentation update", DRAFT, ts)
    return PROPOSAL, [{"type": "actions", "block_id": f"docs-proposal-{ts}", "elements": [button]}]


def show_nudge(hours: float, *, user_id: str = "", group_id: str = "", name: str = "") -> tuple[str, list[Any] | None]:
    """The request to look at a question, addressed to a person, a user group, or, of neither an id is known, a name.

    A group is mentioned in a block of our own: in Markdown, mentions of groups are taken out.
    """
    waited = f"nobody has answered this question in {hours:g} {'hour' if hours == 1 else 'hours'}"
    request = "Could you help, or bring in somebody who can?"
    if group_id:
        mention = {"type": "section", "text": {"type": "mrkdwn", "text": f"<!subteam^{group_id}> {request}"}}
        return f"{waited.capitalize()}.", [mention]
    addressee = f"<@{user_id}>" if user_id else unmention(_text(name))
    return f"{addressee}, {waited}. {request}", None


def _text(text: str) -> str:
    """Words without links and mentions, and with backticks that pair."""
    text = " ".join(text.split()).replace("](", "] (").replace("<http", "http")
    return unmention(text if text.count("`") % 2 == 0 else text.replace("`", "'"))


def _code(code: str) -> str:
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in code).split()), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{code}\n{fence}"


def _source(sentence: DocsSentence) -> str:
    passage = sentence.passage
    heading = passage.headings[-1] if passage.headings else ""
    name = _plain(" › ".join(dict.fromkeys(part for part in (passage.title, heading) if part))) or "Document"
    if sentence.first_line == sentence.last_line:
        return _link(f"{name}, line {sentence.first_line}", sentence.citation, spelt=True)
    return _link(f"{name}, lines {sentence.first_line} to {sentence.last_line}", sentence.citation, spelt=True)


def _link(label: str, citation: str, *, spelt: bool = False) -> str:
    """A link to lines; a document that has no address on the web is named instead, once."""
    if citation.startswith(("https://", "http://")):
        return f"[{label}]({citation.replace(' ', '%20').replace('(', '%28').replace(')', '%29')})"
    return f"{label}: `{citation.replace('`', '')}`" if spelt else label


def _plain(text: str) -> str:
    """A name without what Markdown would read something into."""
    return "".join(" " if letter in "[]()`*<>\n" else letter for letter in text).strip()[:150]


def _button(label: str, action_id: str, value: str) -> dict[str, Any]:
    text = {"type": "plain_text", "text": label, "emoji": True}
    return {"type": "button", "text": text, "action_id": action_id, "value": value}
