"""From bytes to messages: whatever a server sends, and wherever its stream is cut."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import jsonrpc
from pipeline.core.sse import SseEvent, SseParser
from server.sse_encode import encode_json_event

_LONGEST = 2_000
"""Characters of what is told of a text that is no message: 120 of it, each ten if it is escaped."""
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
MEMBERS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "Id", "RESULT"])
NEARLY = st.dictionaries(MEMBERS, VALUES | st.sampled_from(["2.0", "call:c1", "tools/list"]))
TEXTS = st.text(max_size=200) | (VALUES | NEARLY | st.lists(NEARLY, max_size=4)).map(json.dumps)
IDS = st.text(min_size=1, max_size=10)
MESSAGES = st.builds(jsonrpc.request, IDS, IDS) | st.builds(
    jsonrpc.answer, IDS, st.dictionaries(st.text(max_size=8), VALUES, max_size=4)
)


@given(TEXTS)
def test_any_text_is_messages_or_is_refused_in_words_of_bounded_length(text: str) -> None:
    try:
        messages = jsonrpc.decode(text)
    except jsonrpc.NotJsonRpcError as refused:
        words = [str(refused)]
    else:
        assert messages != ()
        words = [each.reason for each in messages if isinstance(each, jsonrpc.Malformed)]
    assert all(0 < len(each) < _LONGEST for each in words)


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(1, 40), max_size=60))
def test_messages_come_through_wherever_their_stream_is_cut(
    messages: list[dict[str, Any]], lengths: list[int]
) -> None:
    stream = b"".join(encode_json_event("message", message) for message in messages)
    parser, found, at = SseParser(), list[SseEvent](), 0
    for length in (*lengths, len(stream)):
        chunk, at = stream[at : at + length], at + length
        found += [each for each in parser.feed(chunk) if isinstance(each, SseEvent)]
    assert [jsonrpc.decode(each.data) for each in found] == [
        jsonrpc.decode(json.dumps(message)) for message in messages
    ]
