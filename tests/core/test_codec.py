"""Lines of a recording, there and back."""

import types
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.core.codec import (
    FORMAT,
    Entry,
    Header,
    NotARecordingError,
    decode_entry,
    decode_header,
    encode,
    encode_entry,
    encode_header,
    to_json,
)
from pipeline.core.commands import CallModel, Item
from pipeline.core.events import PromptSubmitted, ToolEnded, ToolsListed
from pipeline.core.plan import Plan, ServerPlan
from tests.support.play import a_tool, text_block

AT = "2026-11-24T06:28:23.000001Z"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type may hold."""
    origin, arguments = get_origin(kind), get_args(kind)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        str: TEXT,
        int: st.integers(-(2**63), 2**63 - 1),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        type(None): st.none(),
        Any: JSON,
    }
    if kind in simple:
        return simple[kind]
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values_of(each) for each in arguments))
    if origin is dict:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=3)
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    fields = msgspec.structs.fields(kind)
    return st.builds(kind, **{field.name: values_of(field.type) for field in fields})


KINDS: list[Any] = list(get_args(Item))


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not CallModel])
@settings(max_examples=25, deadline=None)
@given(data=st.data(), seq=st.integers(1, 2**53))
def test_every_item_comes_back_as_it_was(kind: Any, data: st.DataObject, seq: int) -> None:
    entry = Entry(seq, AT, data.draw(values_of(kind)), data.draw(TEXT))
    line = encode_entry(entry)
    assert b"\n" not in line
    assert decode_entry(line) == entry


@settings(max_examples=50, deadline=None)
@given(data=st.data(), command=values_of(CallModel))
def test_of_a_model_call_only_what_is_new_is_kept(data: st.DataObject, command: CallModel) -> None:
    since = data.draw(st.integers(0, len(command.messages)))
    command = replace(command, since=since)
    line = encode_entry(Entry(1, AT, command))
    back = decode_entry(line)
    item = back.item
    assert isinstance(item, CallModel)
    assert (item.call, item.since, item.tools_changed) == (
        command.call,
        since,
        command.tools_changed,
    )
    assert item.messages == ({},) * since + command.messages[since:]
    assert item.tools == (command.tools if command.tools_changed else ())
    assert encode_entry(back) == line


def test_a_line_has_its_place_first_and_then_the_item() -> None:
    entry = Entry(7, AT, PromptSubmitted(text="hi"))
    assert encode_entry(entry) == (
        b'{"seq":7,"at":"2026-11-24T06:28:23.000001Z","kind":"prompt_submitted","text":"hi"}'
    )


def test_a_line_names_its_session_after_its_place() -> None:
    entry = Entry(7, AT, PromptSubmitted(text="hi"), 'a"b')
    assert encode_entry(entry) == (
        b'{"seq":7,"at":"2026-11-24T06:28:23.000001Z","session":"a\\"b",'
        b'"kind":"prompt_submitted","text":"hi"}'
    )


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_has_the_name_of_a_place(kind: Any) -> None:
    assert not {"seq", "at", "session", "kind"} & set(kind.__struct_fields__)


def test_an_item_alone_has_no_place() -> None:
    assert encode(PromptSubmitted(text="hi")) == b'{"kind":"prompt_submitted","text":"hi"}'


def test_to_json_gives_plain_values() -> None:
    command = CallModel(
        call="model:2",
        messages=({"role": "user", "content": [text_block("a")]}, {"role": "assistant"}),
        tools=(a_tool(),),
        since=1,
        tools_changed=False,
    )
    assert to_json(command) == {
        "kind": "call_model",
        "call": "model:2",
        "messages": [{"role": "assistant"}],
        "since": 1,
        "tools_changed": False,
    }


def test_a_newer_field_in_a_line_is_passed_over() -> None:
    line = b'{"seq":1,"at":"x","kind":"prompt_submitted","text":"hi","of_tomorrow":[1]}'
    assert decode_entry(line) == Entry(1, "x", PromptSubmitted(text="hi"))


WHOLE = encode_entry(Entry(1, AT, ToolEnded(call="c", server="größe", tool="t", outcome="unknown")))


@pytest.mark.parametrize("length", range(len(WHOLE)))
def test_a_torn_line_is_told_wherever_it_was_torn(length: int) -> None:
    with pytest.raises(NotARecordingError, match="not a line of a recording"):
        decode_entry(WHOLE[:length])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"seq":1,"at":"x","kind":"of_tomorrow"}',
         "found the kind 'of_tomorrow', expected one that docs/events.md lists; if a newer rxmcp"),
        (b'{"seq":1,"at":"x"}', "kind"),
        (b'{"at":"x","kind":"run_started"}', "seq"),
        (b'{"seq":1,"kind":"run_started"}', "at"),
        (b'{"seq":"1","at":"x","kind":"run_started"}', "int"),
        (b'{"seq":1,"at":"x","kind":"prompt_submitted"}', "text"),
        (b'{"seq":1,"at":"x","kind":"prompt_submitted","text":5}', "str"),
        (b'{"seq":1,"at":"x","kind":"prompt_submitted","text":"\xff"}', "utf-8"),
        (b'{"seq":1,"at":"\xff","kind":"run_started"}', "utf-8"),
        (b'{"seq":1,"at":"x","kind":"run_started"} {}', "trailing"),
        (b'{"seq":1,"at":"x","kind":"call_model","call":"m","messages":[],"since":10000000000}',
         "found 10000000000 messages"),
        (b'{"seq":1,"at":"x","kind":"call_model","call":"m","messages":[],"since":-1}',
         "found -1 messages"),
        (b"[1]", "array"),
        (b"", "truncated"),
        (b"\x00\x00\x00\x00", "malformed"),
        (b'{"seq":1,"at":"x","kind":"tool_started","call":"","server":"","tool":"","arguments":{"a":'
         + b"[" * 5000 + b"]" * 5000 + b"}}", "nested deeper than 200 levels"),
    ],
)  # fmt: skip
def test_a_line_that_is_not_ours_is_told_in_words(line: bytes, found: str) -> None:
    with pytest.raises(NotARecordingError, match=found):
        decode_entry(line)


def test_what_passes_between_stages_is_no_line() -> None:
    body = msgspec.json.encode(ToolsListed(server="s", tools=()))
    with pytest.raises(NotARecordingError, match="tools_listed"):
        decode_entry(b'{"seq":1,"at":"x",' + body[1:])


def test_a_header_comes_back_as_it_was_and_says_its_format() -> None:
    plan = Plan(servers=(ServerPlan(name='"recording"', url="http://x/sse"),), interactive=True)
    header = Header(
        rxmcp="0.1.0",
        session="abc",
        at=AT,
        versions={"python": "3.11.7"},
        settings={"silence": 30.0, "headers": [{"name": "X"}]},
        plan=plan,
    )
    line = encode_header(header)
    assert line.startswith(b'{"kind":"recording","format":2,"rxmcp":"0.1.0"')
    assert line.count(b'"format"') == 1
    assert b"\n" not in line
    assert decode_header(line) == header


def test_the_least_header_says_its_format_too() -> None:
    assert encode_header(Header()) == b'{"kind":"recording","format":2}'
    assert decode_header(b'{"kind":"recording","format":2}') == Header()


def test_a_header_of_an_older_format_says_which() -> None:
    assert decode_header(b'{"kind":"recording","format":1,"session":"s"}') == Header(
        format=1, session="s"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            b'{"kind":"recording","format":99}',
            f"found format 99, expected {FORMAT} or older: a newer rxmcp wrote this, and only such",
        ),
        (b'{"kind":"recording","format":0}', f"found format 0, expected 1 to {FORMAT}"),
        (b'{"kind":"recording","format":"2"}', "not the first line of a recording"),
        (b'{"kind":"run_started"}', "not the first line of a recording"),
        (b'{"kind":"recording","format":1', "not the first line of a recording"),
        (b'{"kind":"recording","session":"\xff"}', "not the first line of a recording"),
        (b"", "not the first line of a recording"),
        (b"#!/bin/sh", "not the first line of a recording"),
    ],
)
def test_a_first_line_that_is_no_header_is_told_in_words(line: bytes, words: str) -> None:
    with pytest.raises(NotARecordingError, match=words):
        decode_header(line)
