"""Answers without what code adds to the model's words."""

import re

from agent.evidence import EVIDENCE, GENERAL, HYPOTHESES, HYPOTHESIS, NOT_NOW


def said(answer):
    """The model's own words in an answer: without evidence, marks of hypotheses, and a closing line."""
    answer = answer.split(f"\n\n{EVIDENCE}")[0].removeprefix(f"{HYPOTHESES}\n\n").replace(f"{HYPOTHESIS} ", "")
    return re.sub(rf"\n\n(?:{re.escape(GENERAL)}|{re.escape(NOT_NOW)})\Z", "", answer)
