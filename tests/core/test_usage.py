from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.arguments import parse_arguments
from pipeline.core.usage import example, usage_line


def of(**types: Any) -> dict[str, Any]:
    properties = {k: {"type": t} if isinstance(t, str) else t for k, t in types.items()}
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("schema", "line"),
    [
        ({}, "t"),
        (
            {**of(b="number", a="number"), "required": ["a", "b"]},
            "t b=NUMBER a=NUMBER",
        ),
        ({**of(opt="string", must="integer"), "required": ["must"]}, "t must=INTEGER [opt=TEXT]"),
        (
            of(a="array", o="object", b="boolean", u={}),
            "t [a=[…]] [o={…}] [b=true|false] [u=VALUE]",
        ),
        (of(m={"anyOf": [{"type": "string"}, {"type": "null"}]}), "t [m=TEXT|null]"),
        (of(e={"enum": ["up", "down", 3]}), "t [e=up|down|3]"),
        (of(e={"enum": list("abcdefgh")}), "t [e=TEXT]"),
        (of(e={"enum": []}), "t [e=VALUE]"),
    ],
)
def test_usage_shows_what_a_tool_takes(schema: dict[str, Any], line: str) -> None:
    assert usage_line("t", schema) == line


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "{}"),
        ({**of(a="number", b="number"), "required": ["a", "b"]}, "a=1.5 b=1.5"),
        (of(s="string", t="string"), 's="some text"'),
        (of(s={"type": "string", "default": 'say "hi" \\'}), r's="say \"hi\" \\"'),
        (of(s={"type": "string", "examples": ["x"], "default": "y"}), "s=x"),
        (of(s={"type": ["string", "integer"], "enum": ["2"]}), 's:="2"'),
        (of(u={}), 'u:="some text"'),
        (of(a={"type": "array", "default": ["x y"]}), 'a=["x y"]'),
        ({"properties": {"my key": {"type": "integer"}}}, '{"my key": 1}'),
        ({"properties": {"k:": {"type": "integer"}}}, '{"k:": 1}'),
    ],
)
def test_the_example_is_one_that_a_person_may_copy(schema: dict[str, Any], text: str) -> None:
    assert example(schema) == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
type_names = st.sampled_from(
    [[], "string", "integer", "number", "boolean", "null", "array", "object", ["string", "null"]]
)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
        st.tuples(json_values, type_names),
        max_size=3,
    )
)
def test_every_example_reads_back_as_the_values_it_shows(values: dict[str, Any]) -> None:
    properties = {key: {"type": t, "default": v} for key, (v, t) in values.items()}
    schema = {"properties": properties, "required": list(values)}
    assert parse_arguments(example(schema), schema) == {key: v for key, (v, _) in values.items()}
