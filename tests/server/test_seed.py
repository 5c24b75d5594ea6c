import json
from typing import Any

import pytest

from server.seed import (
    SeedCall,
    SeedCallError,
    error_event,
    parse_call,
    result_event,
    tools_event,
)
from tests.server.helpers import Event, Parser


def _one(encoded: bytes) -> Event:
    (event,) = Parser().feed(encoded)
    return event


@pytest.mark.parametrize(
    ("body", "call"),
    [
        (
            {"session_id": "s", "tool": "t", "args": {"a": 1}},
            SeedCall(session_id="s", tool="t", args={"a": 1}),
        ),
        ({"session_id": "s", "tool": "t"}, SeedCall(session_id="s", tool="t")),
        (
            {"session_id": "s", "tool": "t", "args": None, "id": None, "more": 1},
            SeedCall(session_id="s", tool="t"),
        ),
        ({"session_id": "s", "tool": "t", "id": 0}, SeedCall(session_id="s", tool="t", id=0)),
        ({"session_id": "s", "tool": "t", "id": ""}, SeedCall(session_id="s", tool="t", id="")),
    ],
)
def test_calls_are_read(body: Any, call: SeedCall) -> None:
    assert parse_call(json.dumps(body).encode()) == call


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"not json", "malformed"),
        (b"\xff", "malformed"),
        (b'{"session_id":"\xff","tool":"t"}', "utf-8"),
        (b'{"session_id":"s","tool":"t","args":{"a":' + b"[" * 100_000, "recursion"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"tool":"t"}', "missing required field `session_id`"),
        (b'{"session_id":"s"}', "missing required field `tool`"),
        (b'{"session_id":1,"tool":"t"}', "Expected `str`, got `int` - at `$.session_id`"),
        (b'{"session_id":"s","tool":"t","args":[]}', "Expected `object | null`, got `array`"),
        (b'{"session_id":"s","tool":"t","id":true}', "got `bool` - at `$.id`"),
        (b'{"session_id":"s","tool":"t","id":1.5}', "got `float` - at `$.id`"),
    ],
)
def test_what_is_no_call_is_refused_with_what_was_found_and_expected(
    body: bytes, words: str
) -> None:
    with pytest.raises(SeedCallError) as caught:
        parse_call(body)
    assert words in str(caught.value)
    assert 'expected JSON as {"session_id"' in str(caught.value)


def test_a_result_event_is_the_result_with_the_id_that_was_sent() -> None:
    result: dict[str, Any] = {"content": [], "isError": False}
    assert _one(result_event("a", result)) == Event(
        "result", '{"id":"a","content":[],"isError":false}'
    )
    assert _one(result_event(0, result)).json["id"] == 0
    assert _one(result_event(None, result)).json == result


def test_an_error_event_is_words_with_the_id_that_was_sent() -> None:
    assert _one(error_event(1, "bad")) == Event("error", '{"id":1,"error":"bad"}')
    assert _one(error_event(None, "bad")).json == {"error": "bad"}


def test_a_tools_event_is_the_list() -> None:
    assert _one(tools_event([{"name": "a"}])) == Event("tools", '[{"name":"a"}]')
