import math

import pytest

from sandbox.models.embeddings import embed
from sandbox.models.structured import fill_schema


def similarity(first: str, second: str) -> float:
    return sum(one * other for one, other in zip(embed(first), embed(second), strict=True))


def test_vectors_are_the_same_each_time_and_have_length_one() -> None:
    for text in ("disk full on ingest-consumer-0", "", "ñandú 42"):
        vector = embed(text)
        assert vector == embed(text)
        assert math.hypot(*vector) == pytest.approx(1)


def test_similar_texts_are_near_and_others_are_far() -> None:
    question = "how did we fix the checkout error rate?"
    near = similarity(question, "CheckoutHighErrorRate was fixed by a rollback of checkout")
    assert near > 0.25
    assert near > 2 * similarity(question, "The search index lags behind because of a reindex")
    assert similarity("restarting the pods", "restart of a pod") > 2 * similarity("restarting the pods", "cold lunch")


def test_word_order_and_case_do_not_matter_much() -> None:
    assert similarity("Redis memory FULL", "full redis memory") == pytest.approx(1)


def test_dimensions_are_honoured() -> None:
    assert len(embed("x", 1536)) == 1536


def test_a_schema_is_filled_from_what_the_text_says() -> None:
    schema = {
        "type": "object",
        "$defs": {"Step": {"type": "object", "properties": {"action": {"type": "string"}}}},
        "properties": {
            "service": {"type": "string"},
            "severity": {"enum": ["low", "high"]},
            "pods": {"type": "integer"},
            "owner": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "resolved": {"type": "boolean"},
            "steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}},
        },
    }
    text = "service: checkout, pods = 6\nseverity is high\nresolved: yes\n- action: restart it\n- watch it"
    assert fill_schema(schema, text) == {
        "service": "checkout",
        "severity": "high",
        "pods": 6,
        "owner": None,
        "resolved": True,
        "steps": [{"action": "restart it"}, {"action": "watch it"}],
    }
