"""Prompts are rendered strictly."""

from importlib.resources import files

import pytest

import prompts
from prompts import PromptError, load, render

NAMES = sorted(entry.name.removesuffix(".md") for entry in files("prompts").iterdir() if entry.name.endswith(".md"))


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_can_be_rendered_with_its_own_placeholders(name):
    values = {placeholder: f"<{placeholder}>" for placeholder in load(name).get_identifiers()}
    text = render(name, **values)
    assert text and "$" not in text and all(value in text for value in values.values())


def test_a_missing_and_an_unused_value_are_errors_that_name_them():
    with pytest.raises(PromptError, match=r"prompt 'limit': missing \['limit'\], unused \['now'\]"):
        render("limit", now="12:00")


def test_an_unknown_prompt_is_an_error():
    with pytest.raises(PromptError, match="there is no prompt 'nothing'"):
        render("nothing")


def test_values_are_not_rendered_again():
    assert "$limit ${now} {limit} %s" in render("limit", limit="$limit ${now} {limit} %s")


def test_the_prompts_that_the_agent_uses_are_there():
    assert {"system", "limit", "summary"} <= set(NAMES) and prompts.load("system").is_valid()
