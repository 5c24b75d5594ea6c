import json
from typing import Any

import pytest

from server.jsonrpc import (
    Notification,
    Request,
    Response,
    RpcError,
    error_body,
    error_event,
    notification_event,
    read_message,
    result_event,
)
from tests.server.helpers import Parser


def _body(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0"} | members).encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_body(id=1, method="ping"), Request(1, "ping", {})),
        (_body(id="1", method="ping", params={"a": 1}), Request("1", "ping", {"a": 1})),
        (_body(id=0, method="ping"), Request(0, "ping", {})),
        (_body(id="", method="ping"), Request("", "ping", {})),
        (_body(method="note"), Notification("note", {})),
        (_body(id=1, result={}), Response()),
        (_body(id=None, error={"code": 1}), Response()),
    ],
)
def test_messages_are_read(body: bytes, message: Any) -> None:
    assert read_message(body) == message


@pytest.mark.parametrize(
    ("body", "code", "request_id"),
    [
        (b"", -32700, None),
        (b"{", -32700, None),
        (b"\xff", -32700, None),
        (b'{"jsonrpc":"2.0","method":"\xff"}', -32700, None),
        (b"[" * 100_000, -32700, None),
        (b"9" * 5000, -32700, None),
        (b"[]", -32600, None),
        (b"[" + _body(id=1, method="ping") + b"]", -32600, None),
        (b'"text"', -32600, None),
        (b'{"id":1,"method":"ping"}', -32600, 1),
        (b'{"jsonrpc":"1.0","id":"a","method":"ping"}', -32600, "a"),
        (_body(id=1), -32600, 1),
        (_body(id=1, method=5), -32600, 1),
        (_body(id=1, method="ping", params=[1]), -32600, 1),
        (_body(id=1, method="ping", params=None), -32600, 1),
        (_body(id=None, method="ping"), -32600, None),
        (_body(id=1.5, method="ping"), -32600, None),
        (_body(id=True, method="ping"), -32600, None),
        (_body(id={}, method="ping"), -32600, None),
        (_body(), -32600, None),
    ],
)
def test_what_is_no_message_is_refused_under_its_id_if_it_has_one(
    body: bytes, code: int, request_id: str | int | None
) -> None:
    with pytest.raises(RpcError) as caught:
        read_message(body)
    assert (caught.value.code, caught.value.request_id) == (code, request_id)


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (result_event("a", {"x": 1}), {"id": "a", "result": {"x": 1}}),
        (
            error_event(RpcError(-32601, "no", 7)),
            {"id": 7, "error": {"code": -32601, "message": "no"}},
        ),
        (notification_event("n"), {"method": "n"}),
        (notification_event("n", {"p": 1}), {"method": "n", "params": {"p": 1}}),
    ],
)
def test_answers_are_message_events(encoded: bytes, message: dict[str, Any]) -> None:
    (event,) = Parser().feed(encoded)
    assert event.event == "message"
    assert event.json == {"jsonrpc": "2.0"} | message


def test_an_error_body_without_an_id_has_null_for_it() -> None:
    assert json.loads(error_body(RpcError(-32700, "bad"))) == {
        "jsonrpc": "2.0",
        "id": None,
        "error": {"code": -32700, "message": "bad"},
    }
