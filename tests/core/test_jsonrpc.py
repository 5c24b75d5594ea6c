"""JSON-RPC messages, in and out; the official models are the oracle for what goes out."""

from typing import Any

import pytest
from mcp_types import jsonrpc as official

from pipeline.core.events import Json
from pipeline.core.jsonrpc import (
    METHOD_NOT_FOUND,
    Malformed,
    Notification,
    NotJsonRpcError,
    Reply,
    Request,
    answer,
    decode,
    error_text,
    notification,
    refusal,
    request,
    shorten,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"jsonrpc":"2.0","id":"a","result":{"x":1}}', Reply("a", {"x": 1})),
        ('{"jsonrpc":"2.0","id":7,"result":{}}', Reply(7, {})),
        ('{"id":"a","result":{}}', Reply("a", {})),
        ('{"jsonrpc":"2.0","id":"a","result":null}', Reply("a", {})),
        ('{"jsonrpc":"2.0","id":null,"result":{}}', Reply(None, {})),
        ('{"jsonrpc":"2.0","id":"a","result":{},"extra":[1]}', Reply("a", {})),
        ('{"jsonrpc":"2.0","id":3,"method":"ping"}', Request(3, "ping", {})),
        ('{"jsonrpc":"2.0","id":"3","method":"ping","params":{}}', Request("3", "ping", {})),
        ('{"jsonrpc":"2.0","id":null,"method":"ping"}', Request(None, "ping", {})),
        ('{"jsonrpc":"2.0","method":"n"}', Notification("n", {})),
        ('{"jsonrpc":"2.0","method":"n","params":{"a":1}}', Notification("n", {"a": 1})),
        ('{"jsonrpc":"2.0","method":"n","params":[1,2]}', Notification("n", {})),
    ],
)
def test_a_message_is_read_for_what_it_is(text: str, message: object) -> None:
    assert decode(text) == (message,)


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (
            '{"code":-32600,"message":"bad","data":[1]}',
            Reply("a", error="bad (code -32600)", code=-32600, data=[1]),
        ),
        ('{"message":"bad"}', Reply("a", error="bad")),
        ('{"message":"bad","code":true}', Reply("a", error="bad (code True)")),
        ('"bad"', Reply("a", error="bad")),
        ('{"why":1}', Reply("a", error='{"why":1}')),
        ("null", Reply("a", error="null")),
    ],
)
def test_an_error_is_told_in_words_whatever_its_shape(error: str, reply: Reply) -> None:
    assert decode(f'{{"id":"a","error":{error}}}') == (reply,)


def test_an_error_without_an_id_is_still_an_error() -> None:
    assert decode('{"jsonrpc":"2.0","error":{"message":"bad"}}') == (Reply(None, error="bad"),)


def test_a_null_error_beside_a_result_is_no_error() -> None:
    assert decode('{"id":"a","result":{"x":1},"error":null}') == (Reply("a", {"x": 1}),)


def test_an_error_wins_over_a_result() -> None:
    assert decode('{"id":"a","result":{},"error":{"message":"no"}}') == (Reply("a", error="no"),)


@pytest.mark.parametrize(("result", "found"), [("[1]", "list"), ('"x"', "str"), ("1", "int")])
def test_a_result_that_is_no_object_becomes_an_error_of_that_request(
    result: str, found: str
) -> None:
    (reply,) = decode(f'{{"id":"a","result":{result}}}')
    assert reply == Reply("a", error=f"found a {found} as result, expected an object")


def test_a_batch_is_read_in_order() -> None:
    text = '[{"id":1,"result":{}},{"method":"n"},{"id":2,"method":"ping"}]'
    assert decode(text) == (Reply(1, {}), Notification("n", {}), Request(2, "ping", {}))


@pytest.mark.parametrize(
    ("text", "left", "reason"),
    [
        ('[1,{"method":"n"}]', 1, "1 of a batch of 2 are left out: not a JSON-RPC message: "),
        ('[{"method":"n"},{"id":true,"result":{}},[]]', 1, "2 of a batch of 3 are left out: "),
        (' \r\n[{"method":"n"},{"x":1},{"id":1,"result":{}}]', 2, "1 of a batch of 3"),
        (f'[{{"method":"n","params":{"[" * 150 + "]" * 150}}},{{"method":"n"}}]', 1, "1 of"),
        ('[null,{"method":"n"}]', 1, "1 of a batch of 2"),
        ('[{"method":"n"},{"id":NaN,"result":{}},{"method":"m"}]', 2, "1 of a batch of 3"),
        (f'[{"[" * 90_000}{"]" * 90_000},{{"method":"n"}}]', 1, "1 of a batch of 2 are left out"),
        ('[{"id":1,"id":2,"result":{}},{"method":"n"}]', 1, "1 of a batch of 2"),
    ],
)
def test_what_is_no_message_in_a_batch_spoils_only_itself(
    text: str, left: int, reason: str
) -> None:
    *good, bad = decode(text)
    assert len(good) == left
    assert good[0] == Notification("n", {})
    assert isinstance(bad, Malformed)
    assert bad.reason.startswith(reason)
    assert len(bad.reason) < 300


def test_a_batch_of_nothing_but_faults_is_told_by_the_first() -> None:
    with pytest.raises(NotJsonRpcError, match="got `int`"):
        decode('[1,"x",{}]')
    with pytest.raises(NotJsonRpcError, match="empty batch"):
        decode("[ ]")
    with pytest.raises(NotJsonRpcError, match="truncated"):
        decode('[{"method":"n"},')


def test_a_batch_of_many_faults_is_told_once() -> None:
    found = decode("[" + "7," * 50_000 + '{"method":"n"}]')
    assert len(found) == 2
    assert isinstance(found[1], Malformed)
    assert found[1].reason.startswith("50000 of a batch of 50001 are left out")


def test_half_a_character_spoils_neither_its_message_nor_its_batch() -> None:
    reply = Reply("a", {"x": "\ufffd"})
    assert decode(r'{"id":"a","result":{"x":"\ud800"}}') == (reply,)
    assert decode(r'[{"id":"a","result":{"x":"\udfff"}},{"method":"n"}]') == (
        reply,
        Notification("n", {}),
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"id":1,"id":2,"result":{}}', "id"),
        ('{"id":1,"result":{"id":1},"result":{"id":2}}', "result"),
        ('{"method":"n","params":{},"method":"m"}', "method"),
    ],
)
def test_a_message_that_says_a_thing_twice_is_refused_for_it_could_mean_either(
    text: str, name: str
) -> None:
    with pytest.raises(NotJsonRpcError, match=f"found {name!r} twice"):
        decode(text)


def test_what_is_repeated_inside_of_a_message_is_read_as_json_readers_do() -> None:
    assert decode('{"id":"a","result":{"id":1,"x":2,"x":3}}') == (Reply("a", {"id": 1, "x": 3}),)


def test_keys_in_another_case_are_other_keys() -> None:
    with pytest.raises(NotJsonRpcError, match="neither a request"):
        decode('{"ID":"a","Result":{}}')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Accepted",
        "{",
        "1",
        "null",
        "[1]",
        "{}",
        '{"id":"a"}',
        '{"result":{}}',
        '{"id":true,"result":{}}',
        '{"id":{},"result":{}}',
        '{"method":5}',
        '{"id":"a","result":1e999}',
        '{"id":"\ud800","result":{}}',
        "[]",
    ],
)
def test_what_is_no_message_is_refused_with_what_was_found(text: str) -> None:
    with pytest.raises(NotJsonRpcError, match=r"found|neither"):
        decode(text)


def test_a_long_foreign_text_is_shortened_in_the_error() -> None:
    with pytest.raises(NotJsonRpcError) as caught:
        decode("x" * 5000)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("depth", [150, 900, 100_000])
def test_a_message_nested_too_deep_is_refused_at_the_door(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    with pytest.raises(NotJsonRpcError, match="nested too deep, expected no more than 100"):
        decode(f'{{"id":"a","result":{{"x":{nested}}}}}')


def test_a_wide_message_is_not_taken_for_a_deep_one() -> None:
    rows = "[" + ",".join(["[[]]"] * 1000) + "]"
    (reply,) = decode(f'{{"id":"a","result":{{"rows":{rows}}}}}')
    assert isinstance(reply, Reply)
    assert reply.result == {"rows": [[[]]] * 1000}


def test_brackets_in_a_text_are_no_nesting() -> None:
    (reply,) = decode('{"id":"a","result":{"x":"%s"}}' % ("[" * 5000))
    assert isinstance(reply, Reply)
    assert reply.result == {"x": "[" * 5000}


@pytest.mark.parametrize(
    "message",
    [
        request("init:s:1", "initialize", {"a": 1}),
        request("list:s:1.1", "tools/list"),
        notification("notifications/initialized"),
        notification("notifications/cancelled", {"requestId": "call:c1"}),
        answer(3, {}),
        answer("3", {}),
        refusal(3, METHOD_NOT_FOUND, "no"),
    ],
)
def test_what_is_sent_is_valid_for_the_official_models(message: Json) -> None:
    parsed: Any = official.jsonrpc_message_adapter.validate_python(message)
    assert parsed.model_dump(by_alias=True, exclude_unset=True) == message


@pytest.mark.parametrize("id_", [3, "3", 0, "", -1])
def test_an_id_goes_back_as_it_came(id_: str | int) -> None:
    sent = answer(id_, {})["id"]
    assert sent == id_
    assert type(sent) is type(id_)
    assert refusal(id_, -1, "x")["id"] == id_


def test_shorten_keeps_what_fits() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "abc…"


def test_an_error_text_of_no_known_shape_is_its_json() -> None:
    assert error_text(["a", 1]) == '["a",1]'
