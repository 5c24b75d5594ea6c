"""Whatever a server does, and whenever we stop: one `PostAnswered`, and one end of what is open.

Each kind of message meets each script of a server, and is left alone, cut, dropped, or ended with
the run after so many turns of the loop: among them the turns at which each `await` stands.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from config.options import PostOptions, StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.events import AnswerEnded, FrameReceived, PostAnswered
from pipeline.shell.http_post import Outbox
from tests.support.outbox import Answers, free_post, get, post, running
from tests.support.wire import EVENT_STREAM, Peer, Script, close, hold, reply, rst, serve

JSON = "application/json"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n"


async def drip(peer: Peer) -> None:
    for byte in b"data: 1\n\n" * 3:
        await peer.send(bytes((byte,)))
        await asyncio.sleep(0)
    peer.writer.close()


SCRIPTS: dict[str, Script] = {
    "reset before the headers": [rst],
    "end before the headers": [close],
    "reset in the headers": [b"HTTP/1.1 200 OK\r\nContent-", rst],
    "no HTTP": [b"SSH-2.0-OpenSSH_9.2\r\n", close],
    "reset after the headers of a stream": [CHUNKED, rst],
    "reset in mid event": [CHUNKED, b"9\r\ndata: 1\n\n\r\n6\r\ndata: \r\n", rst],
    "end in mid event": [CHUNKED, b"9\r\ndata: 1\n\n\r\n6\r\ndata: \r\n", close],
    "a stream of two": [EVENT_STREAM, b"id: 1\ndata: 1\n\n", b"data: 2\n\n", close],
    "a stream in one-byte chunks": [EVENT_STREAM, drip],
    "a stream that stays open": [EVENT_STREAM, b"data: 1\n\n", hold],
    "an empty stream": [EVENT_STREAM, close],
    "silence": [hold],
    "JSON": [reply("200 OK", b"{}", content_type=JSON)],
    "JSON that ends early": [JSON_HEAD, b"{", close],
    "JSON that is reset": [JSON_HEAD, b"{", rst],
    "JSON that hangs": [JSON_HEAD, b"{", hold],
    "the wrong content type": [reply("200 OK", b"<html>", content_type="text/html")],
    "202 with a body": [reply("202 Accepted", b"Accepted", content_type="text/plain")],
    "204": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "401": [reply("401 No", b"no", content_type="text/plain")],
    "500 that hangs": [b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n", hold],
    "a redirect to itself": [reply("307 Moved", location="/sse")],
    "a redirect to elsewhere": [reply("307 Moved", location="http://localhost:1/")],
    "a bad encoding": [reply("200 OK", b"no", content_type=JSON, content_encoding="gzip")],
}
SHORT = PostOptions(post_timeout=0.15)
STREAM = StreamOptions(connect_timeout=0.15)
ASKS: dict[str, Callable[[str], Post | Get]] = {"post": free_post, "ordered": post, "get": get}


def stop_run(_: Outbox, task: "asyncio.Task[None]") -> None:
    task.cancel()


STOPS: dict[str, Callable[[Outbox, "asyncio.Task[None]"], Any]] = {
    "cut": lambda outbox, _: outbox.cut("1"),
    "drop": lambda outbox, _: outbox.drop(),
    "run": stop_run,
}


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    for module in ("http_answers", "http_credentials", "http_farewell"):
        monkeypatch.setattr(f"pipeline.shell.{module}._PATIENCE", 0.1)


def check(said: list[Any], *, is_stopped: bool) -> None:
    first, *rest = said
    assert isinstance(first, PostAnswered)
    assert first.status is not None or first.reason
    if not first.is_open:
        assert rest == []
        return
    ends = [item for item in rest if isinstance(item, AnswerEnded)]
    assert all(isinstance(item, FrameReceived) for item in rest[: len(rest) - len(ends)])
    assert len(ends) <= 1 if is_stopped else len(ends) == 1


async def is_over(answers: Answers) -> None:
    """All has been said, if nobody stops it."""
    await answers.reach(1)
    if answers.items[0].is_open:
        await answers.ended()


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("script", SCRIPTS)
async def test_each_message_is_answered_once_whatever_the_server_does(
    script: str, ask: str
) -> None:
    before, answers = asyncio.all_tasks(), Answers()
    is_endless = (script, ask) == ("a stream that stays open", "get")
    async with serve(SCRIPTS[script]) as wire:
        async with running(wire.url, answers, SHORT, stream=STREAM) as (outbox, _):
            asked = ASKS[ask](wire.url)
            outbox.get(asked) if isinstance(asked, Get) else outbox.send(asked)
            await (answers.reach(2) if is_endless else is_over(answers))
        await wire.all_gone()
        assert asyncio.all_tasks() == before
    check(answers.items, is_stopped=is_endless)


TURNS = (*range(24), 30, 45, 70)


@pytest.mark.parametrize(
    ("ask", "stop"),
    # A message that keeps its order has a deadline of its own, which a drop leaves to it.
    [(ask, stop) for ask in ASKS for stop in STOPS if (ask, stop) != ("ordered", "drop")],
)
@pytest.mark.parametrize(
    "script",
    ["a stream in one-byte chunks", "a stream that stays open", "JSON that hangs", "401", "JSON"],
)
async def test_each_message_is_answered_once_whenever_it_is_stopped(
    script: str, ask: str, stop: str
) -> None:
    before = asyncio.all_tasks()
    async with serve(SCRIPTS[script]) as wire:
        for turns in TURNS:
            answers = Answers()
            async with running(wire.url, answers, SHORT, stream=STREAM) as (outbox, task):
                asked = ASKS[ask](wire.url)
                outbox.get(asked) if isinstance(asked, Get) else outbox.send(asked)
                for _ in range(turns + (stop == "run")):  # a run that never began owns nothing
                    await asyncio.sleep(0)
                STOPS[stop](outbox, task)
                told = len(answers.items)
                await (asyncio.wait([task]) if stop == "run" else answers.reach(1))
            check(answers.items, is_stopped=True)
            if stop != "run":  # an answer if it had none, and no more
                assert len(answers.items) == max(told, 1)
        await wire.all_gone()
        assert asyncio.all_tasks() == before
