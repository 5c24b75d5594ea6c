"""The listener takes one answer, the right one, and is harmless to all else."""

import asyncio
import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.listener import Listener, _callback, _split
from tests.support.ports import free_port

STATE = "the-state"
SCRIPT = "<script>alert(1)</script>"


async def send(listener: Listener, raw: bytes) -> bytes:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(raw)
        answer = await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return answer


async def get(listener: Listener, target: str, method: str = "GET") -> tuple[int, str]:
    answer = await send(listener, f"{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split(" ")[1]), head + body


async def test_the_answer_with_the_right_state_comes_through() -> None:
    async with await Listener.open() as listener:
        listener.expect(STATE)
        status, page = await get(
            listener, f"/callback?code=c%2B1&state={STATE}&iss=https%3A%2F%2Fa"
        )
        found = await listener.wait(5)
    assert status == 200
    assert "go back to the terminal" in page
    assert (found.code, found.state, found.iss, found.error) == ("c+1", STATE, "https://a", "")
    assert repr(found) == "Callback()"


async def test_it_listens_on_loopback_only_and_says_where() -> None:
    async with await Listener.open() as listener:
        assert listener.uri == f"http://127.0.0.1:{listener.port}/callback"
        assert listener._server is not None
        assert [sock.getsockname()[0] for sock in listener._server.sockets] == ["127.0.0.1"]


async def test_a_port_can_be_asked_for_and_may_be_taken() -> None:
    port = free_port()
    async with await Listener.open(port) as listener:
        assert listener.port == port
        with pytest.raises(
            AuthorizationError, match=f"port {port} of 127.0.0.1 is taken"
        ) as caught:
            await Listener.open(port)
    assert not caught.value.is_final


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/", 404),
        ("/favicon.ico", 404),
        ("/callback/", 404),
        ("/callback", 400),
        ("/callback?code=c", 400),
        ("/callback?code=c&state=other", 400),
        ("/callback?code=c&state=", 400),
        (f"/callback?code=a&code=b&state={STATE}", 400),
        (f"/callback?code=a&state={STATE}&state={STATE}", 400),
        (f"/callback?state={STATE}" + "&x=1" * 40, 400),
        (f"//[/callback?code=c&state={STATE}", 404),
        (f"/callback?code=c&state={quote(SCRIPT)}", 400),
    ],
)
async def test_what_is_not_the_answer_neither_comes_through_nor_ends_the_wait(
    target: str, status: int
) -> None:
    async with await Listener.open() as listener:
        listener.expect(STATE)
        found, page = await get(listener, target)
        assert found == status
        assert "script" not in page
        assert (await get(listener, f"/callback?code=right&state={STATE}"))[0] == 200
        assert (await listener.wait(5)).code == "right"


async def test_before_a_state_is_known_nothing_is_the_answer() -> None:
    async with await Listener.open() as listener:
        assert (await get(listener, "/callback?code=c&state="))[0] == 400
        assert (await get(listener, "/callback?code=c"))[0] == 400


async def test_only_a_get_is_an_answer() -> None:
    async with await Listener.open() as listener:
        listener.expect(STATE)
        assert (await get(listener, f"/callback?code=c&state={STATE}", "POST"))[0] == 404


async def test_a_second_answer_changes_nothing() -> None:
    async with await Listener.open() as listener:
        listener.expect(STATE)
        for code in ("first", "second"):
            assert (await get(listener, f"/callback?code={code}&state={STATE}"))[0] == 200
        assert (await listener.wait(5)).code == "first"


async def test_the_page_loads_nothing_and_tells_nobody_where_it_came_from() -> None:
    async with await Listener.open() as listener:
        listener.expect(STATE)
        _, page = await get(listener, f"/callback?code=hush&state={STATE}")
    for line in (
        "Content-Security-Policy: default-src 'none'",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Connection: close",
    ):
        assert line in page
    assert "hush" not in page


@pytest.mark.parametrize("raw", [b"\r\n\r\n", b"GET\r\n\r\n", b"\xff\xfe \x00\r\n\r\n"])
async def test_what_is_no_http_gets_a_page_and_no_more(raw: bytes) -> None:
    async with await Listener.open() as listener:
        assert b" 404 " in await send(listener, raw)


async def test_a_head_that_never_ends_is_not_read_for_ever() -> None:
    async with await Listener.open() as listener:
        assert await send(listener, b"GET /" + b"x" * 40_000) == b""


async def test_who_says_nothing_holds_nobody_up() -> None:
    """Browsers connect ahead of time."""
    async with await Listener.open() as listener:
        listener.expect(STATE)
        _, silent = await asyncio.open_connection("127.0.0.1", listener.port)
        assert (await get(listener, f"/callback?code=c&state={STATE}"))[0] == 200
        silent.close()


async def test_who_says_nothing_is_let_go_after_a_while() -> None:
    async with await Listener.open(patience=0.05) as listener:
        assert await send(listener, b"GET /callback") == b""


async def test_a_crowd_is_not_let_in() -> None:
    async with await Listener.open() as listener:
        crowd = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(16)]
        for _, writer in crowd:
            writer.write(b"G")
        assert await send(listener, b"") == b""
        for _, writer in crowd:
            writer.close()


async def test_without_an_answer_the_wait_ends() -> None:
    async with await Listener.open() as listener:
        with pytest.raises(AuthorizationError, match=r"within 0\.01 s \(--oauth-timeout\)"):
            await listener.wait(0.01)


async def test_after_the_end_the_port_is_free() -> None:
    async with await Listener.open() as listener:
        port = listener.port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()


@settings(max_examples=200)
@given(st.text(max_size=40))
def test_no_target_is_too_odd_to_be_read(target: str) -> None:
    path, query = _split(target)
    assert isinstance(path, str)
    _callback(query)
