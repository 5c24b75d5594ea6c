"""What goes around a message, revision by revision."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import jsonrpc
from pipeline.core.commands import Get, Post
from pipeline.core.events import Json, Route
from pipeline.core.session import wire
from tests.support.play import MCP

META: Json = {f"{wire.META}protocolVersion": "2026-07-28"}


def route(protocol: str = "2026-07-28", dialect: Any = "http", **changes: Any) -> Route:
    meta = META if protocol in wire.MODERN else {}
    return Route(server="s", url=MCP, dialect=dialect, protocol=protocol, meta=meta, **changes)


def sent(method: str, params: Json, **changes: Any) -> Post:
    return wire.post(route(**changes), "x", jsonrpc.request("x", method, params))


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "add", "arguments": {"name": "other"}}, "add"),
        ("prompts/get", {"name": "greet"}, "greet"),
        ("resources/read", {"uri": "file:///a b"}, "file:///a b"),
        ("tasks/get", {"taskId": "t1"}, "t1"),
        ("tools/call", {"name": "世界"}, "=?base64?5LiW55WM?="),
        ("tools/list", {"name": "x"}, None),
        ("resources/read", {"name": "x"}, None),
        ("tools/call", {"name": 5}, None),
    ],
)
def test_a_stateless_request_names_its_method_and_what_it_is_about(
    method: str, params: Json, name: str | None
) -> None:
    headers = sent(method, params).headers
    assert headers["Mcp-Method"] == method
    assert headers.get("Mcp-Name") == name
    assert headers["MCP-Protocol-Version"] == "2026-07-28"


def test_metadata_goes_with_each_request_beside_its_own() -> None:
    post = sent("tools/call", {"name": "add", "_meta": {"progressToken": "p"}})
    assert post.message["params"] == {"name": "add", "_meta": {**META, "progressToken": "p"}}


@pytest.mark.parametrize("dialect", ["http", "stdio"])
@pytest.mark.parametrize(
    "message",
    [
        jsonrpc.answer(1, {}),
        jsonrpc.refusal(1, -32601, "no"),
        jsonrpc.notification("notifications/cancelled", {"requestId": "x"}),
    ],
)
def test_what_is_no_request_gets_no_metadata(message: Json, dialect: Any) -> None:
    post = wire.post(route(dialect=dialect), "x", message)
    assert post.message == message


def test_a_session_id_is_never_sent_to_a_stateless_server() -> None:
    headers = sent("tools/list", {}, session_id="S1").headers
    assert "Mcp-Session-Id" not in headers


@pytest.mark.parametrize("protocol", wire.HANDSHAKE)
def test_a_request_of_a_session_is_as_it_was(protocol: str) -> None:
    post = sent("tools/call", {"name": "add"}, protocol=protocol, session_id="S1")
    assert post.message == jsonrpc.request("x", "tools/call", {"name": "add"})
    assert post.headers["Mcp-Session-Id"] == "S1"
    assert ("MCP-Protocol-Version" in post.headers) is (protocol >= "2025-06-18")
    assert "Mcp-Method" not in post.headers


@pytest.mark.parametrize("dialect", ["sse", "stdio", "seed"])
def test_only_streamable_http_has_headers_and_goes_side_by_side(dialect: Any) -> None:
    message = jsonrpc.request("x", "tools/list")
    post = wire.post(route("2025-11-25", dialect), "x", message, seconds=5)
    assert post == Post(server="s", url=MCP, id="x", message=message)
    params = {"Mcp-Param-A": "1"}
    http = wire.post(route("2025-11-25"), "x", message, params=params, seconds=5)
    assert (http.headers["Mcp-Param-A"], http.side_by_side, http.seconds) == ("1", True, 5)


def test_the_rest_of_a_stream_is_asked_for_by_its_last_event() -> None:
    known = route("2025-11-25", session_id="S1")
    headers = {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": "S1"}
    assert wire.get(known, "g") == Get(server="s", url=MCP, id="g", headers=headers)
    again = wire.get(known, "g", last_event_id="7")
    assert again.headers == {**headers, "Last-Event-ID": "7"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("us-west1", "us-west1"),
        ("", ""),
        ("a b", "a b"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("\tx", "=?base64?CXg=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("=?BASE64?x?=", "=?BASE64?x?="),
    ],
)
def test_a_header_value_is_encoded_as_the_specification_shows(text: str, value: str) -> None:
    assert wire.header_value(text) == value


@given(st.text())
def test_every_text_can_be_read_back_from_a_header_that_nothing_can_break(text: str) -> None:
    value = wire.header_value(text)
    assert value.isascii()
    assert value == value.strip()
    assert all(" " <= sign <= "~" for sign in value)
    if value.startswith("=?base64?") and value.endswith("?="):
        assert base64.b64decode(value[9:-2]).decode("utf-8", "surrogatepass") == text
    else:
        assert value == text
