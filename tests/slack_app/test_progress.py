"""How progress looks, and what a stream is given of it."""

from sandbox.slack.blocks import check_blocks
from slack_app.mrkdwn import compose
from slack_app.progress import LONGEST_STREAM, PAUSED, Step, Streamed, View, add, page, plain, status

ONE, TWO = Step("c1", "Searching #ops for OOMKilled"), Step("c2", "Reading a thread")
DONE = Step("c1", ONE.title, "complete", "14 hits")


def test_a_stream_gets_what_is_new_and_nothing_twice():
    chunks, streamed = add(Streamed(), View((ONE,)))
    assert chunks == [{"type": "task_update", "id": "c1", "title": ONE.title, "status": "in_progress"}]
    chunks, streamed = add(streamed, View((DONE, TWO), "It ran "))
    assert [(chunk["type"], chunk.get("status"), chunk.get("output")) for chunk in chunks] == [
        ("task_update", "complete", "14 hits"),
        ("task_update", "in_progress", None),
        ("markdown_text", None, None),
    ]
    chunks, streamed = add(streamed, View((DONE, TWO), "It ran out of memory."))
    assert chunks == [{"type": "markdown_text", "text": "out of memory."}]
    assert add(streamed, View((DONE, TWO), "It ran out of memory."))[0] == []


def test_words_before_a_step_stay_in_the_stream_and_the_next_begin_a_paragraph():
    _, streamed = add(Streamed(), View((), "Let me look."))
    chunks, streamed = add(streamed, View((ONE,), "", take=1))
    assert [chunk["type"] for chunk in chunks] == ["task_update"]
    chunks, _ = add(streamed, View((ONE,), "Found it.", take=1))
    assert chunks == [{"type": "markdown_text", "text": "\n\nFound it."}]


def test_a_text_that_is_told_anew_cannot_be_streamed():
    _, streamed = add(Streamed(), View((ONE,), "It ran out"))
    assert add(streamed, View((ONE,), "It ran", take=1)) is None
    assert add(streamed, View((ONE,), "Something else")) is None


def test_a_text_that_becomes_an_image_or_a_group_mention_later_is_not_streamed_on():
    _, streamed = add(Streamed(), View((), "see ![the "))
    assert add(streamed, View((), "see ![the picture](https://evil.example/x) ")) is None
    assert "<!channel>" not in add(Streamed(), View((), "<!channel> and @here"))[0][0]["text"]


def test_a_text_that_is_too_long_for_a_stream_waits_for_the_answer():
    sent, streamed = 0, Streamed()
    for take in range(4):
        chunks, streamed = add(streamed, View(tuple(Step(f"c{n}", "x") for n in range(take)), "word " * 1000, take))
        sent += sum(len(chunk.get("text", "")) for chunk in chunks)
    assert 5000 < sent <= LONGEST_STREAM


def test_titles_and_notes_are_no_markup():
    assert "<" not in plain("<!channel> <@U123> <https://evil.example|good>")
    shown = page(View((Step("c1", "Running *bold* [x](https://evil.example) `code`", "error", "no <!here>"),)))
    assert shown.startswith("✗ Running \\*bold\\* \\[x\\](https://evil.example) \\`code\\` — no ‹")


def test_a_page_of_many_steps_and_a_long_text_is_no_longer_than_slack_takes():
    steps = tuple(Step(f"c{number}", "Reading " + "words " * 22, "complete", "note " * 30) for number in range(25))
    shown = page(View(steps, "The pod was killed. " * 1000))
    assert check_blocks(compose(shown)["blocks"]) and "The pod was killed." in shown
    unusual = tuple(Step(f"c{number}", "*" * 140, "complete", "_" * 100) for number in range(25))
    assert check_blocks(compose(page(View(unusual, "The pod was killed. " * 1000)))["blocks"])


def test_the_page_shows_steps_then_text_and_the_status_the_newest_step():
    assert page(View((DONE, TWO), "It ran out.")) == (
        "✓ Searching \\#ops for OOMKilled — 14 hits  \n⏳ Reading a thread\n\nIt ran out."
    )
    left = page(View((DONE, TWO), "Let me"), paused=True)
    assert left == f"✓ Searching \\#ops for OOMKilled — 14 hits  \n→ Reading a thread\n\n{PAUSED}"
    many = page(View(tuple(Step(f"c{number}", f"Step {number}") for number in range(30))))
    assert many.startswith("… 10 steps before") and "Step 29" in many and "Step 9" not in many
    assert status(ONE) == "is searching #ops for OOMKilled…"
    assert status(DONE) == "has finished searching #ops for OOMKilled: 14 hits"
