"""Images on their way to the model, and which models can see."""

from uuid import uuid4

from langchain_core.messages import AIMessage, HumanMessage

from agent.budgets import chars_of
from agent.images import IMAGE_CHARS, Image, Images, Sight, attach
from agent.models import ModelChoice
from sandbox.server import SandboxConfig, open_sandbox

SHOT = Image("shot.png", "image/png", "AAAA")


def test_images_stand_in_the_turns_question_only_and_the_turn_itself_stays_as_it_is():
    turn_id = uuid4()
    said = [HumanMessage("before", id="other"), HumanMessage("look", id=str(turn_id)), AIMessage("hm")]
    shown = attach(said, turn_id, [SHOT])
    assert [m.text for m in said] == ["before", "look", "hm"] and shown[0] is said[0] and shown[2] is said[2]
    text, image = shown[1].content
    assert text["text"].startswith("look\n\n") and "shot.png" in text["text"]
    assert image == {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
    assert attach(said, turn_id, []) == said


def test_an_image_counts_in_the_estimate_of_what_a_call_costs():
    turn_id = uuid4()
    question = HumanMessage("look", id=str(turn_id))
    shown = attach([question], turn_id, [SHOT, SHOT])
    assert chars_of(shown) == len(shown[0].text) + 2 * IMAGE_CHARS and chars_of([question]) == 4


def test_a_note_stands_ahead_of_the_answer():
    assert Images(note="I did not look.").ahead_of("It is full.") == "I did not look.\n\nIt is full."
    assert Images((SHOT,)).ahead_of("It is full.") == "It is full."


async def test_a_server_that_was_away_is_asked_again_and_one_that_answered_is_not():
    async with open_sandbox(SandboxConfig()) as box:
        box.models.ollama_models.add("llava:7b")
        sight = Sight(ModelChoice("ollama", "qwen2.5:7b", "http://127.0.0.1:9"), "auto")
        assert not await sight.sees("llava:7b")
        sight._choice = ModelChoice("ollama", "qwen2.5:7b", box.ollama_url)
        assert await sight.sees("llava:7b") and not await sight.sees("qwen2.5:7b")
        assert await sight.sees("llava:7b")
        assert [call.model for call in box.models.calls if call.kind == "show"] == ["llava:7b", "qwen2.5:7b"]
