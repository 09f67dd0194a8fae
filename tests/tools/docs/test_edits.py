"""Edits of a text, and the diff that shows them, hidden characters included."""

import subprocess
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.context import TextEdit
from tools.docs.edits import EditError, apply_edits, reveal, unified_diff

TEXT = "# Guide\n\nRestart it with `svc restart`.\nAsk #ops first.\n"


def edit(find, replace=""):
    return [TextEdit(find, replace)]


def test_edits_are_applied_one_after_the_other():
    edits = [*edit("svc restart", "svc reload"), *edit("svc reload`.", "svc reload --all`.")]
    assert apply_edits(TEXT, edits) == TEXT.replace("svc restart", "svc reload --all")


@pytest.mark.parametrize(
    ("edits", "told"),
    [
        ([], "1 to 50 edits"),
        (edit("Guide", "x") * 51, "1 to 50 edits"),
        (edit("", "x"), "edit 1 looks for nothing"),
        (edit("svc stop", "x"), "edit 1 looks for does not stand in the document .*read_doc"),
        (edit("s", "x"), "stands in the document 6 times.*Add text around it"),
        (edit("Restart  it", "x"), "other spaces or line ends"),
        (edit("Guide", "Guide"), "change nothing"),
        (edit("Guide", "a\0b"), "no text file can hold"),
        (edit("Guide", "\ud800"), "no text file can hold"),
        ([*edit("Guide", "x"), *edit("Guide", "y")], "edit 2 looks for does not stand"),
    ],
)
def test_an_edit_that_does_not_fit_says_why(edits, told):
    with pytest.raises(EditError, match=told):
        apply_edits(TEXT, edits)


def test_occurrences_that_overlap_are_counted():
    with pytest.raises(EditError, match="2 times"):
        apply_edits("xaaax", edit("aa", "b"))


def test_line_ends_stay_as_they_are():
    windows = TEXT.replace("\n", "\r\n")
    changed = apply_edits(windows, edit("restart`.\nAsk", "reload`.\nFirst ask"))
    assert changed == apply_edits(TEXT, edit("restart`.\nAsk", "reload`.\nFirst ask")).replace("\n", "\r\n")
    diff = unified_diff("a.md", windows, changed, edits=edit("restart`.\nAsk", "reload`.\nFirst ask")).text
    assert "Line ends: CRLF" in diff
    assert "U+000D" not in diff
    assert "⟨U+000D⟩" in unified_diff("a.md", windows, TEXT).text


def applied(folder, before, diff):
    """What git makes of a text with a diff."""
    (folder / "a.md").write_text(before)
    command = ["git", "apply", "--whitespace=nowarn", "-"]
    subprocess.run(command, cwd=folder, input=diff, text=True, check=True, capture_output=True)
    return (folder / "a.md").read_text()


@given(st.text("ab\n", max_size=30), st.text("ab\n", max_size=30))
def test_the_diff_makes_the_one_text_out_of_the_other(tmp_path_factory, before, after):
    if before == after:
        return
    diff = unified_diff("a.md", before, after, header=["Repository: acme/docs"])
    assert applied(tmp_path_factory.mktemp("repo"), before, diff.text) == after


@given(st.text("abc\n", max_size=40), st.lists(st.tuples(st.text("abc\n", min_size=1, max_size=6), st.text("ab\n"))))
def test_the_diff_of_edits_makes_the_one_text_out_of_the_other(tmp_path_factory, before, wanted):
    edits, after = [], before
    for find, replace in wanted:
        try:
            after = apply_edits(after, edit(find, replace))
        except EditError:
            continue
        edits += edit(find, replace)
    if before == after:
        return
    diff = unified_diff("a.md", before, after, edits=edits)
    assert applied(tmp_path_factory.mktemp("repo"), before, diff.text) == after
    lines = diff.text.split("\n")[2:]
    assert diff.added == sum(line.startswith("+") for line in lines)
    assert diff.removed == sum(line.startswith("-") for line in lines)


def test_changes_are_counted_in_lines():
    for before, after, counts in (("a\nb\nc\n", "a\nx\ny\nc\n", (2, 1)), ("--- a\n", "+++ b\n", (1, 1))):
        diff = unified_diff("a.md", before, after)
        assert (diff.added, diff.removed) == counts


def test_a_large_text_of_few_different_lines_is_compared_in_no_time():
    random = Random(1)
    text = "START\n" + "".join(f"line {random.randrange(150)}\n" for _ in range(120_000)) + "END\n"
    edits = [*edit("START", "BEGIN"), *edit("END", "FIN")]
    after = apply_edits(text, edits)
    began = time.process_time()
    diff = unified_diff("a.md", text, after, edits=edits)
    assert time.process_time() - began < 0.5
    assert (diff.added, diff.removed) == (2, 2)
    assert diff.text.count("@@ -") == 2


@pytest.mark.parametrize(
    "hidden",
    list(
        "\u202e\u2066\u200b\u200d\ufeff\u00ad\u2028\x1b\U000e0041\u3164\x85\u00a0\u3000\u1160\u17b4\u034f\u180b\ufffc\u0378"
        "\U0001d159\U00016fe4\U0001bc9d\U0001bca0"
    ),
)
def test_what_cannot_be_seen_is_shown(hidden):
    diff = unified_diff("a.md", "pay\n", f"p{hidden}ay\n").text
    assert hidden not in diff
    assert f"+p⟨U+{ord(hidden):04X}⟩ay" in diff


def test_what_can_be_seen_stays():
    plain = "Straße, naïve, 東京, ✅ ❤\ufe0f, عربي\ttab\n"
    assert reveal(plain) == plain
