import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from server.app import build_app
from server.gate import DESK
from server.options import ServerOptions
from tests.server.helpers import DEADLINE, Gate, World, soon, world

KEY = "right-key"
PATHS = [("GET", "/sse"), ("POST", "/sse"), ("POST", "/messages/"), ("GET", "/other")]


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"X-API-Key": ""}, {"X-API-Key": "wrong"}]
)
async def test_without_the_right_key_every_path_answers_401_and_no_session_is_made(
    method: str, path: str, headers: dict[str, str]
) -> None:
    async with (
        world(api_key=KEY) as here,
        here.http.request(method, here.origin + path, headers=headers) as answer,
    ):
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="rxmcp"')
        assert "key" in (await answer.json())["error"]
        assert here.server.session_count == 0


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {KEY}"}, {"X-API-Key": KEY}])
async def test_with_the_right_key_a_call_is_answered(headers: dict[str, str]) -> None:
    async with world(api_key=KEY) as here:
        async with await here.open(headers=headers) as stream:
            assert await stream.call("now") == 401  # the id alone is not enough
            body = {"session_id": stream.session_id, "tool": "add", "args": {"a": 2, "b": 3}}
            async with here.http.post(here.server.url, json=body, headers=headers) as answer:
                assert answer.status == 202
            assert (await stream.next("result")).json["content"][0]["text"] == "5"
            session_id = stream.session_id
        log = "\n".join(here.log.lines)
        assert KEY not in log
        assert session_id not in log


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
    ],
)
async def test_foreign_names_and_pages_are_refused_before_the_key_is_looked_at(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    async with (
        world(api_key=KEY) as here,
        here.http.request(
            method, here.origin + path, headers={"X-API-Key": KEY} | headers
        ) as answer,
    ):
        assert answer.status == status
        assert here.server.session_count == 0


async def test_own_names_and_own_pages_come_in() -> None:
    async with world() as here:
        for host in ("localhost", f"localhost:{here.server.port}", "[::1]:80"):
            async with await here.open(headers={"Host": host}):
                pass
        for origin in (here.origin, f"http://localhost:{here.server.port}"):
            async with await here.open(headers={"Origin": origin}):
                pass


async def _raw(here: World, request: bytes) -> bytes:
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", here.server.port)
        try:
            writer.write(request)
            return await reader.readuntil(b"\r\n")
        finally:
            writer.close()
            await writer.wait_closed()


async def test_a_request_without_a_host_is_a_bad_request() -> None:
    async with world() as here:
        assert b" 400 " in await _raw(here, b"GET /sse HTTP/1.1\r\n\r\n")


async def test_what_is_no_http_is_answered_400_and_logged_without_a_traceback() -> None:
    async with world() as here:
        assert b" 400 " in await _raw(here, b"GET /sse HTTP/1.1\r\nbad header\r\n\r\n")
        await here.log.until("! Error handling request")
        assert "Traceback" not in "\n".join(here.log.lines)


@pytest.mark.parametrize(
    ("session_id", "status"),
    [
        ("", 400),
        ("short", 400),
        ("x" * 42, 400),
        ("x" * 44, 400),
        ("x" * 42 + "=", 400),
        ("x" * 42 + "\n", 400),
        ("../../../../../../../../../../../../../../x", 400),
        ("ü" * 43, 400),
        ("x" * 100_000, 400),
        ("x" * 43, 404),
        ("RxBbCR2Ram-B_X5sFy0---Sq1mBt_HTjo4QmKM64cr8", 404),
    ],
)
async def test_session_id_matrix_is_the_same_on_both_paths(session_id: str, status: int) -> None:
    async with world() as here, await here.open():
        async with here.http.post(
            here.server.url, json={"session_id": session_id, "tool": "now"}
        ) as answer:
            assert answer.status == status
        if len(session_id) < 1000:  # a longer one does not fit into a request line
            message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
            async with here.http.post(
                f"{here.origin}/messages/", params={"session_id": session_id}, json=message
            ) as answer:
                assert answer.status == status
        assert session_id == "" or session_id not in "\n".join(here.log.lines)


async def test_an_ended_session_answers_exactly_as_an_unknown_one() -> None:
    async with world() as here:
        async with await here.open() as stream:
            ended = stream.session_id
        await here.log.until("closed")
        answers: list[tuple[int, bytes]] = []
        for session_id in (ended, "x" * 43):
            body = {"session_id": session_id, "tool": "now"}
            async with here.http.post(here.server.url, json=body) as answer:
                answers.append((answer.status, await answer.read()))
        assert answers[0] == answers[1]


@pytest.mark.parametrize("path", ["/sse", "/messages/?session_id=SESSION"])
@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonx",
        "multipart/form-data",
        "application/json; charset=latin-1",
        "",
    ],
)
async def test_a_body_of_another_type_is_refused(path: str, content_type: str) -> None:
    async with world() as here, await here.open() as stream:
        url = here.origin + path.replace("SESSION", stream.session_id)
        async with here.http.post(
            url, data=b"{}", headers={"Content-Type": content_type}
        ) as answer:
            assert answer.status == 415
            assert "expected application/json" in (await answer.json())["error"]


async def test_json_with_a_charset_is_json() -> None:
    async with world() as here, await here.open() as stream:
        async with here.http.post(
            stream.messages_url,
            data=b'{"jsonrpc":"2.0","id":1,"method":"ping"}',
            headers={"Content-Type": "Application/JSON; charset=UTF-8"},
        ) as answer:
            assert answer.status == 202
            assert await answer.text() == "Accepted"
        assert (await stream.next("message")).json["result"] == {}


async def _pieces(size: int) -> AsyncIterator[bytes]:
    yield b" " * size


@pytest.mark.parametrize("path", ["/sse", "/messages/?session_id=SESSION"])
@pytest.mark.parametrize("way", ["declared", "chunked", "gzip"])
async def test_a_body_that_is_too_large_is_refused_however_it_comes(path: str, way: str) -> None:
    async with world(max_body_bytes=1000) as here, await here.open() as stream:
        url = here.origin + path.replace("SESSION", stream.session_id)
        headers = {"Content-Type": "application/json"}
        data: Any = b" " * 1001
        if way == "chunked":
            data = _pieces(1001)
        elif way == "gzip":
            headers["Content-Encoding"] = "gzip"
            data = gzip.compress(b" " * 1_000_000)
            assert len(data) < 1500
            data = _as_it_is(data)
        async with here.http.post(url, data=data, headers=headers) as answer:
            assert answer.status == 413
            assert "Too Large" in (await answer.json())["error"]


async def _as_it_is(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_a_body_declared_too_large_is_refused_before_any_of_it_comes() -> None:
    async with world(max_body_bytes=1000) as here:
        head = b"POST /sse HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert b" 413 " in await _raw(here, head + b"Content-Length: 1001\r\n\r\n")


async def test_a_body_of_just_the_size_is_read() -> None:
    async with world(max_body_bytes=1000) as here, await here.open() as stream:
        body = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'.ljust(1000)
        headers = {"Content-Type": "application/json"}
        async with here.http.post(stream.messages_url, data=body, headers=headers) as answer:
            assert answer.status == 202


async def test_a_body_that_does_not_come_is_given_up() -> None:
    async with world(body_timeout=0.05) as here:
        head = b"POST /sse HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert b" 408 " in await _raw(here, head + b"Content-Length: 10\r\n\r\n{")


async def test_a_body_in_a_broken_coding_is_a_bad_request() -> None:
    async with world() as here:
        head = b"POST /sse HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        broken = head + b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\nnot gzip!!"
        assert b" 400 " in await _raw(here, broken)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", "/sse", 405, "GET,POST"),
        ("DELETE", "/sse", 405, "GET,POST"),
        ("HEAD", "/sse", 405, "GET,POST"),
        ("OPTIONS", "/sse", 405, "GET,POST"),
        ("GET", "/messages/", 405, "POST"),
        ("GET", "/", 404, None),
        ("POST", "/mcp", 404, None),
    ],
)
async def test_another_method_or_path_is_refused(
    method: str, path: str, status: int, allow: str | None
) -> None:
    async with world() as here, here.http.request(method, here.origin + path) as answer:
        assert answer.status == status
        assert answer.headers.get("Allow") == allow
        assert answer.headers["Cache-Control"] == "no-store"


async def test_an_unknown_dialect_is_refused() -> None:
    async with world() as here, here.http.get(f"{here.server.url}?dialect=http") as answer:
        assert answer.status == 400
        assert "found 'http', expected seed or sse" in (await answer.json())["error"]


async def test_a_session_too_many_is_refused_until_one_leaves() -> None:
    async with world(max_sessions=2) as here:
        async with await here.open(), await here.open():
            async with here.http.get(here.server.url) as answer:
                assert answer.status == 503
                assert answer.headers["Retry-After"] == "1"
            assert here.server.session_count == 2
        await here.log.until("session 1 closed")
        await here.log.until("session 2 closed")
        async with await here.open():
            assert here.server.session_count == 1


async def test_a_call_too_many_is_refused_until_one_ends() -> None:
    gate = Gate()
    async with world(tools={"gate": gate.tool}, max_calls=2) as here:
        async with await here.open() as stream:
            await stream.initialize()
            assert await stream.call("gate") == 202
            assert await stream.post("tools/call", {"name": "gate"}, id=1) == 202
            await soon(gate.started)
            assert await stream.call("gate") == 503
            assert await stream.post("tools/call", {"name": "gate"}, id=2) == 503
            async with here.http.post(
                here.server.url, json={"session_id": stream.session_id, "tool": "gate"}
            ) as answer:
                assert answer.headers["Retry-After"] == "1"
            assert await stream.post("ping", id=3) == 202
            gate.open.set()
            await stream.next("result")
            assert await stream.call("gate") == 202
            # Another session has its own room.
        async with await here.open() as other:
            assert await other.call("gate") == 202


async def test_a_server_that_stops_opens_no_session() -> None:
    app = build_app(ServerOptions(), log=lambda _: None)
    async with TestClient(TestServer(app)) as client:
        app[DESK].sessions.is_closing = True
        async with client.get("/sse") as answer:
            assert answer.status == 503
