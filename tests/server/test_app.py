import asyncio
from typing import Any

import pytest

from tests.server.helpers import Gate, simple_tool, soon, world


def _text(result: dict[str, Any]) -> str:
    return result["content"][0]["text"]


async def test_a_seed_call_is_answered_by_a_result_with_its_id() -> None:
    async with world() as here, await here.open() as stream:
        assert await stream.call("add", {"a": 2, "b": 3}, id="mine") == 202
        assert (await stream.next("result")).json == {
            "id": "mine",
            "content": [{"type": "text", "text": "5"}],
            "isError": False,
        }


async def test_a_seed_call_without_an_id_is_answered_without_one() -> None:
    async with world() as here, await here.open() as stream:
        await stream.call("echo", {"message": "hi"})
        assert "id" not in (await stream.next("result")).json


async def test_as_the_origin_no_answer_has_an_id() -> None:
    async with world(echo_ids=False) as here, await here.open() as stream:
        await stream.call("echo", {"message": "hi"}, id="mine")
        await stream.call("nope", id="mine")
        answers = [await stream.next("result"), await stream.next("error")]
        assert all("id" not in answer.json for answer in answers)


async def test_a_tool_that_fails_answers_a_result_that_is_an_error() -> None:
    async with world() as here, await here.open() as stream:
        await stream.call("fail", {"message": "on purpose"}, id=1)
        result = (await stream.next("result")).json
        assert result["isError"] is True
        assert _text(result) == "on purpose"


@pytest.mark.parametrize(
    ("tool", "args", "words"),
    [
        ("nope", {}, "tool 'nope' is not offered"),
        ("add", {"a": 1}, "tool 'add': argument 'b' is missing, expected a number"),
        ("add", {"a": 1, "b": "2"}, "argument 'b': found '2', expected a number"),
        ("now", {"zone": "UTC"}, "argument 'zone' is unknown, expected 'tz'"),
    ],
)
async def test_an_unknown_tool_and_bad_arguments_answer_an_error_event(
    tool: str, args: dict[str, Any], words: str
) -> None:
    async with world() as here, await here.open() as stream:
        assert await stream.call(tool, args, id=9) == 202
        error = (await stream.next("error")).json
        assert set(error) == {"id", "error"}
        assert error["id"] == 9
        assert words in error["error"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"session_id":5}'])
async def test_a_seed_body_that_is_no_call_is_a_bad_request(body: bytes) -> None:
    async with (
        world() as here,
        here.http.post(
            here.server.url, data=body, headers={"Content-Type": "application/json"}
        ) as answer,
    ):
        assert answer.status == 400
        assert "expected JSON as" in (await answer.json())["error"]


async def test_calls_run_side_by_side_and_answer_in_the_order_they_end() -> None:
    first, second = Gate("first"), Gate("second")
    tools = {"first": first.tool, "second": second.tool}
    async with world(tools=tools) as here, await here.open() as stream:
        await stream.call("first", id=1)
        await stream.call("second", id=2)
        await soon(first.started)
        await soon(second.started)
        second.open.set()
        assert (await stream.next("result")).json["id"] == 2
        first.open.set()
        assert (await stream.next("result")).json["id"] == 1


async def test_json_rpc_life_from_initialize_to_a_call() -> None:
    async with world() as here, await here.open("?dialect=sse") as stream:
        refused = await stream.ask("tools/list", id="early")
        assert refused["error"]["code"] == -32600
        answer = await stream.initialize()
        assert answer["result"]["protocolVersion"] == "2024-11-05"
        listed = await stream.ask("tools/list")
        assert len(listed["result"]["tools"]) == 6
        called = await stream.ask("tools/call", {"name": "add", "arguments": {"a": 1, "b": 1}})
        assert called["result"] == {"content": [{"type": "text", "text": "2"}], "isError": False}
        assert (await stream.ask("ping", id=0))["result"] == {}


async def test_one_session_speaks_both_dialects() -> None:
    async with world() as here, await here.open() as stream:
        await stream.initialize()
        await stream.call("add", {"a": 1, "b": 2}, id=1)
        assert _text((await stream.next("result")).json) == "3"
        called = await stream.ask("tools/call", {"name": "echo", "arguments": {"message": "x"}})
        assert _text(called["result"]) == "x"


async def test_the_list_comes_in_pages() -> None:
    async with world(page_size=4) as here, await here.open("?dialect=sse") as stream:
        await stream.initialize()
        first = (await stream.ask("tools/list"))["result"]
        assert len(first["tools"]) == 4
        second = (await stream.ask("tools/list", {"cursor": first["nextCursor"]}))["result"]
        assert len(second["tools"]) == 2
        assert "nextCursor" not in second


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"{", -32700), (b"[]", -32600), (b'{"jsonrpc":"2.0","id":null,"method":"x"}', -32600)],
)
async def test_a_message_without_a_usable_id_is_refused_in_the_http_answer(
    body: bytes, code: int
) -> None:
    async with world() as here, await here.open() as stream:
        headers = {"Content-Type": "application/json"}
        async with here.http.post(stream.messages_url, data=body, headers=headers) as answer:
            assert answer.status == 400
            refused = await answer.json()
        assert (refused["id"], refused["error"]["code"]) == (None, code)


async def test_a_bad_message_with_an_id_is_refused_on_the_stream() -> None:
    async with world() as here, await here.open() as stream:
        async with here.http.post(stream.messages_url, json={"id": 5}) as answer:
            assert answer.status == 202
        refused = (await stream.next("message")).json
        assert (refused["id"], refused["error"]["code"]) == (5, -32600)


async def test_a_response_is_taken_and_let_go() -> None:
    async with world() as here, await here.open() as stream:
        body = {"jsonrpc": "2.0", "id": 1, "result": {}}
        async with here.http.post(stream.messages_url, json=body) as answer:
            assert answer.status == 202


async def test_progress_comes_under_its_token_and_before_the_answer() -> None:
    async with world() as here, await here.open("?dialect=sse") as stream:
        await stream.initialize()
        params = {
            "name": "wait",
            "arguments": {"seconds": 0.02},
            "_meta": {"progressToken": "tok"},
        }
        await stream.post("tools/call", params, id="w")
        progress = (await stream.next("message")).json
        assert progress["method"] == "notifications/progress"
        assert progress["params"] == {"progressToken": "tok", "progress": 0.02, "total": 0.02}
        assert _text((await stream.next("message")).json["result"]) == "waited 0.02 seconds"


async def test_progress_without_a_total_has_none() -> None:
    async def tell(_arguments: Any, progress: Any) -> str:
        progress(1, None)
        return ""

    tools = {"tell": simple_tool("tell", tell)}
    async with world(tools=tools) as here, await here.open("?dialect=sse") as stream:
        await stream.initialize()
        await stream.post("tools/call", {"name": "tell", "_meta": {"progressToken": 1}}, id=1)
        assert (await stream.next("message")).json["params"] == {"progressToken": 1, "progress": 1}


async def test_without_a_token_there_is_no_progress_in_either_dialect() -> None:
    async with world() as here, await here.open() as stream:
        assert (await stream.next()).event == "tools"
        await stream.initialize()
        await stream.post("tools/call", {"name": "wait", "arguments": {"seconds": 0.01}}, id="w")
        assert (await stream.next()).json["id"] == "w"
        await stream.call("wait", {"seconds": 0.01})
        assert (await stream.next()).event == "result"


async def test_a_cancelled_call_ends_and_is_not_answered() -> None:
    gate = Gate()
    async with (
        world(tools={"gate": gate.tool}) as here,
        await here.open("?dialect=sse") as stream,
    ):
        await stream.initialize()
        await stream.post("tools/call", {"name": "gate"}, id=1)
        await soon(gate.started)
        # "1" is another id than 1, and 7 is none: both are let go.
        await stream.post("notifications/cancelled", {"requestId": "1"})
        await stream.post("notifications/cancelled", {"requestId": 7})
        assert not gate.cancelled.is_set()
        await stream.post("notifications/cancelled", {"requestId": 1, "reason": "enough"})
        await soon(gate.cancelled)
        assert here.server.call_count == 0
        await stream.post("ping", id="after")
        assert (await stream.next("message")).json["id"] == "after"


async def test_an_id_of_a_running_call_cannot_be_used_again() -> None:
    gate = Gate()
    async with (
        world(tools={"gate": gate.tool}) as here,
        await here.open("?dialect=sse") as stream,
    ):
        await stream.initialize()
        await stream.post("tools/call", {"name": "gate"}, id=1)
        await soon(gate.started)
        refused = await stream.ask("tools/call", {"name": "gate"}, id=1)
        assert refused["error"]["code"] == -32600
        gate.open.set()
        assert "result" in (await stream.next("message")).json
        again = await stream.ask("tools/call", {"name": "gate"}, id=1)
        assert "result" in again


async def test_a_change_of_tools_is_told_to_each_session_in_its_words() -> None:
    gate = Gate("extra")
    async with (
        world() as here,
        await here.open() as seed_stream,
        await here.open("?dialect=sse") as ready,
        await here.open("?dialect=sse") as early,
    ):
        await seed_stream.next("tools")
        await ready.initialize()
        here.server.add_tool(gate.tool)
        assert "extra" in [tool["name"] for tool in (await seed_stream.next("tools")).json]
        changed = (await ready.next("message")).json
        assert changed == {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
        here.server.remove_tool("extra")
        assert "extra" not in [tool["name"] for tool in (await seed_stream.next("tools")).json]
        await ready.next("message")
        # One that is not initialized hears nothing: the first message is its own answer.
        await early.post("ping", id="mine")
        assert (await early.next()).json["id"] == "mine"


async def test_a_call_of_a_removed_tool_goes_on() -> None:
    gate = Gate()
    async with world(tools={"gate": gate.tool}) as here, await here.open() as stream:
        await stream.call("gate", id=1)
        await soon(gate.started)
        here.server.remove_tool("gate")
        gate.open.set()
        assert (await stream.next("result")).json["id"] == 1
        await stream.call("gate", id=2)
        assert (await stream.next("error")).json["id"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x" * 20_000, "bytes; this server sends at most 16384"),
        ("\ud800", "text that is not Unicode"),
    ],
)
async def test_an_answer_that_cannot_be_sent_is_an_error_in_both_dialects(
    text: str, words: str
) -> None:
    async def odd(_arguments: Any, _progress: Any) -> str:
        return text

    tools = {"odd": simple_tool("odd", odd)}
    async with world(tools=tools, max_queue_bytes=16_384) as here, await here.open() as stream:
        await stream.initialize()
        await stream.call("odd", id=1)
        assert words in (await stream.next("error")).json["error"]
        refused = await stream.ask("tools/call", {"name": "odd"})
        assert refused["error"]["code"] == -32603
        assert words in refused["error"]["message"]


async def test_a_session_that_ends_while_a_body_comes_answers_404() -> None:
    async with world() as here, await here.open() as stream:
        closed = asyncio.Event()

        async def body() -> Any:
            yield b'{"jsonrpc":"2.0",'
            stream.response.close()
            await here.log.until("closed")
            closed.set()
            yield b'"id":1,"method":"ping"}'

        headers = {"Content-Type": "application/json"}
        async with here.http.post(stream.messages_url, data=body(), headers=headers) as answer:
            assert closed.is_set()
            assert answer.status == 404
