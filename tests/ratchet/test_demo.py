"""``ratchet demo`` as somebody tries it: what its first lines propose works, without a key and without a network."""

import pytest

from tests.processes import ratchet


async def talk(*lines, cwd):
    """What the demo prints when these lines are typed."""
    typed = "".join(f"{line}\n" for line in lines)
    code, out, err = await ratchet("demo", cwd=cwd, stdin=typed, seconds=220, OLLAMA_HOST="http://127.0.0.1:9")
    assert code == 0, out + err
    return out


@pytest.mark.timeout(240)
async def test_documents_are_updated_and_help_is_given_in_the_demo(tmp_path):
    proposed = '@ratchet update the docs: replace "Silence an alert for at most four hours" with "Silence an alert for at most two hours"'
    out = await talk(
        "/approve",
        proposed,
        "/approve",
        "/thread",
        "@ratchet which alerts are firing right now?",
        "/channel #help-platform",
        "How do I get access to the production cluster?",
        "/quit",
        cwd=tmp_path,
    )
    begin, said = out.split("oncall-a in #ops-alerts>", 1)
    assert proposed in begin and "/approve" in begin and "/channel #help-platform" in begin
    nothing, asked, approved, firing, helped = (
        said.index(words)
        for words in (
            "nothing waits for approval here",
            "+Silence an alert for at most two hours",
            "proposed as draft [pull request #1](http://",
            "open in #ops-alerts now",
            "I answered by myself, out of the documentation alone",
        )
    )
    assert nothing < asked < approved < firing < helped
    assert "ratchet shared alerts-and-on-call.md.diff" in said and "platform-lead presses Approve" in said
    assert "access-and-tools.md#L5" in said
