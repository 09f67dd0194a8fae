"""The file of monitors: what it may hold, and what is said of what it may not."""

import contextlib
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ratchet.monitors.config import load_monitors
from ratchet.settings import SettingsError
from ratchet.yaml_files import DEEPEST, LARGEST

ROOT = Path(__file__).parents[3]
ENTRY = """
access:
  channel_id: C1
  prompt: "Is it one? {{.Message.Text}} by {{ .Message.User }}"
  executable: sh
"""


@pytest.fixture
def load(tmp_path):
    """Reads a text as a file of monitors."""

    def read(text):
        path = tmp_path / "monitors.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_monitors(path)

    return read


def test_an_entry_is_read_and_its_program_is_found(load):
    [monitor] = load(ENTRY + "  result_schema: {type: object}\n  executable_args: [-c, 5, 'a b']\n")
    assert (monitor.slug, monitor.channel_id) == ("access", "C1")
    assert (
        Path(monitor.argv[0]).is_absolute()
        and monitor.argv[0].endswith("/sh")
        and monitor.argv[1:] == ("-c", "5", "a b")
    )
    assert monitor.schema.definition == {"type": "object"}


def test_an_absolute_path_stands_as_it_is(load):
    assert load(ENTRY.replace("sh", sys.executable))[0].argv == (sys.executable,)


@pytest.mark.parametrize("text", ["", "# nothing\n", "{}"])
def test_an_empty_file_has_no_monitors(load, text):
    assert load(text) == []


def test_without_a_schema_any_json_fits(load):
    assert load(ENTRY)[0].schema.problem([1]) is None


def test_a_message_is_filled_in_once(load):
    [monitor] = load(ENTRY)
    said = "{{.Message.User}} \\g<0> {{.Message.Text}} $x %s"
    assert monitor.fill(said, "U1") == f"Is it one? {said} by U1"


@pytest.mark.parametrize("name", ["channel_id", "prompt", "executable"])
@pytest.mark.parametrize("value", [None, "", "''", "'  '", "null"])
def test_what_is_missing_is_named(load, name, value):
    lines = [line for line in ENTRY.splitlines() if f"  {name}:" not in line]
    with pytest.raises(SettingsError) as error:
        load("\n".join(lines + ([f"  {name}: {value}"] if value is not None else [])))
    assert str(error.value) == f"missing {name} for entry access"


DEEP = "a: " + "[" * (DEEPEST + 1) + "]" * (DEEPEST + 1)
BOMB = "a: &a {x: 1}\n" + "".join(
    f"{after}: &{after}\n  <<: [{', '.join(['*' + before] * 9)}]\n"
    for before, after in zip("abcdefghijklm", "bcdefghijklmn", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ENTRY + "  chanel_id: C2\n", "unknown key chanel_id in entry access; did you mean channel_id?"),
        (ENTRY + "  zzz: 1\n", "unknown key zzz in entry access; there are channel_id, prompt"),
        (ENTRY.replace("sh", "no-such-program"), "executable not found for entry access: 'no-such-program'"),
        (ENTRY.replace("sh", "/etc/passwd"), "executable not found for entry access: '/etc/passwd'"),
        (ENTRY.replace("sh", "/tmp"), "executable not found for entry access: '/tmp'"),
        (ENTRY.replace("User", "Channel"), "has {{ .Message.Channel }}, which nothing fills in"),
        (ENTRY + "  result_schema: {type: objekt}\n", "result_schema of entry access is no JSON Schema: $.type"),
        (ENTRY + "  result_schema: [1]\n", "it must be an object"),
        (ENTRY + "  result_schema: {const: 2020-01-01}\n", "it is not JSON"),
        (ENTRY + "  result_schema: {$ref: 'http://127.0.0.1/x'}\n", "it refers to 'http://127.0.0.1/x', outside"),
        (ENTRY + "  result_schema: {properties: {a: {$ref: 'file:///etc/passwd'}}}\n", "outside of itself"),
        (ENTRY + "  executable_args: rm\n", "executable_args of entry access: Input should be a valid list"),
        (ENTRY + "  executable_args: [yes]\n", "executable_args.0 of entry access: Input should be a valid string"),
        (ENTRY + '  executable_args: ["a\\0b"]\n', "executable_args of entry access hold a NUL"),
        (ENTRY + "  channel_id: C2\n", "line 6: 'channel_id' stands there twice"),
        (ENTRY + ENTRY, "'access' stands there twice"),
        ("access: C1", "entry access must hold keys and values"),
        ("? [a, b]\n: 1", "is not valid YAML"),
        ("a: 2020-13-45", "a value is not of its kind: month must be in 1..12"),
        ("a: !!map [1]", "a value is not of its kind"),
        ("a: !!bool x", "a value is not of its kind"),
        ("a: !!timestamp x", "a value is not of its kind"),
        ("[1, 2]", "it must hold entries by their slugs"),
        ("5:\n  channel_id: C1", "a slug must be a text"),
        ("a: [", "is not valid YAML"),
        ("a: !!python/object/apply:os.system [id]", "is not valid YAML"),
        ("a: &a [*a]", "line 1: aliases"),
        (BOMB, "line 3: aliases"),
        (DEEP, f"nested more than {DEEPEST} levels"),
        ("[" * 100_000, f"nested more than {DEEPEST} levels"),
        ("# " + "x" * LARGEST, "larger than 256 KiB"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_what_is_wrong_is_refused_with_its_reason(load, text, says):
    with pytest.raises(SettingsError, match=re.escape(says)):
        load(text)


WORDS = st.sampled_from(
    [
        *ENTRY.split("\n"),
        "<<: {x: 1}",
        "? [a]",
        "- a",
        ": ",
        "&a",
        "*a",
        "!!binary x",
        "!!int x",
        "!!map [1]",
        "2020-13-45",
        "{",
        "]",
        "'",
        "|",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.lists(WORDS | st.text(max_size=20)).map("\n".join))
def test_whatever_the_file_holds_it_is_read_or_refused(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(SettingsError):
        assert all(monitor.argv for monitor in load_monitors(path))


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"cannot read .*none\.yaml: No such file"):
        load_monitors(tmp_path / "none.yaml")


def test_the_shipped_file_turns_nothing_on_and_its_example_is_sound(load):
    text = (ROOT / "configs/monitors.yaml").read_text("utf-8")
    assert load(text) == []
    example = re.sub(r"^#(?! \S)", "", text, flags=re.MULTILINE).replace("executable: jq", "executable: sh")
    assert [monitor.slug for monitor in load(example)] == ["deploy-questions"]
