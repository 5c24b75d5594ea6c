"""A recorded MCP server answers any client as the real one did."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import ClientSession, MCPError
from mcp.client.sse import sse_client

from pipeline.core.events import (
    AnswerCompleted,
    CallSubmitted,
    PostAnswered,
    ToolEnded,
    ToolProgress,
    ToolsChanged,
)
from pipeline.core.sse import SseEvent, SseParser
from pipeline.mocks.mcp_mock import serve_recording
from server.options import ServerOptions
from server.run import serve
from tests.mocks.tapes import call, frame, post, ready, record, seed_call, text, write
from tests.support.in_process import play

DEADLINE = 20.0
PROMPTS = ("add a=2 b=3", "fail message=oops", "wait seconds=0.02", "add a=2 b=3")


@asynccontextmanager
async def official(url: str) -> AsyncIterator[ClientSession]:
    async with (
        asyncio.timeout(DEADLINE),
        sse_client(url) as (read, write),
        ClientSession(read, write) as session,
    ):
        yield session


class Wire:
    """A client of few words: what it posts, and the events that come."""

    def __init__(self, http: aiohttp.ClientSession, url: str, stream: aiohttp.ClientResponse):
        self.url = url
        self._http = http
        self._stream = stream
        self._parser = SseParser()
        self._events: list[SseEvent] = []

    async def event(self) -> SseEvent:
        while not self._events:
            chunk = await self._stream.content.readany()
            assert chunk, "the stream has ended"
            self._events += [e for e in self._parser.feed(chunk) if isinstance(e, SseEvent)]
        return self._events.pop(0)

    async def message(self) -> Any:
        return json.loads((await self.event()).data)

    async def post(self, path: str, body: Any, **headers: str) -> tuple[int, str]:
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        url = self.url.removesuffix("/sse") + path
        async with self._http.post(url, data=data, headers=headers) as response:
            return response.status, await response.text()


@asynccontextmanager
async def wire(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """The client, and the endpoint it was told."""
    async with (
        asyncio.timeout(DEADLINE),
        aiohttp.ClientSession() as http,
        http.get(url) as stream,
    ):
        client = Wire(http, url, stream)
        endpoint = await client.event()
        assert endpoint.event == "endpoint"
        yield client, endpoint.data


def rpc(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.fixture(params=["sse", "seed"])
async def tape(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A chat with the reference server, in either dialect."""
    async with serve(ServerOptions()) as server:
        words = ("--server", server.url, "--dialect", request.param)
        return await record(tmp_path / "tape.jsonl", *words, prompts=PROMPTS)


async def test_the_official_client_gets_what_the_real_server_answered(tape: Any) -> None:
    async with serve_recording(tape) as mock:
        async with official(mock.url) as session:
            begun = await session.initialize()
            assert begun.server_info.name
            tools = (await session.list_tools()).tools
            assert [t.name for t in tools] == ["add", "echo", "fail", "now", "search_text", "wait"]
            assert tools[0].input_schema["required"] == ["a", "b"]
            added = await session.call_tool("add", {"b": 3, "a": 2.0})
            assert (added.content[0].text, added.is_error) == ("5", False)
            failed = await session.call_tool("fail", {"message": "oops"})
            assert (failed.content[0].text, failed.is_error) == ("oops", True)
            assert mock.unused == ('wait {"seconds":0.02}', 'add {"a":2,"b":3}')
        assert mock.misses == ()


async def test_our_own_client_cannot_tell_it_from_the_real_server(tape: Any) -> None:
    async with serve_recording(tape) as mock:
        played = await play("--server", mock.url, prompts=PROMPTS)
    recorded = [entry.item for entry in tape.entries()]
    for kind in (ToolEnded, ToolProgress, AnswerCompleted):
        before = [item for item in recorded if isinstance(item, kind)]
        now = played.only(kind)
        assert [without_server(item) for item in now] == [without_server(item) for item in before]
    names = [tool.name for tool in played.one(ToolsChanged).tools]
    assert names == ["add", "echo", "fail", "now", "search_text", "wait"]
    assert (mock.misses, mock.unused, played.ended.code) == ((), (), 0)


def without_server(item: Any) -> dict[str, Any]:
    fields = {name: getattr(item, name) for name in item.__struct_fields__}
    fields.pop("server", None)
    return fields


async def test_a_miss_is_an_error_that_names_the_closest_call_and_what_differs(tape: Any) -> None:
    async with serve_recording(tape) as mock:
        async with official(mock.url) as session:
            await session.initialize()
            with pytest.raises(MCPError) as caught:
                await session.call_tool("add", {"a": 2, "b": 4})
        words = 'not in the recording: add {"a":2,"b":4}; the closest is add {"a":2,"b":3}; '
        assert str(caught.value).startswith(f"{words}arguments.b: asked 4, recorded 3")
        (miss,) = mock.misses
        assert (miss.asked, miss.closest) == ('add {"a":2,"b":4}', 'add {"a":2,"b":3}')


async def test_our_own_client_hears_of_a_miss_as_well(tape: Any) -> None:
    wish = CallSubmitted(tool="add", arguments='{"a": 2, "b": 4}')
    async with serve_recording(tape) as mock:
        ended = (await play("--server", mock.url, prompts=[wish])).one(ToolEnded)
    assert ended.is_error
    assert "arguments.b: asked 4, recorded 3" in ended.reason
    assert len(mock.misses) == 1


async def test_answers_to_the_same_call_come_in_the_order_they_were_recorded(
    tmp_path: Path,
) -> None:
    items = [ready()]
    for number in (1, 2):
        answer = {"jsonrpc": "2.0", "id": f"call:{number}", "result": text(str(number))}
        items += [call(f"call:{number}", "count"), frame(json.dumps(answer))]
    async with (
        serve_recording(write(tmp_path / "tape.jsonl", *items)) as mock,
        official(mock.url) as session,
    ):
        await session.initialize()
        results = [await session.call_tool("count", {}) for _ in range(3)]
    assert [result.content[0].text for result in results] == ["1", "2", "2"]


async def test_a_call_that_was_never_answered_is_accepted_and_never_answered(
    tmp_path: Path,
) -> None:
    run = write(tmp_path / "tape.jsonl", ready(), call("call:1", "hang"))
    async with serve_recording(run) as mock, wire(mock.url) as (client, endpoint):
        assert await client.post(endpoint, rpc("tools/call", name="hang")) == (202, "Accepted")
        await client.post(endpoint, rpc("ping") | {"id": 2})
        assert (await client.message())["id"] == 2, "the answer to the ping is the first to come"
        assert (mock.misses, mock.unused) == ((), ())


async def test_a_post_that_was_refused_is_refused(tmp_path: Path) -> None:
    refused = PostAnswered(server="one", id="call:1", status=503, body="busy")
    run = write(tmp_path / "tape.jsonl", ready(), call("call:1", "add"), refused)
    async with serve_recording(run) as mock, wire(mock.url) as (client, endpoint):
        assert await client.post(endpoint, rpc("tools/call", name="add")) == (503, "busy")


async def test_progress_goes_to_the_token_of_the_one_who_asks(tmp_path: Path) -> None:
    told = {"progressToken": "call:1", "progress": 1, "total": 2}
    note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}
    answer = {"jsonrpc": "2.0", "id": "call:1", "result": text("x")}
    frames = (frame(json.dumps(note)), frame(json.dumps(answer)))
    run = write(tmp_path / "tape.jsonl", ready(), call("call:1", "slow"), *frames)
    async with serve_recording(run) as mock, wire(mock.url) as (client, endpoint):
        await client.post(endpoint, rpc("tools/call", name="slow", _meta={"progressToken": "mine"}))
        assert (await client.message())["params"] == told | {"progressToken": "mine"}
        assert (await client.message()) == answer | {"id": 1}
        await client.post(endpoint, rpc("tools/call", name="slow"))
        assert (await client.message()) == answer | {"id": 1}, "nobody asked for progress"


@pytest.mark.parametrize(
    ("recorded", "asked", "answered"),
    [
        ("2025-06-18", "2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-11-25", "2025-06-18"),
        ("2025-06-18", "odd", "2025-06-18"),
        ("odd", "2024-11-05", "odd"),
    ],
)
async def test_a_client_of_an_older_revision_is_met_there(
    tmp_path: Path, recorded: str, asked: str, answered: str
) -> None:
    greeting = {"protocolVersion": recorded, "capabilities": None}
    frames = frame(json.dumps({"jsonrpc": "2.0", "id": "init", "result": greeting}))
    run = write(tmp_path / "tape.jsonl", post("init", "initialize"), frames, ready())
    async with serve_recording(run) as mock, wire(mock.url) as (client, endpoint):
        await client.post(endpoint, rpc("initialize", protocolVersion=asked))
        result = (await client.message())["result"]
        assert result == {"protocolVersion": answered, "capabilities": {}}


async def test_only_what_the_recording_can_answer_is_offered(tmp_path: Path) -> None:
    offered = {"tools": {}, "resources": {}, "prompts": {}}
    greeting = {"protocolVersion": "2024-11-05", "capabilities": offered}
    run = write(
        tmp_path / "tape.jsonl",
        post("init", "initialize"),
        frame(json.dumps({"jsonrpc": "2.0", "id": "init", "result": greeting})),
        ready(),
        post("read", "resources/read", {"uri": "a:b"}),
        frame(json.dumps({"jsonrpc": "2.0", "id": "read", "result": {"contents": []}})),
    )
    async with serve_recording(run) as mock, wire(mock.url) as (client, endpoint):
        await client.post(endpoint, rpc("initialize"))
        assert [*(await client.message())["result"]["capabilities"]] == ["tools", "resources"]
        await client.post(endpoint, rpc("resources/read", uri="a:b"))
        assert (await client.message())["result"] == {"contents": []}
        await client.post(endpoint, rpc("prompts/list"))
        assert (await client.message())["error"]["code"] == -32601
        assert mock.misses == (), "what the server does not offer is asked in vain everywhere"
        await client.post(endpoint, rpc("resources/read", uri="a:c"))
        assert "a:c" in (await client.message())["error"]["message"]
        assert len(mock.misses) == 1


async def test_seed_answers_go_out_as_they_came_but_for_the_id(tmp_path: Path) -> None:
    run = write(
        tmp_path / "tape.jsonl",
        frame('[{"name": "add"}, {"name": 7}]', event="tools"),
        ready("seed"),
        seed_call("call:1", "add", a=1),
        frame('{"id": "call:1", "result": 7}', event="result"),
        seed_call("call:2", "add", a=2),
        frame('"bare\\u2028words"', event="error"),
        seed_call("call:3", "add", a=3),
    )
    async with serve_recording(run) as mock, wire(mock.url) as (client, endpoint):
        tools = await client.event()
        assert (tools.event, json.loads(tools.data)) == ("tools", [{"name": "add"}, {"name": 7}])
        name = endpoint.partition("session_id=")[2]
        body = {"session_id": name, "tool": "add", "args": {"a": 1}, "id": 5}
        for args, event, data in [
            ({"a": 1}, "result", {"id": 5, "result": 7}),
            ({"a": 2}, "error", "bare\u2028words"),
        ]:
            assert (await client.post("/sse", body | {"args": args}))[0] == 202
            told = await client.event()
            assert (told.event, json.loads(told.data)) == (event, data)
        assert (await client.post("/sse", body | {"args": {"a": 3}}))[0] == 202
        without_id = {key: value for key, value in body.items() if key != "id"}
        assert (await client.post("/sse", without_id))[0] == 202
        assert await client.message() == {"result": 7}, "the third call was never answered"
        await client.post("/sse", body | {"args": None})
        missed = await client.message()
        assert (missed["id"], "recording: add {}" in missed["error"]) == (5, True)
        await client.post("/sse", without_id | {"tool": "sub"})
        assert "id" not in await client.message()
        assert len(mock.misses) == 2
        await client.post(endpoint, rpc("tools/list"))
        tool = {"name": "add", "inputSchema": {"type": "object"}}
        assert (await client.message())["result"]["tools"] == [tool]
        await client.post(endpoint, rpc("tools/call", name="add", arguments={"a": 2}))
        assert (await client.message())["error"]["message"] == "bare\u2028words"


async def test_what_cannot_be_meant_is_refused_in_words(tmp_path: Path) -> None:
    sse = write(tmp_path / "sse.jsonl", ready())
    seed = write(tmp_path / "seed.jsonl", ready("seed"))
    async with serve_recording(sse) as mock, wire(mock.url) as (client, endpoint):
        assert (await client.post("/messages/?session_id=x", rpc("ping")))[0] == 404
        status, words = await client.post(endpoint, "no json")
        assert (status, "not a JSON-RPC message" in words) == (400, True)
        assert (await client.post(endpoint, b"\xff"))[0] == 400
        assert (await client.post("/sse", {}))[0] == 405
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await client.post(endpoint, note))[0] == 202
        status, words = await client.post(endpoint, rpc("ping"), Origin="https://evil.example")
        assert (status, "evil.example" in words) == (403, True)
        assert (await client.post(endpoint, rpc("ping"), Origin="http://localhost:3"))[0] == 202
    async with serve_recording(seed) as mock, wire(mock.url) as (client, _):
        assert (await client.post("/sse", "no json"))[0] == 400
        assert (await client.post("/sse", {"session_id": "x"}))[0] == 400
        assert (await client.post("/sse", {"session_id": "x", "tool": "y"}))[0] == 404


async def test_several_runs_answer_one_after_the_other(tmp_path: Path) -> None:
    answer = {"jsonrpc": "2.0", "id": "call:1", "result": text("x")}
    runs = [
        write(tmp_path / "tape.jsonl", ready(), call("call:1", name), frame(json.dumps(answer)))
        for name in ("a", "b")
    ]
    async with serve_recording(runs, server="one") as mock:
        assert mock.unused == ("a {}", "b {}")


async def test_it_ends_while_a_client_listens(tmp_path: Path) -> None:
    run = write(tmp_path / "tape.jsonl", ready())
    async with asyncio.timeout(DEADLINE), aiohttp.ClientSession() as http:
        async with serve_recording(run, host="::1") as mock:
            stream = await http.get(mock.url)
            assert mock.url.startswith("http://[::1]:")
        assert b"endpoint" in await stream.read(), "and the stream ends in good order"


async def test_a_silent_stream_shows_that_it_is_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.mocks.mcp_session._HEARTBEAT", 0.01)
    run = write(tmp_path / "tape.jsonl", ready())
    async with (
        asyncio.timeout(DEADLINE),
        aiohttp.ClientSession() as http,
        serve_recording(run) as mock,
        http.get(mock.url) as stream,
    ):
        await stream.content.readuntil(b": the mock is alive\n\n")


async def test_no_client_can_take_a_character_for_the_end_of_a_line(tmp_path: Path) -> None:
    """Some split at U+0085, U+2028 and U+2029, against the standard."""
    answer = {"jsonrpc": "2.0", "id": "call:1", "result": text("a\x85b\u2028c\u2029d")}
    run = write(tmp_path / "tape.jsonl", ready(), call("call:1", "x"), frame(json.dumps(answer)))
    async with serve_recording(run) as mock, wire(mock.url) as (client, endpoint):
        await client.post(endpoint, rpc("tools/call", name="x"))
        event = await client.event()
        assert len(event.data.splitlines()) == 1
        assert json.loads(event.data)["result"] == answer["result"]
