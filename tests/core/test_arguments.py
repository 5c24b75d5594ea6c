from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.arguments import (
    ArgumentsError,
    parse_arguments,
    split_command,
    split_commands,
    usage_line,
)


def of(**types: Any) -> dict[str, Any]:
    properties = {k: {"type": t} if isinstance(t, str) else t for k, t in types.items()}
    return {"type": "object", "properties": properties}


TYPED = of(
    s="string",
    i="integer",
    n="number",
    b="boolean",
    z="null",
    a="array",
    o="object",
    maybe={"anyOf": [{"type": "string"}, {"type": "null"}]},
    both={"type": ["integer", "string"]},
    count={"type": ["integer", "null"]},
    choice={"enum": ["1", "2"]},
    fixed={"const": 7},
    ref={"$ref": "#/$defs/X"},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("  ", {}),
        ("i=2", {"i": 2}),
        ("i=-2", {"i": -2}),
        ("i=2.0", {"i": 2}),
        ("n=2", {"n": 2}),
        ("n=2.5 i=1", {"n": 2.5, "i": 1}),
        ("n=1e3", {"n": 1000.0}),
        ("b=true", {"b": True}),
        ("z=null", {"z": None}),
        # text stays text, whatever it looks like
        ("s=2", {"s": "2"}),
        ("s=true", {"s": "true"}),
        ("s=", {"s": ""}),
        ("s=[1]", {"s": "[1]"}),
        ("s=a=b", {"s": "a=b"}),
        ("s='\"x\"' maybe='\"x\"'", {"s": '"x"', "maybe": "x"}),
        ("s=é\u202e", {"s": "é\u202e"}),
        # quotes as in a shell
        ('s="two words"', {"s": "two words"}),
        ("s='two words'", {"s": "two words"}),
        ('s=""', {"s": ""}),
        (r's="a \"b\" \\ \n"', {"s": r'a "b" \ \n'}),
        (r"s='a\b'", {"s": r"a\b"}),
        (r"s=C:\temp", {"s": r"C:\temp"}),
        ("s=one' two 'three", {"s": "one two three"}),
        ("'s=two words' i=1", {"s": "two words", "i": 1}),
        ('"s:=\\"x\\"" i=1', {"s": "x", "i": 1}),
        ("s='a\nb'\ni=1", {"s": "a\nb", "i": 1}),
        # structures need no quotes
        ('a=["x", "y z"] i=1', {"a": ["x", "y z"], "i": 1}),
        ("a='[1, 2]'", {"a": [1, 2]}),
        ('o={"k": {"l": 1}} i=1', {"o": {"k": {"l": 1}}, "i": 1}),
        # forced
        ("s:=2", {"s": 2}),
        ('s:="x y" i=1', {"s": "x y", "i": 1}),
        ("i:='[1, 2]'", {"i": [1, 2]}),
        ("a:b=1", {"a:b": 1}),
        # unknown, union, absent
        ("u=2", {"u": 2}),
        ("u=two", {"u": "two"}),
        ("u=[x]", {"u": "[x]"}),
        ("u=[1]x", {"u": "[1]x"}),
        ("u=NaN", {"u": "NaN"}),
        ("u=1e999", {"u": "1e999"}),
        ("ref=[1, 2]", {"ref": [1, 2]}),
        ("maybe=2", {"maybe": "2"}),
        ("maybe=null", {"maybe": None}),
        ("both=2 count=null", {"both": 2, "count": None}),
        ("both=x", {"both": "x"}),
        ("choice=1 fixed=7", {"choice": "1", "fixed": 7}),
        # all at once
        ('{"s": "x", "i": 2.5}', {"s": "x", "i": 2.5}),
        (' {"s": "it\'s"} ', {"s": "it's"}),
        ("i=123456789012345678901", {"i": 123456789012345678901}),
    ],
)
def test_a_value_becomes_what_the_schema_says(text: str, expected: dict[str, Any]) -> None:
    found = parse_arguments(text, TYPED)
    assert found == expected
    assert [type(v) for v in found.values()] == [type(v) for v in expected.values()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("i=2.5", "'i': found '2.5', expected a whole number; for example: "),
        ("i=x", "expected a whole number"),
        ("i=true", "expected a whole number"),
        ("n=", "'n': found '', expected a number"),
        ("n=1 2", "found '2', expected key=value"),
        ("b=yes", "expected true or false"),
        ("count=x", "expected a whole number or null"),
        ("a={}", "expected a list such as"),
        ("o=[1]", "expected an object such as"),
        ("o={x", "expected an object such as"),
        ("i=1 i=2", "found 'i' twice, expected each key once"),
        ("hello", "found 'hello', expected key=value"),
        ("=1", "found '=1', expected key=value"),
        ("i:=x", "'i': found 'x', expected JSON after :="),
        ("i:='1 2'", "expected JSON after :="),
        ("i:=NaN", "expected JSON after :="),
        ('s="open', "found '\"open', expected a closing \""),
        ("s=it's", "expected a closing '"),
        ('{"s": 1', "expected a JSON object"),
        ('{"s": 1} x', "found 'x' after the JSON object"),
        ('{"s": 1, "s": 2}', "found 's' twice"),
        ('{"n": 1e999}', "too large for a number"),
        ('{"n": NaN}', "NaN is no JSON"),
        ("o=" + '{"a":' * 100_000, "expected an object such as"),
        ("x" * 1000, "…', expected key=value"),
    ],
)
def test_what_cannot_be_read_is_told_with_an_example(text: str, words: str) -> None:
    with pytest.raises(ArgumentsError) as caught:
        parse_arguments(text, TYPED)
    assert words in str(caught.value)
    assert "; for example: s=" in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("text", ["s=\udcff", '{"s": "\\ud83d"}', '{"\\ud83d": 1}'])
def test_text_that_is_no_unicode_never_gets_into_an_event(text: str) -> None:
    with pytest.raises(ArgumentsError, match="not valid Unicode"):
        parse_arguments(text, TYPED)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": None, "required": 3},
        {"properties": ["a"]},
        {"properties": {"a": None, "b": 1, "c": {"type": 7}, "d": {"type": [1]}}},
        {"properties": {"a": {"type": "text"}, "b": {"anyOf": [1, {}]}, "c": {"enum": None}}},
        {"properties": {"a": {"anyOf": []}, "b": {"type": []}}, "required": [["x"], {}]},
    ],
)
def test_a_senseless_schema_means_any_type(schema: dict[str, Any]) -> None:
    assert parse_arguments("a=1 b=x", schema) == {"a": 1, "b": "x"}
    assert usage_line("t", schema).startswith("t")
    with pytest.raises(ArgumentsError):
        parse_arguments("nothing", schema)


@given(st.text(), st.sampled_from([{}, TYPED]))
def test_no_text_makes_the_reader_fail_in_another_way(text: str, schema: dict[str, Any]) -> None:
    try:
        parse_arguments(text, schema)
    except ArgumentsError:
        return


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("add a=1 b=2", ("add", "a=1 b=2")),
        ("  add\ta=1 ", ("add", "a=1")),
        ("add", ("add", "")),
        ('add{"a": 1}', ("add", '{"a": 1}')),
        ("", ("", "")),
    ],
)
def test_a_command_is_a_tool_and_the_rest(line: str, expected: tuple[str, str]) -> None:
    assert split_command(line) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a x=1", ("a x=1",)),
        ("a x=1 ; b y=2", ("a x=1", "b y=2")),
        ("a x=1\nb y=2\n", ("a x=1", "b y=2")),
        ("a ;\n; b ;", ("a", "b")),
        ("a x=1;2", ("a x=1;2",)),
        ("a x=1; b", ("a x=1; b",)),
        ("a x=' ; ' ; b", ("a x=' ; '", "b")),
        ('a x="\\" ; \n" ; b', ('a x="\\" ; \n"', "b")),
        ("a x='open ; b\nc", ("a x='open ; b\nc",)),
        (" \n ", ()),
        ("", ()),
        (";", ()),
    ],
)
def test_commands_are_cut_outside_of_quotes_only(text: str, expected: tuple[str, ...]) -> None:
    assert split_commands(text) == expected


@pytest.mark.parametrize("depth", [150, 900, 100_000])
@pytest.mark.parametrize("text", ['{{"a": {deep}}}', "a:={deep}"])
def test_values_nested_too_deep_are_refused_before_anything_has_to_walk_them(
    text: str, depth: int
) -> None:
    deep = "[" * depth + "]" * depth
    with pytest.raises(ArgumentsError, match="found"):
        parse_arguments(text.format(deep=deep), {})
