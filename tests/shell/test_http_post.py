import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from config.options import MailboxOptions, PostOptions
from pipeline.core.events import PostAnswered
from pipeline.shell.http import make_post_session
from tests.support.outbox import KEY, Answers, Said, make_outbox, post, running
from tests.support.ports import free_port
from tests.support.wire import (
    EVENT_STREAM,
    Peer,
    Script,
    Wire,
    close,
    hold,
    reply,
    rst,
    serve,
    until,
)

ACCEPTED = reply("202 Accepted", b"Accepted", content_type="text/plain")
SHORT = PostOptions(post_timeout=0.3)
JSON = "application/json"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


async def answer_of(
    wire: Wire, options: PostOptions | None = None, **message: object
) -> PostAnswered:
    """The one answer to one message."""
    answers = Answers()
    async with running(wire.url, answers, options) as (outbox, _):
        outbox.send(post(wire.url, **message))
        await answers.reach(1)
    assert len(answers.items) == 1
    assert KEY not in answers.items[0].reason
    return answers.items[0]


async def answer_to(
    *script: bytes | Callable[[Peer], Awaitable[None]], options: PostOptions | None = None
) -> PostAnswered:
    async with serve(script) as wire:
        return await answer_of(wire, options)


# --- an answer --------------------------------------------------------------------------------


async def test_a_message_goes_as_json_with_the_credentials() -> None:
    async with serve([ACCEPTED]) as wire:
        answer = await answer_of(wire, method="ping", text="é\n")
    assert answer == PostAnswered(server="fs", id="1", status=202, body="Accepted")
    (request,) = wire.requests
    assert (request.method, request.target) == ("POST", "/sse")
    assert json.loads(request.body) == {"method": "ping", "text": "é\n"}
    assert request.headers["content-type"] == JSON
    assert request.headers["accept"] == "application/json, text/event-stream"
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "content_type", [JSON, "application/json; charset=utf-8", "Application/Problem+JSON"]
)
async def test_a_json_body_is_kept_whole(content_type: str) -> None:
    body = json.dumps({"result": "é" * 100_000}, ensure_ascii=False)
    answer = await answer_to(reply("200 OK", body.encode(), content_type=content_type))
    assert (answer.status, answer.body, answer.reason) == (200, body, "")


@pytest.mark.parametrize("status", [200, 202, 500])
async def test_another_body_is_cut_to_an_excerpt(status: int) -> None:
    body = "<h1>Störung</h1>" + "ü" * 9_000
    answer = await answer_to(reply(f"{status} X", body.encode(), content_type="text/html"))
    assert (answer.status, answer.reason) == (status, "")
    assert answer.body == body[:2000]


async def test_an_empty_answer_is_an_answer() -> None:
    answer = await answer_to(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert (answer.status, answer.body, answer.reason) == (204, "", "")


@pytest.mark.parametrize("status", ["400 Bad", "401 No", "404 Gone", "429 Busy", "500 Oops"])
async def test_an_error_is_an_answer_with_its_body(status: str) -> None:
    answer = await answer_to(reply(status, b'{"error":1}', content_type=JSON))
    assert (answer.status, answer.body) == (int(status[:3]), '{"error":1}')


async def test_a_key_that_the_server_quotes_is_not_repeated() -> None:
    body = json.dumps({"error": f"bad key {KEY}"}).encode()
    answer = await answer_to(reply("401 No", body, content_type=JSON))
    assert json.loads(answer.body) == {"error": "bad key «secret»"}


async def test_invalid_utf8_in_a_body_is_replaced() -> None:
    answer = await answer_to(reply("200 OK", b'"\xff"', content_type=JSON))
    assert answer.body == '"\ufffd"'


async def test_an_event_stream_that_stays_open_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.shell.http_answers._PATIENCE", 0.2)
    async with serve([EVENT_STREAM, b"data: 1\n\n", hold]) as wire:
        answer = await answer_of(wire)
        await wire.all_gone()
    assert (answer.status, answer.body) == (200, "data: 1\n\n")
    assert answer.reason == f"the answer of 127.0.0.1:{wire.port} did not end in time"


# --- a body that does not come ----------------------------------------------------------------

JSON_HEAD = b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"


@pytest.mark.parametrize(("end", "words"), [(hold, "did not end in time"), (close, "broke off")])
async def test_a_reply_that_is_lost_on_the_way_is_no_answer(
    end: Callable[[Peer], Awaitable[None]], words: str
) -> None:
    answer = await answer_to(JSON_HEAD % b"200 OK", end, options=SHORT)
    assert (answer.status, answer.body, answer.is_sent) == (None, "", True)
    assert words in answer.reason


@pytest.mark.parametrize("status", [b"202 Accepted", b"500 Oops"])
async def test_a_body_that_nobody_needs_may_be_lost(
    status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.shell.http_answers._PATIENCE", 0.2)
    answer = await answer_to(JSON_HEAD % status, hold)
    assert (answer.status, answer.body) == (int(status[:3]), "{")
    assert "did not end in time" in answer.reason


async def flood(peer: Peer) -> None:
    while True:
        await peer.send(b" " * 4096)


async def test_a_reply_that_is_too_large_is_no_answer_and_is_not_read_on() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"
    async with serve([head, flood]) as wire:
        answer = await answer_of(wire, PostOptions(max_body_bytes=20_000))
        await wire.all_gone()
    assert (answer.status, answer.body, answer.is_sent) == (None, "", True)
    assert answer.reason == "the answer is larger than 20000 bytes (--max-body-bytes)"


async def test_a_body_of_just_the_largest_size_is_kept() -> None:
    body = b'"' + b"x" * 1022 + b'"'
    options = PostOptions(max_body_bytes=1024)
    answer = await answer_to(reply("200 OK", body, content_type=JSON), options=options)
    assert answer.body == body.decode()
    answer = await answer_to(reply("200 OK", body + b" ", content_type=JSON), options=options)
    assert answer.status is None


async def test_a_large_error_is_cut_and_keeps_its_status() -> None:
    head = b"HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\n\r\n"
    answer = await answer_to(head, flood, options=PostOptions(max_body_bytes=20_000))
    assert (answer.status, answer.body) == (500, " " * 2000)
    assert "larger than 20000 bytes" in answer.reason


# --- no answer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "words"),
    [("127.0.0.1", "connection refused by"), ("nosuch.invalid", "no address found")],
)
async def test_a_server_that_is_not_there_has_been_sent_nothing(host: str, words: str) -> None:
    url = f"http://{host}:{free_port()}/m"
    answers = Answers()
    async with running(url, answers) as (outbox, _):
        outbox.send(post(url))
        (answer,) = await answers.reach(1)
    assert (answer.status, answer.is_sent) == (None, False)
    assert answer.reason.startswith(words)


async def test_a_connection_that_never_comes_has_been_sent_nothing() -> None:
    async with serve([hold], is_http=False) as wire:
        url = wire.url.replace("http:", "https:")
        answers = Answers()
        async with running(url, answers, SHORT) as (outbox, _):
            outbox.send(post(url))
            (answer,) = await answers.reach(1)
    assert answer.is_sent is False
    assert answer.reason == (
        f"no connection to 127.0.0.1:{wire.port} within 0.3 s (--post-timeout)"
    )


async def test_a_server_that_never_answers_may_have_it() -> None:
    async with serve([hold]) as wire:
        answer = await answer_of(wire, SHORT)
        await wire.all_gone()
    assert (answer.status, answer.is_sent) == (None, True)
    assert answer.reason == (
        f"no answer came from 127.0.0.1:{wire.port} within 0.3 s (--post-timeout)"
    )


@pytest.mark.parametrize(
    ("end", "words"), [(close, "closed the connection without"), (rst, "connection reset by")]
)
async def test_a_server_that_hangs_up_may_have_it(
    end: Callable[[Peer], Awaitable[None]], words: str
) -> None:
    answer = await answer_to(end)
    assert (answer.status, answer.is_sent) == (None, True)
    assert words in answer.reason


@pytest.mark.parametrize("end", [close, rst])
async def test_a_message_is_never_sent_twice(end: Callable[[Peer], Awaitable[None]]) -> None:
    """Not even over a connection that was good for the message before."""
    async with serve([ACCEPTED], [end], [ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(post(wire.url, "1"))
            await answers.reach(1)
            outbox.send(post(wire.url, "2"))
            await answers.reach(2)
    assert [item.status for item in answers.items] == [202, None]
    assert len(wire.requests) == 2


async def test_a_message_that_is_no_json_is_not_sent() -> None:
    async with serve([ACCEPTED]) as wire:
        for bad in ("\ud800", object()):
            answer = await answer_of(wire, text=bad)
            assert (answer.status, answer.is_sent) == (None, False)
            assert answer.reason.startswith("not sent: ")
        assert wire.accepted == 0


# --- where credentials may go -----------------------------------------------------------------


async def test_a_message_for_another_origin_is_not_sent() -> None:
    async with serve([ACCEPTED]) as wire, serve([ACCEPTED]) as other:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(post(other.url, "1"))
            outbox.send(post(wire.url.replace("127.0.0.1", "localhost"), "2"))
            outbox.send(post(wire.url.replace("http:", "https:"), "3"))
            outbox.send(post("/messages", "4"))
            await answers.reach(4)
        assert (wire.accepted, other.accepted) == (0, 0)
    assert answers.ids == ["1", "2", "3", "4"]
    assert not any(item.is_sent or item.status for item in answers.items)
    assert f"not sent: found a message for http://127.0.0.1:{other.port}, expected" in (
        answers.items[0].reason
    )


async def test_a_redirect_to_another_origin_is_no_answer_and_nothing_reaches_it() -> None:
    async with serve([ACCEPTED]) as other:
        answer = await answer_to(reply("307 Moved", location=other.url))
        assert other.accepted == 0
    assert (answer.status, answer.is_sent) == (None, True)
    assert answer.reason.startswith("HTTP 307: redirect 307 from http://127.0.0.1:")


async def test_a_redirect_that_would_lose_the_message_is_no_answer() -> None:
    answer = await answer_to(reply("303 See Other", location="/elsewhere"))
    assert (answer.status, answer.is_sent) == (None, True)


async def test_a_redirect_on_the_same_origin_keeps_the_message() -> None:
    async with serve([reply("308 Moved", location="/new")], [ACCEPTED]) as wire:
        answer = await answer_of(wire, n=1)
    assert answer.status == 202
    assert [(r.target, r.body) for r in wire.requests] == [
        ("/sse", b'{"n":1}'),
        ("/new", b'{"n":1}'),
    ]


# --- order ------------------------------------------------------------------------------------


async def test_the_next_message_waits_for_the_headers_of_the_one_before() -> None:
    gate = asyncio.Event()
    async with serve([until(gate), ACCEPTED], [ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            for n in range(20):
                outbox.send(post(wire.url, str(n), n=n))
            await wire.got(1)
            for _ in range(50):
                await asyncio.sleep(0)
            assert (len(wire.requests), answers.items) == (1, [])
            gate.set()
            await answers.reach(20)
    assert [json.loads(r.body)["n"] for r in wire.requests] == list(range(20))
    assert sorted(answers.ids, key=int) == [str(n) for n in range(20)]


async def test_behind_a_request_the_next_message_leaves_as_soon_as_that_has_left() -> None:
    """How long a server takes to take a request is its own affair: the others do not wait."""
    async with serve([hold], [ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers, patience=3600) as (outbox, _):
            outbox.send(post(wire.url, "hangs", id="1", method="tools/call"))
            outbox.send(post(wire.url, "next", id="2", method="tools/call"))
            await answers.reach(1)
            assert answers.ids == ["next"]
            outbox.cut("hangs")
            hung = (await answers.reach(2))[1]
    assert [json.loads(request.body)["id"] for request in wire.requests] == ["1", "2"]
    assert (hung.id, hung.status, hung.is_sent) == ("hangs", None, True)


async def test_behind_a_request_that_finds_no_connection_the_next_message_does_not_wait_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, first = aiohttp.TCPConnector.connect, asyncio.Event()

    async def connect(self: aiohttp.TCPConnector, *args: Any, **more: Any) -> Any:
        if not first.is_set():
            first.set()
            await asyncio.Event().wait()
        return await real(self, *args, **more)

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", connect)
    async with serve([ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers, patience=0.05) as (outbox, _):
            outbox.send(post(wire.url, "lost", id="1", tool="add"))
            outbox.send(post(wire.url, "next", id="2", tool="add"))
            await answers.reach(1)
            outbox.cut("lost")
            await answers.reach(2)
    assert [(item.id, item.is_sent) for item in answers.items] == [("next", True), ("lost", False)]


@pytest.mark.parametrize("message", [{"method": "notifications/initialized"}, {"id": "1"}])
async def test_what_a_server_is_told_is_there_before_what_comes_next(message: Any) -> None:
    gate = asyncio.Event()
    async with serve([until(gate), ACCEPTED], [ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers, patience=0.0) as (outbox, _):
            outbox.send(post(wire.url, "told", **message))
            outbox.send(post(wire.url, "next", id="2", method="tools/list"))
            await wire.got(1)
            gate.set()
            await answers.reach(2)
    assert answers.ids == ["told", "next"]


@pytest.mark.parametrize(
    ("status", "wish", "seconds"),
    [
        ("503 No", "7", 7.0),
        ("503 No", "9" * 400, 86_400.0),
        ("429 No", None, None),
        ("503 No", "x", None),
        ("200 OK", "7", None),
    ],
)
async def test_the_pause_that_a_refusal_asks_for_is_told(
    status: str, wish: str | None, seconds: float | None
) -> None:
    more = {} if wish is None else {"retry_after": wish}
    assert (await answer_to(reply(status, **more))).retry_after == seconds


async def test_a_slow_body_does_not_hold_up_the_next_message() -> None:
    gate = asyncio.Event()
    slow = [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"]
    async with serve([*slow, until(gate), b"{}"], [ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(post(wire.url, "slow"))
            outbox.send(post(wire.url, "next"))
            await answers.reach(1)
            assert answers.ids == ["next"]
            gate.set()
            await answers.reach(2)
    assert answers.items[1] == PostAnswered(server="fs", id="slow", status=200, body="{}")


async def test_a_message_that_waited_too_long_is_not_sent_any_more() -> None:
    async with serve([hold], [ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers, SHORT) as (outbox, _):
            outbox.send(post(wire.url, "hangs"))
            outbox.send(post(wire.url, "waits"))
            hung, waited = await answers.reach(2)
        assert len(wire.requests) == 1
    assert (hung.id, hung.is_sent) == ("hangs", True)
    assert (waited.id, waited.status, waited.is_sent) == ("waits", None, False)
    assert waited.reason.startswith("not sent: earlier messages to 127.0.0.1:")


async def test_a_full_queue_answers_at_once() -> None:
    queue = MailboxOptions(high=2, low=0)
    async with serve([hold]) as wire:
        answers = Answers()
        async with running(wire.url, answers, SHORT, queue=queue) as (outbox, _):
            for n in range(3):
                outbox.send(post(wire.url, str(n)))
            assert answers.items == [
                PostAnswered(
                    server="fs", id="2", reason="not sent: 2 messages already wait", is_sent=False
                )
            ]
            await answers.reach(3)
    assert sorted(answers.ids) == ["0", "1", "2"]


# --- the end ----------------------------------------------------------------------------------


async def test_closing_answers_what_is_queued_and_finishes_what_is_under_way() -> None:
    gate = asyncio.Event()
    async with serve([until(gate), ACCEPTED]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, task):
            for id_ in ("first", "second", "third"):
                outbox.send(post(wire.url, id_))
            await wire.got(1)
            outbox.close()
            outbox.send(post(wire.url, "late"))
            assert answers.ids == ["second", "third", "late"]
            assert not any(item.is_sent for item in answers.items)
            gate.set()
            async with asyncio.timeout(10):
                await task
    assert answers.items[3] == PostAnswered(server="fs", id="first", status=202, body="Accepted")
    assert len(wire.requests) == 1


BODY_HANGS: Script = [JSON_HEAD % b"200 OK", hold]


@pytest.mark.parametrize(
    ("script", "first"),
    [([hold], "waits for headers"), (BODY_HANGS, "waits for its body")],
    ids=["headers", "body"],
)
async def test_cancelling_answers_each_message_once_and_leaves_nothing(
    script: Script, first: str
) -> None:
    before = asyncio.all_tasks()
    async with serve(script, [hold]) as wire:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, task):
            outbox.send(post(wire.url, first))
            outbox.send(post(wire.url, "second"))
            outbox.send(post(wire.url, "third"))
            await wire.got(2 if script is BODY_HANGS else 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await wire.all_gone()
        is_sent = {item.id: item.is_sent for item in answers.items}
        assert len(answers.items) == 3
    assert is_sent == {first: True, "second": script is BODY_HANGS, "third": False}
    assert all(item.status is None and item.reason for item in answers.items)
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("turns", range(8))
async def test_a_message_that_is_cut_at_any_moment_holds_nobody_up(turns: int) -> None:
    """Among them the one between the making of its task and the task's first step."""
    async with serve([hold]) as wire, serve([ACCEPTED]) as other:
        answers = Answers()
        async with running(wire.url, answers) as (outbox, _):
            outbox.send(post(wire.url, "cut"))
            outbox.send(post(other.url, "of another origin"))  # answered only once its turn comes
            for _ in range(turns):
                await asyncio.sleep(0)
            outbox.cut("cut")
            await answers.reach(2)
    assert answers.ids == ["cut", "of another origin"]
    assert answers.items[0].reason == "cut off by us"


async def test_a_fault_of_ours_is_heard_by_the_owner_and_everything_is_answered() -> None:
    class Faulty(Answers):
        def put(self, item: Said) -> None:
            super().put(item)
            if isinstance(item, PostAnswered) and item.status == 202:
                raise ZeroDivisionError("a bug of ours")

    answers = Faulty()
    async with serve([ACCEPTED], [hold]) as wire, make_post_session() as http:
        outbox = make_outbox(wire.url, http, answers)
        outbox.send(post(wire.url, "1"))
        outbox.send(post(wire.url, "2"))
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.timeout(10):
                await outbox.run()
    assert caught.group_contains(ZeroDivisionError)
    assert answers.ids == ["1", "2"]


async def test_a_session_that_cannot_tell_what_was_sent_is_not_trusted() -> None:
    url = f"http://127.0.0.1:{free_port()}/m"
    answers = Answers()
    async with aiohttp.ClientSession() as http:
        outbox = make_outbox(url, http, answers)
        outbox.send(post(url))
        task = asyncio.ensure_future(outbox.run())
        (answer,) = await answers.reach(1)
        outbox.close()
        await task
    assert answer.is_sent is True


async def test_a_key_in_the_query_of_the_streams_url_goes_along_and_stays_out_of_the_core() -> None:
    answers, secret = Answers(), "k3y-in-the-query"
    async with (
        serve([ACCEPTED]) as server,
        running(f"{server.url}?token={secret}", answers) as (outbox, _),
    ):
        outbox.send(post(server.url))
        (answer,) = await answers.reach(1)
        assert answer.status == 202
        assert server.requests[0].target.endswith(f"?token={secret}")
        assert secret not in repr(answer)
