import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from config.options import StreamOptions
from pipeline.core.events import FrameReceived, StreamOpened
from pipeline.shell.http import make_stream_session
from pipeline.shell.http_sse import (
    StreamAlive,
    StreamEndedError,
    StreamError,
    StreamItem,
    StreamMemory,
    StreamRefusedError,
    StreamTooLargeError,
    StreamUnreachableError,
    is_header_safe,
    read_stream,
)
from pipeline.shell.targets import make_target
from tests.support.ports import free_port
from tests.support.wire import (
    EVENT_STREAM,
    Peer,
    Script,
    Wire,
    close,
    hear,
    hold,
    reply,
    rst,
    serve,
    until,
)

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC).timestamp()
KEY = "sk-0123456789abcdef"
OPENED = StreamOpened(server="fs")
ALIVE = StreamAlive("fs")
SHORT = StreamOptions(connect_timeout=0.2)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def frame(data: str, event: str = "message", id_: str = "") -> FrameReceived:
    return FrameReceived(server="fs", event=event, data=data, id=id_)


async def always_room() -> None:
    """Nobody is behind."""


async def read(
    url: str,
    *,
    memory: StreamMemory | None = None,
    options: StreamOptions | None = None,
    push: Callable[[StreamItem], None] | None = None,
    room: Callable[[], Awaitable[None]] = always_room,
) -> tuple[list[StreamItem], StreamError]:
    """One connection to its end: what it pushed, and how it ended."""
    items: list[StreamItem] = []
    async with asyncio.timeout(20), make_stream_session() as http:
        with pytest.raises(StreamError) as caught:
            await read_stream(
                http,
                make_target("fs", url, api_key=KEY, extra_headers={"X-Team": "blue"}),
                options=options or StreamOptions(),
                memory=memory or StreamMemory(),
                push=push or items.append,
                room=room,
                now=lambda: NOON,
            )
    assert KEY not in str(caught.value)
    return items, caught.value


async def read_script(
    *script: bytes | Callable[[Peer], Awaitable[None]],
) -> tuple[list[StreamItem], StreamError]:
    async with serve(script) as wire:
        return await read(wire.url)


# --- a stream ---------------------------------------------------------------------------------


async def test_the_request_is_that_of_an_event_source() -> None:
    async with serve([EVENT_STREAM, close]) as wire:
        await read(wire.url + "?a=1")
    (request,) = wire.requests
    assert (request.method, request.target, request.body) == ("GET", "/sse?a=1", b"")
    expected = {
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "cache-control": "no-cache",
        "authorization": f"Bearer {KEY}",
        "x-team": "blue",
        "user-agent": "rxmcp",
        "host": f"127.0.0.1:{wire.port}",
    }
    assert request.headers == expected


async def test_events_are_pushed_in_order_and_a_clean_end_is_an_error() -> None:
    items, exc = await read_script(
        EVENT_STREAM, b"event: endpoint\ndata: /m\n\nid: 7\ndata: 1\n\n", close
    )
    assert items == [OPENED, frame("/m", "endpoint"), frame("1", id_="7")]
    assert isinstance(exc, StreamEndedError)
    assert str(exc).endswith(" ended the stream")
    assert (exc.retry_after, exc.status, exc.is_fatal) == (None, None, False)


@pytest.mark.parametrize(
    "content_type",
    [b"text/event-stream", b"Text/Event-Stream; charset=UTF-8", b"text/event-stream;x=y"],
)
async def test_the_content_type_may_have_capitals_and_parameters(content_type: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % content_type
    items, _ = await read_script(head, b"data: 1\n\n", close)
    assert items == [OPENED, frame("1")]


async def test_a_chunk_that_completes_no_event_says_alive_once() -> None:
    seen = asyncio.Event()
    items: list[StreamItem] = []

    def push(item: StreamItem) -> None:
        items.append(item)
        if item == ALIVE:
            seen.set()

    script: Script = [EVENT_STREAM, b": ping\n\n: pong\n\ndata: ", until(seen), b"1\n\n", close]
    async with serve(script) as wire:
        await read(wire.url, push=push)
    assert items == [OPENED, ALIVE, frame("1")]


async def test_an_event_cut_off_by_the_end_is_dropped() -> None:
    items, _ = await read_script(EVENT_STREAM, b"data: 1\n\ndata: half", close)
    assert items == [OPENED, frame("1")]


CHUNKED = EVENT_STREAM.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.parametrize(
    "script",
    [
        [EVENT_STREAM, b"data: 1\n\ndata: half", rst],
        [CHUNKED, b"9\r\ndata: 1\n\n\r\n", b"a\r\ndata: half", rst],
        [CHUNKED, b"9\r\ndata: 1\n\n\r\n", b"a\r\ndata: half", close],
    ],
    ids=["unframed reset", "chunked reset", "chunked cut"],
)
async def test_a_broken_connection_is_an_error_and_never_a_whole_event(script: Script) -> None:
    async with serve(script) as wire:
        items, exc = await read(wire.url)
    # A reset may overtake data that the kernel still held.
    assert items in ([OPENED, frame("1")], [OPENED, frame("1"), ALIVE], [OPENED], [])
    assert isinstance(exc, StreamEndedError | StreamUnreachableError)
    assert not exc.is_fatal


async def test_a_reset_after_events_were_read_is_told_as_broken_off() -> None:
    seen = asyncio.Event()
    script = [CHUNKED, b"9\r\ndata: 1\n\n\r\n", until(seen), rst]
    async with serve(script) as wire:
        _, exc = await read(
            wire.url, push=lambda item: seen.set() if isinstance(item, FrameReceived) else None
        )
    assert isinstance(exc, StreamEndedError)
    assert str(exc).startswith("the stream broke off: ")


@pytest.mark.parametrize(
    "line", [b"data: ", b": ", b"nonsense"], ids=["data", "comment", "unknown field"]
)
async def test_an_endless_line_ends_the_connection_with_an_error(line: bytes) -> None:
    async def flood(peer: Peer) -> None:
        await peer.send(line)
        while True:
            await peer.send(b"x" * 4096)

    async with serve([EVENT_STREAM, flood]) as wire:
        items, exc = await read(wire.url, options=StreamOptions(max_event_bytes=100_000))
    assert set(items) <= {OPENED, ALIVE}
    assert isinstance(exc, StreamTooLargeError)
    assert not exc.is_fatal
    assert str(exc).endswith("to accept it, raise --max-event-bytes")


# --- what one connection leaves to the next ---------------------------------------------------


async def test_id_and_retry_are_kept_for_the_next_connection() -> None:
    memory = StreamMemory()
    first = [EVENT_STREAM, b"retry: 1500\nid: a\xc3\xa9\ndata: 1\n\nid: half", close]
    async with serve(first, [EVENT_STREAM, b"data: 2\n\n", close]) as wire:
        _, ended = await read(wire.url, memory=memory)
        items, again = await read(wire.url, memory=memory)
    assert ended.retry_after == again.retry_after == 1.5
    assert "last-event-id" not in wire.requests[0].headers
    assert wire.requests[1].headers["last-event-id"].encode("latin-1") == b"a\xc3\xa9"
    assert items == [OPENED, frame("2", id_="aé")]


async def test_an_empty_id_clears_the_header() -> None:
    memory = StreamMemory(last_event_id="7")
    async with serve([EVENT_STREAM, b"id\ndata: 1\n\n", close]) as wire:
        await read(wire.url, memory=memory)
        await read(wire.url, memory=memory)
    assert wire.requests[0].headers["last-event-id"] == "7"
    assert "last-event-id" not in wire.requests[1].headers


POISON = ["\x01", "a\x1bb", "a\tb", "\x7f", "\x85", "x" * 4097, "é" * 2049]


@pytest.mark.parametrize("poison", POISON, ids=ascii)
async def test_an_id_that_no_header_can_carry_is_left_out(poison: str) -> None:
    memory = StreamMemory()
    event = f"id: {poison}\ndata: 1\n\n".encode()
    async with serve([EVENT_STREAM, event, close]) as wire:
        await read(wire.url, memory=memory)
        items, _ = await read(wire.url, memory=memory)
    assert memory.last_event_id == poison
    assert "last-event-id" not in wire.requests[1].headers
    assert items == [OPENED, frame("1", id_=poison)]


def test_which_ids_are_safe_in_a_header() -> None:
    assert is_header_safe("x" * 4096)
    assert is_header_safe("日本 1")
    assert not any(is_header_safe(id_) for id_ in ["", *POISON])


async def test_the_pause_a_server_asked_for_holds_for_failed_connections_too() -> None:
    memory = StreamMemory(retry_ms=2000)
    _, exc = await read(f"http://127.0.0.1:{free_port()}/sse", memory=memory)
    assert exc.retry_after == 2.0
    async with serve([reply("503 Busy")], [reply("503 Busy", retry_after="9")]) as wire:
        assert (await read(wire.url, memory=memory))[1].retry_after == 2.0
        assert (await read(wire.url, memory=memory))[1].retry_after == 9.0


# --- no answer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "words"),
    [("127.0.0.1", "connection refused by"), ("nosuch.invalid", "no address found")],
)
async def test_a_server_that_is_not_there_is_unreachable(host: str, words: str) -> None:
    items, exc = await read(f"http://{host}:{free_port()}/sse")
    assert isinstance(exc, StreamUnreachableError)
    assert str(exc).startswith(words)
    assert (items, exc.status, exc.is_fatal) == ([], None, False)


async def test_tls_to_a_plain_port_is_fatal() -> None:
    async with serve([hear, reply("400 Bad Request"), close], is_http=False) as wire:
        _, exc = await read(wire.url.replace("http:", "https:"))
    assert isinstance(exc, StreamUnreachableError)
    assert exc.is_fatal


async def test_a_server_that_accepts_and_never_answers_runs_into_the_deadline() -> None:
    async with serve([hold]) as wire:
        _, exc = await read(wire.url, options=SHORT)
        await wire.all_gone()
    assert isinstance(exc, StreamUnreachableError)
    assert str(exc) == (
        f"no answer came from 127.0.0.1:{wire.port} within 0.2 s (--connect-timeout)"
    )


async def test_a_connection_that_never_comes_runs_into_the_deadline() -> None:
    async with serve([hold], is_http=False) as wire:
        _, exc = await read(wire.url.replace("http:", "https:"), options=SHORT)
        await wire.all_gone()
    assert str(exc) == f"no connection to 127.0.0.1:{wire.port} within 0.2 s (--connect-timeout)"
    assert not exc.is_fatal


async def test_a_server_that_hangs_up_without_an_answer_is_unreachable() -> None:
    _, exc = await read_script(close)
    assert isinstance(exc, StreamUnreachableError)
    assert "closed the connection without an answer" in str(exc)


# --- answers that are no stream ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "is_fatal", "words"),
    [
        ("204 No Content", True, "HTTP 204: the server asks not to be called again"),
        ("205 Reset Content", True, "HTTP 205"),
        ("304 Not Modified", True, "HTTP 304"),
        ("400 Bad Request", True, "HTTP 400"),
        ("401 Unauthorized", True, "HTTP 401: the server wants other credentials"),
        ("403 Forbidden", True, "HTTP 403: the server does not allow this"),
        ("404 Not Found", True, "HTTP 404: there is nothing at this address; check the URL"),
        ("405 Method Not Allowed", True, "HTTP 405: this address takes no GET"),
        ("410 Gone", True, "HTTP 410: what was at this address is gone"),
        ("408 Request Timeout", False, "HTTP 408"),
        ("425 Too Early", False, "HTTP 425"),
        ("429 Too Many", False, "HTTP 429: the server has too many requests"),
        ("500 Oops", False, "HTTP 500"),
        ("502 Bad Gateway", False, "HTTP 502"),
        ("503 Busy", False, "HTTP 503: the server is not available now"),
        ("599 Odd", False, "HTTP 599"),
    ],
)
async def test_a_status_other_than_200_is_a_refusal(
    status: str, is_fatal: bool, words: str
) -> None:
    items, exc = await read_script(reply(status, content_type="text/event-stream"))
    assert isinstance(exc, StreamRefusedError)
    assert (items, exc.is_fatal, exc.status) == ([], is_fatal, int(status[:3]))
    assert str(exc).startswith(words)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("99999999999", 99999999999.0),
        ("-5", None),
        ("soon", None),
    ],
)
@pytest.mark.parametrize("status", ["429 Too Many", "503 Busy"])
async def test_retry_after_is_handed_on(status: str, value: str, expected: float | None) -> None:
    _, exc = await read_script(reply(status, retry_after=value))
    assert exc.retry_after == expected


@pytest.mark.parametrize(
    ("content_type", "found"),
    [
        ("text/html; charset=utf-8", "text/html"),
        ("application/json", "application/json"),
        ("text/event-stream-v2", "text/event-stream-v2"),
        ("garbage", "text/plain|application/octet-stream|garbage"),
    ],
)
async def test_another_content_type_is_refused_with_the_beginning_of_the_body(
    content_type: str, found: str
) -> None:
    body = b"<h1>\x1b[31mSign \n in</h1>" + b"x" * 300
    items, exc = await read_script(reply("200 OK", body, content_type=content_type))
    assert isinstance(exc, StreamRefusedError)
    assert (items, exc.is_fatal, exc.status) == ([], True, 200)
    start = [f"found content type {name!r}, expected" for name in found.split("|")]
    assert any(str(exc).startswith(words) for words in start)
    shown = ("<h1>\x1b[31mSign in</h1>" + "x" * 300)[:200]
    assert str(exc).endswith(f"; it says {shown!r}")
    assert "\x1b" not in str(exc)


async def test_a_missing_content_type_is_refused() -> None:
    _, exc = await read_script(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ndata: 1\n\n")
    assert isinstance(exc, StreamRefusedError)


async def test_a_key_that_the_server_quotes_is_not_repeated() -> None:
    _, exc = await read_script(reply("401 No", f"unknown key {KEY}".encode()))
    assert str(exc).endswith("; it says 'unknown key «secret»'")


@pytest.mark.parametrize("end", [hold, rst, close])
async def test_a_refusal_whose_body_does_not_come_is_told_all_the_same(
    end: Callable[[Peer], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.shell.http_sse._PEEK_PATIENCE", 0.2)
    head = b"HTTP/1.1 401 No\r\nContent-Length: 99\r\n\r\n"
    sent = asyncio.Event()
    script: Script = [head, end] if end is not rst else [head, until(sent), rst]

    async with serve(script) as wire:
        reading = asyncio.ensure_future(read(wire.url))
        await wire.got(1)
        sent.set()
        _, exc = await reading
        await wire.all_gone()
    assert exc.status in (401, None)
    assert isinstance(exc, StreamRefusedError) or end is rst


async def test_a_refusal_with_an_endless_body_is_cut() -> None:
    async def flood(peer: Peer) -> None:
        while True:
            await peer.send(b"x" * 4096)

    async with serve([b"HTTP/1.1 500 Oops\r\n\r\n", flood]) as wire:
        _, exc = await read(wire.url)
        await wire.all_gone()
    assert str(exc) == f"HTTP 500; it says {'x' * 200!r}"


# --- redirects --------------------------------------------------------------------------------


async def test_a_redirect_on_the_same_origin_is_followed() -> None:
    moved = [reply("301 Moved", location="/new")]
    async with serve(moved, [EVENT_STREAM, b"data: 1\n\n", close]) as wire:
        items, _ = await read(wire.url)
    assert items == [OPENED, frame("1")]
    assert wire.requests[1].target == "/new"


async def test_a_redirect_to_another_origin_is_fatal_and_nothing_reaches_it() -> None:
    async with (
        serve([EVENT_STREAM, close]) as other,
        serve([reply("302 Found", location=other.url)]) as wire,
    ):
        items, exc = await read(wire.url)
        assert other.accepted == 0
    assert isinstance(exc, StreamRefusedError)
    assert (items, exc.is_fatal, exc.status) == ([], True, 302)


# --- slowness and cancellation ----------------------------------------------------------------


async def test_a_slow_consumer_stops_the_server() -> None:
    is_stuck = asyncio.Event()
    gate = asyncio.Event()
    sent = 0
    block = b"data: " + b"x" * 65_000 + b"\n\n"
    blocks = 1000

    async def flood(peer: Peer) -> None:
        nonlocal sent
        for _ in range(blocks):
            peer.writer.write(block)
            drained = asyncio.ensure_future(peer.writer.drain())
            done, _ = await asyncio.wait([drained], timeout=1.0)
            if not done:
                is_stuck.set()
            await drained
            sent += 1
        peer.writer.close()

    items: list[StreamItem] = []
    async with serve([EVENT_STREAM, flood]) as wire:
        reading = asyncio.ensure_future(read(wire.url, push=items.append, room=gate.wait))
        async with asyncio.timeout(10):
            await is_stuck.wait()
        assert sent < blocks // 2
        assert len(items) < 20
        gate.set()
        await reading
    assert len([item for item in items if isinstance(item, FrameReceived)]) == blocks


async def cancel_midway(wire: Wire, *, is_reading: bool) -> None:
    opened = asyncio.Event()
    reading = asyncio.ensure_future(read(wire.url, push=lambda _: opened.set()))
    async with asyncio.timeout(10):
        await (opened.wait() if is_reading else wire.got(1))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.mark.parametrize("is_reading", [False, True])
async def test_cancelling_leaves_no_task_and_no_socket(is_reading: bool) -> None:
    script: Script = [EVENT_STREAM, hold] if is_reading else [hold]
    before = asyncio.all_tasks()
    async with serve(script) as wire:
        await cancel_midway(wire, is_reading=is_reading)
        await wire.all_gone()
    assert asyncio.all_tasks() == before
