"""A sentence is a clause of a document, word after word, or it is not what the document says."""

import pytest

from agent.docs_answers import DocsDraft, Passage, check
from agent.statements import read

LINES = (
    "# Handbook",  # 1
    "Test systems keep traces for 7 days and live systems keep traces for 60 days.",
    "Node n-1 is drained before node n-2.",
    "Only leads may drop tables; developers may truncate tables.",
    "If the queue is long, add workers. If the queue is not long, add nothing.",
    "Unless a deploy runs, rebuild the index.",
    "Orders above 200 EUR are checked by hand; orders below 200 EUR are automatic.",
    "Few teams should skip reviews during a freeze.",
    "It is deprecated to restart the proxy by hand.",
    "",  # 10
    "Rebuild the cache",
    "unless the disk is full.",
    "",
    "Never do this:",
    "- Delete the lock file.",  # 15
    "- Reboot both nodes.",
    "",
    "Copy files from vault to depot. You can't copy back, i.e. keep a copy.",
    "```",
    "wipe --all",  # 20
    "```",
    "Proxy p-1 is replaced by proxy p-2.",
    "",
    "| system | days |",
    "| live | 60 |",
)
PASSAGE = Passage("https://docs.example/handbook.md", "Handbook", (), 1, LINES)


def checked(text, line):
    sentence = {"text": text, "source": "d1", "first_line": line, "last_line": line, "code": None}
    return [each.text for each in check(DocsDraft.model_validate({"sentences": [sentence]}), {"d1": PASSAGE})]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Live systems keep traces for 7 days.", 2),
        ("Test systems keep traces for 60 days.", 2),
        ("Node n-2 is drained before node n-1.", 3),
        ("Developers may drop tables.", 4),
        ("Leads may truncate tables.", 4),
        ("Add workers.", 5),
        ("If the queue is not long, add workers.", 5),
        ("Rebuild the index if a deploy runs.", 6),
        ("Rebuild the index.", 6),
        ("Orders above 200 EUR are automatic.", 7),
        ("Teams should skip reviews during a freeze.", 8),
        ("Restart the proxy by hand.", 9),
        ("Rebuild the cache.", 11),
        ("Delete the lock file.", 15),
        ("Copy files to vault from depot.", 18),
        ("Proxy p-1 replaces proxy p-2.", 22),
        ("Proxy p-1 was replaced by proxy p-2.", 22),
    ],
)
def test_a_sentence_of_the_same_words_that_says_something_else_is_not_posted(text, line):
    found = checked(text, line)
    assert text not in found
    assert all(each.startswith("“") and each.endswith("”") for each in found)
    assert all(each.strip("“”") in " ".join(LINES).replace("- ", "") for each in found)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("The node n-1 is drained before the node n-2.", 3),
        ("Orders below 200 EUR are automatic.", 7),
        ("Developers may truncate the tables.", 4),
        ("If a queue is long add workers.", 5),
        ("Rebuild cache unless the disk is full.", 11),
        ("Copy the files from vault to depot.", 18),
        ("Node n-1 is drained before node n-2. Unless a deploy runs, rebuild index.", 3),
    ],
)
def test_what_keeps_the_words_of_a_clause_and_their_order_passes(text, line):
    assert checked(text, line) == [text]


def test_a_condition_in_the_next_line_is_quoted_with_the_lines_of_both():
    (found,) = check(
        DocsDraft.model_validate(
            {"sentences": [{"text": "Rebuild the cache.", "source": "d1", "first_line": 11, "last_line": 11}]}
        ),
        {"d1": PASSAGE},
    )
    assert found.text == "“Rebuild the cache unless the disk is full.”"
    assert (found.first_line, found.last_line) == (11, 12)


def test_an_item_of_a_list_is_quoted_with_what_introduces_it():
    assert checked("Delete the lock file.", 15) == ["“Never do this: Delete the lock file.”"]


def test_two_sentences_that_become_the_same_quotation_are_quoted_once():
    drafts = [
        {"text": text, "source": "d1", "first_line": 4, "last_line": 4}
        for text in ("Developers may drop tables.", "Leads may truncate tables.")
    ]
    found = check(DocsDraft.model_validate({"sentences": drafts}), {"d1": PASSAGE})
    assert [each.text for each in found] == ["“Only leads may drop tables; developers may truncate tables.”"]


def test_sentences_know_their_lines_and_code_blocks_have_none():
    found = [(each.text, each.first_line, each.last_line) for each in read(LINES)]
    assert found[0] == ("Handbook", 1, 1)
    assert ("Rebuild the cache unless the disk is full.", 11, 12) in found
    assert ("You can't copy back, i.e. keep a copy.", 18, 18) in found
    assert not any("wipe" in text for text, _, _ in found)
