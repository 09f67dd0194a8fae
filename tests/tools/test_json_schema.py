"""JSON Schemas: the operators' own, and those of strangers."""

import pytest

from tools.json_schema import Schema, SchemaError


@pytest.mark.parametrize(
    ("definition", "value", "fits"),
    [
        (True, {"a": 1}, True),
        (False, 1, False),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "string"}]}, [1], False),
        ({"$defs": {"a": {"type": "integer"}}, "$ref": "#/$defs/a"}, 1, True),
        ({"$defs": {"a": {"$id": "urn:a", "$defs": {"b": {"type": "integer"}}, "$ref": "#/$defs/b"}}}, "x", True),
        ({"$defs": {"a": {"$anchor": "n", "type": "integer"}}, "items": {"$ref": "#n"}}, ["x"], False),
        ({"$ref": "#"}, 1, False),
    ],
)
def test_a_schema_judges_values(definition, value, fits):
    assert (Schema(definition).problem(value) is None) == fits


@pytest.mark.parametrize(
    "definition",
    [
        [],
        "object",
        {"type": "objekt"},
        {"a": {1, 2}},
        {"$ref": "https://acme.example/x"},
        {"minimum": float("nan")},
        {"$ref": "#/$defs/none"},
        {"title": "x", "items": {"$ref": "#/title"}},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": {"$ref": "#/definitions/none"}},
        {"$ref": "#/x", "x": {"properties": {"a": {"$ref": "#nowhere"}}}},
    ],
)
def test_what_is_no_schema_is_refused(definition):
    with pytest.raises(SchemaError):
        Schema(definition)


@pytest.mark.parametrize(
    ("definition", "value", "fits"),
    [
        ({"type": "string", "pattern": "^(a+)+$"}, "a" * 40 + "!", True),
        ({"type": "string", "pattern": r"^\p{L}+$"}, "é", True),
        ({"type": "integer", "pattern": "^(a+)+$"}, "a", False),
        ({"patternProperties": {"^(a+)+$": {"type": "integer"}}, "additionalProperties": False}, {"a" * 40: 1}, True),
        ({"patternProperties": {"^(a+)+$": {"type": "integer"}}, "unevaluatedProperties": False}, {"a" * 40: 1}, True),
        ({"properties": {"pattern": {"type": "string"}}, "additionalProperties": False}, {"pattern": "("}, True),
        ({"properties": {"pattern": {"type": "string"}}, "additionalProperties": False}, {"regex": "("}, False),
        (
            {"$schema": "https://json-schema.org/draft/2020-12/schema", "properties": {"a": {"$ref": "#/$defs/s"}},
             "$defs": {"s": {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a+)+$"}}},
            {"a": "a" * 40 + "!"},
            True,
        ),
    ],
)  # fmt: skip
def test_no_regular_expression_of_a_stranger_is_run(definition, value, fits):
    assert (Schema(definition, trusted=False).problem(value) is None) == fits


def test_a_strangers_schema_costs_a_moment_even_where_its_references_multiply():
    bomb = {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}, "$ref": "#/$defs/d0"}
    bomb["$defs"]["d40"] = True
    assert Schema(bomb, trusted=False).problem({}) == "it takes too long to be checked"


def test_nesting_without_end_is_refused():
    deep = {}
    for _ in range(5000):
        deep = {"items": deep}
    with pytest.raises(SchemaError, match=r"not JSON|nested too deeply"):
        Schema(deep, trusted=False)
