"""The prompts, as text files, rendered strictly: a missing or an unused value is an error.

Placeholders are written ``$name``. The syntax has no expressions, so text from strangers that is put in
cannot be run.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from string import Template


class PromptError(Exception):
    """A prompt and the values given for it do not fit."""


@cache
def load(name: str) -> Template:
    """The template of ``prompts/NAME.md``.

    Raises:
        PromptError: there is no such prompt.
    """
    path = files("prompts") / f"{name}.md"
    if not path.is_file():
        raise PromptError(f"there is no prompt {name!r}")
    return Template(path.read_text("utf-8"))


def render(name: str, **values: str) -> str:
    """Fill in ``prompts/NAME.md``.

    Raises:
        PromptError: a placeholder has no value, or a value no placeholder.
    """
    template = load(name)
    wanted = set(template.get_identifiers())
    if wanted != values.keys():
        missing, unused = sorted(wanted - values.keys()), sorted(values.keys() - wanted)
        raise PromptError(f"prompt {name!r}: missing {missing}, unused {unused}")
    return template.substitute(values).strip()
