"""Messages over Streamable HTTP: answers that are streams, and all that can go wrong with them."""

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from config.options import PostOptions, StreamOptions
from pipeline.core.commands import Post
from pipeline.core.events import AnswerEnded, FrameReceived, PostAnswered
from tests.support.outbox import KEY, Answers, free_post, get, post, running
from tests.support.ports import free_port
from tests.support.wire import (
    EVENT_STREAM,
    Peer,
    Script,
    close,
    hold,
    reply,
    rst,
    serve,
    until,
)

JSON = "application/json"
ACCEPTED = reply("202 Accepted")
SHORT = PostOptions(post_timeout=0.3)
OPEN = PostAnswered(server="fs", id="1", status=200, is_open=True)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def frame(data: str, event: str = "message", id_: str = "", stream: str = "1") -> FrameReceived:
    return FrameReceived(server="fs", event=event, data=data, id=id_, stream=stream)


def ended(reason: str = "", **more: Any) -> AnswerEnded:
    return AnswerEnded(server="fs", id="1", reason=reason, **more)


async def said_of(*script: bytes | Callable[[Peer], Awaitable[None]], **more: Any) -> list[Any]:
    """All that is said of one message whose answer comes to an end."""
    answers = Answers()
    async with serve(script) as wire, running(wire.url, answers, **more) as (outbox, _):
        outbox.send(free_post(wire.url))
        await answers.reach(1)
        if answers.answered[0].is_open:
            await answers.ended()
    return answers.items


# --- requests ---------------------------------------------------------------------------------


async def test_a_message_goes_with_its_own_headers_and_those_of_the_server() -> None:
    async with serve([ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(
                free_post(
                    wire.url,
                    Mcp_Session_Id="s-1",
                    Mcp_Param_City="=?base64?w7w=?=",
                    AUTHORIZATION="Bearer not-ours",
                )
            )
            assert await answers.reach(1) == [PostAnswered(server="fs", id="1", status=202)]
    assert json.loads(wire.requests[0].body) == {"n": "1"}
    assert wire.requests[0].headers == {
        "host": f"127.0.0.1:{wire.port}",
        "user-agent": "rxmcp",
        "accept": "application/json, text/event-stream",
        "accept-encoding": "identity",
        "content-type": JSON,
        "content-length": "9",
        "mcp-session-id": "s-1",
        "mcp-param-city": "=?base64?w7w=?=",
        "authorization": f"Bearer {KEY}",
    }


async def test_a_wish_for_a_stream_is_a_get_that_may_resume() -> None:
    async with serve([EVENT_STREAM, b"data: 1\n\n", close]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.get(get(wire.url, Last_Event_ID="7", Mcp_Session_Id="s-1"))
            await answers.ended()
    assert answers.items == [OPEN, frame("1"), ended()]
    request = wire.requests[0]
    assert (request.method, request.body) == ("GET", b"")
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["last-event-id"] == "7"
    assert request.headers["mcp-session-id"] == "s-1"
    assert "content-type" not in request.headers


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("Mcp-Name", "a\r\nX-Evil: 1", "'Mcp-Name' has a control character"),
        ("Mcp-Name", "\x00", "'Mcp-Name' has a control character"),
        ("Mcp-Name", "\udce4", "'Mcp-Name' is not valid Unicode"),
        ("Bad Name", "x", "'Bad Name' as the name of a header"),
        ("Host", "evil.example", "'Host' is set by the connection itself"),
    ],
)
async def test_a_message_with_a_header_that_no_request_can_carry_is_not_sent(
    name: str, value: str, words: str
) -> None:
    async with serve([ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(free_post(wire.url, **{name: value}))
            (answer,) = await answers.reach(1)
        assert wire.accepted == 0
    assert (answer.status, answer.is_sent) == (None, False)
    assert answer.reason.startswith("not sent: ")
    assert words in answer.reason
    assert "evil" not in answer.reason.lower()


async def test_a_message_for_another_origin_and_one_that_is_no_json_are_not_sent() -> None:
    async with serve([ACCEPTED]) as wire, serve([ACCEPTED]) as other:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(free_post(other.url, "1"))
            outbox.get(get(other.url, "2"))
            outbox.send(free_post(wire.url, "\ud800"))
            await answers.reach(3)
        assert (wire.accepted, other.accepted) == (0, 0)
    assert not any(item.is_sent or item.status for item in answers.items)


async def test_the_key_in_the_query_of_the_url_goes_along() -> None:
    async with serve([ACCEPTED]) as wire:
        answers = Answers()
        async with running(f"{wire.url}?token=s3cret-in-a-query", answers) as (outbox, _):
            outbox.send(free_post(wire.url, "1"))
            outbox.get(get(wire.url, "2"))
            await answers.reach(2)
    targets = {(r.method, r.target) for r in wire.requests}
    query = "/sse?token=s3cret-in-a-query"
    assert targets == {("POST", query), ("GET", query)}


# --- answers ----------------------------------------------------------------------------------


async def test_events_come_as_they_arrive_and_then_one_end() -> None:
    gate = asyncio.Event()
    answers = Answers()
    script: Script = [EVENT_STREAM, b"data: 1\n\n", until(gate), b"event: x\ndata: 2\n\n", close]
    async with serve(script) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(free_post(wire.url))
        assert await answers.reach(2) == [OPEN, frame("1")]
        gate.set()
        await answers.ended()
    assert answers.items == [OPEN, frame("1"), frame("2", "x"), ended()]
    assert answers.successes == 1


async def test_the_end_says_where_to_resume_and_when() -> None:
    stream = b"retry: 250\nid: 7\ndata: \n\nid: 8\ndata: 1\n\n"
    items = await said_of(EVENT_STREAM, stream, close)
    assert items == [
        OPEN,
        frame("", id_="7"),
        frame("1", id_="8"),
        ended(last_event_id="8", retry_ms=250),
    ]


async def test_an_id_that_no_header_can_carry_is_no_place_to_resume_at() -> None:
    items = await said_of(EVENT_STREAM, b"id: a\x01b\ndata: 1\n\n", close)
    assert items[-1] == ended()
    items = await said_of(EVENT_STREAM, b"id: " + b"x" * 5000 + b"\ndata: 1\n\n", close)
    assert items[-1] == ended()


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted"])
async def test_each_2xx_that_is_an_event_stream_is_open(status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n"
    items = await said_of(head.encode(), b"data: 1\n\n", close)
    assert [type(item) for item in items] == [PostAnswered, FrameReceived, AnswerEnded]
    assert items[0].is_open


@pytest.mark.parametrize("status", ["400 Bad", "404 Gone", "500 Oops"])
async def test_a_refusal_is_never_open_though_it_be_a_stream(status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\n\r\n"
    (answer,) = await said_of(head.encode(), b"data: 1\n\n", close)
    assert (answer.status, answer.is_open, answer.body) == (int(status[:3]), False, "data: 1\n\n")


async def test_a_json_body_is_whole_and_any_other_an_excerpt() -> None:
    body = json.dumps({"result": "x" * 100_000}).encode()
    (answer,) = await said_of(reply("200 OK", body, content_type=JSON))
    assert (answer.status, answer.body, answer.is_open) == (200, body.decode(), False)
    (answer,) = await said_of(reply("200 OK", b"<p>" * 9000, content_type="text/html"))
    assert answer.body == ("<p>" * 9000)[:2000]


@pytest.mark.parametrize(
    ("head", "expected"), [("204 No Content", 204), ("202 Accepted", 202), ("405 No", 405)]
)
async def test_an_answer_without_a_body_is_one(head: str, expected: int) -> None:
    items = await said_of(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())
    assert items == [PostAnswered(server="fs", id="1", status=expected)]


async def test_a_202_may_have_a_body_of_any_kind() -> None:
    (answer,) = await said_of(reply("202 Accepted", b'{"ok":1}', content_type=JSON))
    assert (answer.status, answer.body) == (202, '{"ok":1}')


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("s-1", "s-1"),
        ("ey" + "J" * 600, "ey" + "J" * 600),
        ("a b", ""),
        ("x" * 4097, ""),
        ("sch\u00f6n", ""),
    ],
)
async def test_a_session_id_is_told_if_a_request_can_carry_it(sent: str, told: str) -> None:
    for status in ("200 OK", "400 Bad"):
        (answer,) = await said_of(
            reply(status, b"{}", content_type=JSON, mcp_session_id=sent),
        )
        assert answer.session_id == told
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nmcp-session-id: {sent}\r\n\r\n"
    items = await said_of(head.encode(), close)
    assert (items[0].is_open, items[0].session_id) == (True, told)


async def test_an_answer_in_the_old_order_says_nothing_of_sessions_or_success() -> None:
    answers = Answers()
    script = [reply("200 OK", b"{}", content_type=JSON, mcp_session_id="s-1")]
    async with serve(script) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(post(wire.url))
        (answer,) = await answers.reach(1)
    assert (answer.session_id, answers.successes) == ("", 0)


@pytest.mark.parametrize(("status", "successes"), [("202 Yes", 1), ("404 No", 0), ("500 No", 0)])
async def test_only_2xx_is_a_success(status: str, successes: int) -> None:
    answers = Answers()
    async with serve([reply(status)]) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(free_post(wire.url))
        await answers.reach(1)
    assert answers.successes == successes


async def test_a_redirect_on_the_same_origin_is_followed_and_no_other() -> None:
    async with serve([reply("307 Moved", location="/new")], [EVENT_STREAM, close]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(free_post(wire.url))
            await answers.ended()
    assert answers.items == [OPEN, ended()]
    assert [(r.target, r.body) for r in wire.requests] == [
        ("/sse", b'{"n":"1"}'),
        ("/new", b'{"n":"1"}'),
    ]
    async with serve([ACCEPTED]) as other:
        (answer,) = await said_of(reply("307 Moved", location=other.url))
        assert other.accepted == 0
    assert (answer.status, answer.is_sent) == (None, True)
    assert answer.reason.startswith("HTTP 307: redirect 307 from http://127.0.0.1:")


# --- faults -----------------------------------------------------------------------------------

JSON_HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
PART = b"9\r\ndata: 1\n\n\r\n"


@pytest.mark.parametrize("end", [close, rst])
async def test_a_stream_that_breaks_off_says_so_after_what_it_brought(
    end: Callable[[Peer], Awaitable[None]],
) -> None:
    seen = asyncio.Event()
    answers = Answers()
    script: Script = [CHUNKED, PART, b"6\r\ndata: \r\n", until(seen), end]
    async with serve(script) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(free_post(wire.url))
        await answers.reach(2)
        seen.set()
        await answers.ended()
    assert answers.items[:2] == [OPEN, frame("1")]
    assert answers.items[2] == ended(f"the answer of 127.0.0.1:{wire.port} broke off")


@pytest.mark.parametrize("end", [close, rst])
async def test_no_answer_at_all_is_one_answer(end: Callable[[Peer], Awaitable[None]]) -> None:
    (answer,) = await said_of(end)
    assert (answer.status, answer.is_sent, answer.is_open) == (None, True, False)


async def test_a_server_that_is_not_there_has_been_sent_nothing() -> None:
    answers, url = Answers(), f"http://127.0.0.1:{free_port()}/mcp"
    async with running(url, answers) as (outbox, _):
        outbox.send(free_post(url, "1"))
        outbox.get(get(url, "2"))
        await answers.reach(2)
    assert {(i.status, i.is_sent) for i in answers.items} == {(None, False)}


async def test_a_server_that_takes_no_connection_is_given_up_long_before_its_answer() -> None:
    async with serve([hold], is_http=False) as wire:
        answers, url = Answers(), wire.url.replace("http:", "https:")
        stream = StreamOptions(connect_timeout=0.2)
        async with running(url, answers, stream=stream) as (outbox, _):
            outbox.send(free_post(url, seconds=10_000))
            (answer,) = await answers.reach(1)
    assert (answer.status, answer.is_sent) == (None, False)
    assert answer.reason == (
        f"no connection to 127.0.0.1:{wire.port} within 0.2 s (--connect-timeout)"
    )


async def deaf(peer: Peer) -> None:
    """Read no more: what the client writes fills all buffers there are."""
    peer.reader._transport.pause_reading()  # type: ignore[attr-defined]


async def wait(_: Peer) -> None:
    await asyncio.Event().wait()


def large_post(url: str, id_: str = "1") -> Post:
    """A message that no buffer on the way holds."""
    large = free_post(url, id_, seconds=10_000)
    large.message["n"] = "x" * 20_000_000
    return large


async def test_a_server_that_takes_no_message_is_given_up_long_before_its_answer() -> None:
    async with serve([deaf, wait], is_http=False) as wire:
        answers, stream = Answers(), StreamOptions(connect_timeout=0.3)
        async with running(wire.url, answers, stream=stream) as (outbox, _):
            outbox.send(large_post(wire.url))
            (answer,) = await answers.reach(1)
    assert (answer.status, answer.is_sent) == (None, True)
    assert answer.reason == (
        f"127.0.0.1:{wire.port} did not take the whole message within 0.3 s (--connect-timeout)"
    )


async def test_an_answer_that_comes_before_all_is_sent_has_all_the_time_of_answers() -> None:
    gate, answers, stream = asyncio.Event(), Answers(), StreamOptions(connect_timeout=0.3)
    script: Script = [deaf, EVENT_STREAM, b"data: 1\n\n", until(gate), b"data: 2\n\n", close]
    async with (
        serve(script, is_http=False) as wire,
        serve([deaf, wait], is_http=False) as other,
        running(wire.url, answers, stream=stream) as (outbox, _),
        running(other.url, others := Answers(), stream=stream) as (another, _),
    ):
        outbox.send(large_post(wire.url))
        await answers.reach(2)
        another.send(large_post(other.url))
        await others.reach(1)  # the time for sending is over for both
        gate.set()
        await answers.reach(3)
    assert answers.items[:3] == [OPEN, frame("1"), frame("2")]


async def test_an_answer_may_take_longer_than_a_connection() -> None:
    gate, stream, answers = asyncio.Event(), StreamOptions(connect_timeout=0.1), Answers()
    script: Script = [until(gate), EVENT_STREAM, b"data: 1\n\n", close]
    async with serve(script) as wire, running(wire.url, answers, stream=stream) as (outbox, _):
        outbox.send(free_post(wire.url))
        outbox.get(get(wire.url.replace("/sse", "/other"), "2"))
        await answers.reach(1)  # the wish for a stream, which has no more than that time
        gate.set()
        await answers.ended()
    assert [item.id for item in answers.answered] == ["2", "1"]
    assert answers.answered[0].reason.endswith("within 0.1 s (--connect-timeout)")
    assert answers.of("1") == [OPEN, frame("1"), ended()]


@pytest.mark.parametrize(
    ("options", "seconds", "told"),
    [(SHORT, None, "0.3 s (--post-timeout)"), (None, 0.2, "0.2 s"), (SHORT, 0.1, "0.1 s")],
)
async def test_a_deadline_is_that_of_the_message_or_else_of_the_settings(
    options: PostOptions | None, seconds: float | None, told: str
) -> None:
    answers = Answers()
    async with serve([hold]) as wire, running(wire.url, answers, options) as (outbox, _):
        outbox.send(free_post(wire.url, seconds=seconds))
        (answer,) = await answers.reach(1)
        await wire.all_gone()
    assert answer.reason == f"no answer came from 127.0.0.1:{wire.port} within {told}"
    assert (answer.status, answer.is_sent) == (None, True)


async def test_a_deadline_is_to_the_end_of_the_stream_and_says_where_it_was() -> None:
    answers = Answers()
    script: Script = [EVENT_STREAM, b"retry: 9\nid: 7\ndata: 1\n\n", hold]
    async with serve(script) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(free_post(wire.url, seconds=0.2))
        end = await answers.ended()
        await wire.all_gone()
    assert end == ended(
        f"the answer of 127.0.0.1:{wire.port} did not end within 0.2 s",
        last_event_id="7",
        retry_ms=9,
    )


async def drip(peer: Peer) -> None:
    while True:  # until the client is gone
        await peer.send(b":\n")
        await asyncio.sleep(0.01)  # the pace of the server; the test waits for no such thing


async def test_a_slow_drip_does_not_put_off_the_deadline() -> None:
    items = await said_of(EVENT_STREAM, drip, options=SHORT)
    assert "did not end within 0.3 s (--post-timeout)" in items[-1].reason


async def test_a_stream_that_was_asked_for_has_no_deadline() -> None:
    gate, answers = asyncio.Event(), Answers()
    script: Script = [EVENT_STREAM, b"data: 1\n\n", until(gate), b"data: 2\n\n", close]
    stream = StreamOptions(connect_timeout=0.2)
    async with (
        serve(script, [hold]) as wire,
        running(wire.url, answers, PostOptions(post_timeout=0.2), stream=stream) as (outbox, _),
    ):
        outbox.get(get(wire.url))
        await answers.reach(2)
        outbox.send(free_post(wire.url, "2"))
        await answers.reach(3)  # the other one's time is over, and so would be its own
        gate.set()
        await answers.ended()
    assert answers.of("1") == [OPEN, frame("1"), frame("2"), ended()]


@pytest.mark.parametrize(("end", "words"), [(hold, "did not end in time"), (close, "broke off")])
async def test_a_reply_that_is_lost_on_the_way_is_no_answer(
    end: Callable[[Peer], Awaitable[None]], words: str
) -> None:
    (answer,) = await said_of(JSON_HEAD % b"200 OK", end, options=SHORT)
    assert (answer.status, answer.body, answer.is_sent) == (None, "", True)
    assert words in answer.reason


async def test_a_refusal_keeps_its_status_though_its_body_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.shell.http_answers._PATIENCE", 0.2)
    (answer,) = await said_of(JSON_HEAD % b"404 Gone", hold)
    assert (answer.status, answer.body) == (404, "{")
    assert "did not end in time" in answer.reason


# --- sizes ------------------------------------------------------------------------------------


async def test_an_event_that_is_too_large_ends_the_answer() -> None:
    async def flood(peer: Peer) -> None:
        while True:
            await peer.send(b"data: " + b"x" * 1000 + b"\n")

    stream = StreamOptions(max_event_bytes=20_000)
    items = await said_of(EVENT_STREAM, b"data: 1\n\n", flood, stream=stream)
    assert items[:2] == [OPEN, frame("1")]
    assert "--max-event-bytes" in items[2].reason


def zipped(body: bytes, content_type: str) -> bytes:
    small = gzip.compress(body)
    return reply("200 OK", small, content_type=content_type, content_encoding="gzip")


@pytest.mark.parametrize("content_type", [JSON, "text/event-stream", "text/html"])
async def test_a_body_that_unpacks_to_gigabytes_stops_at_the_limit(content_type: str) -> None:
    bomb = zipped(b"data: " + b"x" * 200_000_000, content_type)
    assert len(bomb) < 300_000
    options, stream = PostOptions(max_body_bytes=100_000), StreamOptions(max_event_bytes=100_000)
    tracemalloc.start()
    try:
        items = await said_of(bomb, options=options, stream=stream)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000
    match content_type:
        case "application/json":
            assert (items[0].status, items[0].body) == (None, "")
            assert items[0].reason == "the answer is larger than 100000 bytes (--max-body-bytes)"
        case "text/event-stream":
            assert "100,000 bytes" in items[1].reason
        case _:
            assert (items[0].status, len(items[0].body)) == (200, 2000)


async def test_a_stream_that_a_server_compresses_all_the_same_is_read() -> None:
    items = await said_of(zipped(b"data: 1\n\n", "text/event-stream"))
    assert items == [OPEN, frame("1"), ended()]


# --- many at a time ---------------------------------------------------------------------------


async def test_messages_do_not_wait_for_each_other() -> None:
    gate = asyncio.Event()
    answers = Answers()
    async with (
        serve([until(gate), ACCEPTED], [EVENT_STREAM, hold], [ACCEPTED]) as wire,
        running(wire.url, answers) as (outbox, _),
    ):
        outbox.send(free_post(wire.url, "slow"))
        await wire.got(1)
        outbox.get(get(wire.url, "stream"))
        await answers.reach(1)
        outbox.send(free_post(wire.url, "quick"))
        outbox.send(post(wire.url, "in order"))
        await answers.reach(3)
        gate.set()
        await answers.reach(4)
    assert answers.ids[0] == "stream"
    assert set(answers.ids[1:3]) == {"quick", "in order"}
    assert answers.ids[3] == "slow"


async def test_more_than_the_most_at_a_time_are_not_sent() -> None:
    answers = Answers()
    async with (
        serve([EVENT_STREAM, hold], [hold]) as wire,
        running(wire.url, answers, most=2) as (outbox, _),
    ):
        outbox.get(get(wire.url, "1"))
        await answers.reach(1)
        outbox.send(free_post(wire.url, "2"))
        await wire.got(2)
        outbox.send(free_post(wire.url, "3"))
        outbox.get(get(wire.url, "4"))
        refused = (await answers.reach(3))[1:]
        outbox.cut("1")
        outbox.cut("2")
        await answers.reach(4)
        await wire.all_gone()
        outbox.send(free_post(wire.url, "5"))
        await wire.got(3)
    assert refused == [
        PostAnswered(
            server="fs", id=id_, reason="not sent: 2 messages are under way", is_sent=False
        )
        for id_ in ("3", "4")
    ]


async def test_two_of_the_same_name_are_both_answered_and_both_cut() -> None:
    answers = Answers()
    async with serve([hold]) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(free_post(wire.url, "same"))
        outbox.send(free_post(wire.url, "same"))
        await wire.got(2)
        outbox.cut("same")
        await answers.reach(2)
        await wire.all_gone()
    assert answers.ids == ["same", "same"]


async def test_no_more_is_read_while_there_is_no_room_and_that_time_does_not_count() -> None:
    gate, answers = asyncio.Event(), Answers()
    waits = asyncio.Event()

    async def room() -> None:
        waits.set()
        await gate.wait()

    part = b"data: " + b"x" * 990 + b"\n\n"
    size = 8000  # of these: 8 MB, which no buffer on the way holds

    async def flood(peer: Peer) -> None:
        for _ in range(size):
            await peer.send(part)
        peer.writer.close()

    async with (
        serve([EVENT_STREAM, flood], [hold]) as wire,
        running(wire.url, answers, SHORT, room=room) as (outbox, _),
    ):
        outbox.send(free_post(wire.url))
        async with asyncio.timeout(10):
            await waits.wait()
        outbox.send(free_post(wire.url, "2"))
        async with asyncio.timeout(10):
            while not answers.of("2"):
                await answers.reach(len(answers.items) + 1)
        held_back = len(answers.of("1"))
        gate.set()
        await answers.ended()
    assert held_back < size / 2
    assert len(answers.of("1")) == size + 2
    assert answers.of("1")[-1] == ended()


# --- cut, dropped, closed -----------------------------------------------------------------------


async def test_an_open_answer_that_is_cut_ends_without_a_word() -> None:
    answers = Answers()
    async with (
        serve([EVENT_STREAM, b"data: 1\n\n", hold]) as wire,
        running(wire.url, answers) as (outbox, _),
    ):
        outbox.send(free_post(wire.url))
        await answers.reach(2)
        outbox.cut("1")
        outbox.cut("nosuch")
        await wire.all_gone()
        outbox.cut("1")
    assert answers.items == [OPEN, frame("1")]


async def test_one_that_is_cut_before_its_answer_is_answered_so() -> None:
    answers = Answers()
    async with serve([hold]) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(free_post(wire.url))
        await wire.got(1)
        outbox.cut("1")
        assert await answers.reach(1) == [
            PostAnswered(server="fs", id="1", reason="cut off by us", is_sent=True)
        ]
        await wire.all_gone()
        outbox.send(free_post(wire.url, "2"))
        outbox.cut("2")
        assert (await answers.reach(2))[1] == PostAnswered(
            server="fs", id="2", reason="cut off by us", is_sent=False
        )


async def test_a_drop_closes_all_that_goes_side_by_side_and_nothing_else() -> None:
    gate, answers = asyncio.Event(), Answers()
    async with (
        serve(
            [EVENT_STREAM, b"data: 1\n\n", hold], [until(gate), ACCEPTED], [hold], [ACCEPTED]
        ) as wire,
        running(wire.url, answers) as (outbox, _),
    ):
        outbox.get(get(wire.url))
        await answers.reach(2)
        outbox.send(post(wire.url, "in order"))
        await wire.got(2)
        outbox.send(free_post(wire.url, "waits"))
        await wire.got(3)
        outbox.drop()
        await answers.reach(3)
        gate.set()
        await answers.reach(4)
        outbox.send(free_post(wire.url, "later"))
        await answers.reach(5)
    assert answers.of("1") == [OPEN, frame("1")]
    (waited,) = answers.of("waits")
    assert waited == PostAnswered(
        server="fs", id="waits", reason="the connection to the server was given up"
    )
    assert [(i.id, i.status) for i in answers.answered[2:]] == [("in order", 202), ("later", 202)]


async def test_a_closed_outbox_takes_no_more_and_ends_with_the_last_answer() -> None:
    gate, answers = asyncio.Event(), Answers()
    async with (
        serve([EVENT_STREAM, until(gate), b"data: 1\n\n", close]) as wire,
        running(wire.url, answers) as (outbox, task),
    ):
        outbox.send(free_post(wire.url))
        await answers.reach(1)
        outbox.close()
        outbox.send(free_post(wire.url, "2"))
        outbox.get(get(wire.url, "3"))
        gate.set()
        async with asyncio.timeout(10):
            await task
    assert answers.of("1") == [OPEN, frame("1"), ended()]
    for id_ in ("2", "3"):
        (late,) = answers.of(id_)
        assert (late.is_sent, late.reason) == (
            False,
            "not sent: the connection to the server is closed",
        )


async def test_what_is_sent_before_anybody_runs_the_outbox_waits_for_that() -> None:
    answers = Answers()
    async with serve([ACCEPTED]) as wire, running(wire.url, answers) as (outbox, _):
        outbox.send(free_post(wire.url, "1"))
        outbox.send(post(wire.url, "2"))
        assert answers.items == []
        await answers.reach(2)
    assert {item.status for item in answers.items} == {202}
