"""The link of a server and what sends to it, put together as a run does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from config.options import MailboxOptions
from config.settings import Settings
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    Input,
    PostAnswered,
    SignInEnded,
    SignInStarted,
    StreamLost,
    StreamOpened,
)
from pipeline.links import Links
from pipeline.mailbox import Mailbox
from pipeline.shell.authorizer import Authorizer, NoAuthorizer
from pipeline.shell.http import make_post_session, make_stream_session
from pipeline.shell.streams import Streams
from pipeline.shell.targets import make_target
from tests.support.outbox import free_post, get
from tests.support.wire import EVENT_STREAM, close, hold, reply, serve

OPENED = StreamOpened(server="fs")
ACCEPTED = reply("202 Accepted")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@dataclass
class World:
    """A run without a core: the test gives the commands, and reads what comes in."""

    links: Links
    streams: Streams
    inbox: Mailbox[Input]
    seen: list[Input] = field(default_factory=list)

    async def next(self) -> Input | None:
        async with asyncio.timeout(10):
            item = await self.inbox.take()
        if item is not None:
            self.seen.append(item)
        return item

    async def until(self, kind: type[Any]) -> Any:
        while not isinstance(item := await self.next(), kind):
            pass
        return item


@contextlib.asynccontextmanager
async def world(
    url: str, authorizer: Authorizer | None = None, **settings: Any
) -> AsyncIterator[World]:
    inbox: Mailbox[Input] = Mailbox(MailboxOptions())
    target = replace(make_target("fs", url), authorizer=authorizer or NoAuthorizer())
    async with (
        make_stream_session() as stream_http,
        make_post_session() as post_http,
        asyncio.TaskGroup() as group,
    ):
        made = Links(
            [target],
            Settings(**settings),
            inbox,
            stream_http=stream_http,
            post_http=post_http,
        )
        streams = Streams(made.make, put=inbox.put, room=inbox.room)
        streams.start(group.create_task)
        sending = group.create_task(made.senders["fs"].run())
        try:
            yield World(made, streams, inbox)
        finally:
            streams.dispose_all()
            sending.cancel()


async def test_an_http_link_is_open_without_a_connection_and_closes_what_is_open_when_lost() -> (
    None
):
    script = [EVENT_STREAM, b"data: 1\n\n", hold]
    async with serve(script, [hold], [ACCEPTED]) as wire, world(wire.url) as run:
        run.streams.open("fs", "http")
        assert await run.next() == OPENED
        assert wire.accepted == 0
        sender = run.links.senders["fs"]
        sender.get(get(wire.url, "own"))
        await run.until(FrameReceived)
        sender.send(free_post(wire.url, "call"))
        await wire.got(2)
        run.streams.reconnect("fs", "start over")
        lost = await run.next()
        waited = await run.next()
        await wire.all_gone()
        assert await run.next() == OPENED
        sender.send(free_post(wire.url, "later"))
        later = await run.next()
    assert isinstance(lost, StreamLost)
    assert (lost.reason, lost.attempt, lost.status) == ("start over", 1, None)
    assert lost.retry_in is not None
    assert waited == PostAnswered(
        server="fs", id="call", reason="the connection to the server was given up"
    )
    assert later == PostAnswered(server="fs", id="later", status=202)
    assert not any(isinstance(item, AnswerEnded) for item in run.seen)


@pytest.mark.parametrize("how", ["close", "replace", "dispose"])
async def test_however_an_http_link_ends_nothing_stays_open(how: str) -> None:
    async with (
        serve([EVENT_STREAM, hold], [reply("404 No"), close]) as wire,
        world(wire.url) as run,
    ):
        run.streams.open("fs", "http")
        run.links.senders["fs"].get(get(wire.url))
        await run.until(PostAnswered)
        match how:
            case "close":
                run.streams.close("fs", "enough")
            case "replace":
                run.streams.open("fs", "sse")
            case _:
                run.streams.dispose_all()
        await wire.all_gone()
        lost = None if how == "dispose" else await run.next()
    expected = {"close": "enough", "replace": "HTTP 404: there is nothing at this address"}
    if isinstance(lost, StreamLost):
        assert lost.reason.startswith(expected[how])
    assert not any(isinstance(item, AnswerEnded) for item in run.seen)


async def test_a_link_waits_as_long_as_a_refused_message_was_asked_to() -> None:
    async with serve([reply("503 Down", retry_after="77")]) as wire, world(wire.url) as run:
        run.streams.open("fs", "http")
        run.links.senders["fs"].send(free_post(wire.url))
        await run.until(PostAnswered)
        run.streams.reconnect("fs", "HTTP 503")
        lost = await run.until(StreamLost)
    assert lost.retry_in == pytest.approx(77, abs=5)


async def test_only_a_success_gives_a_link_more_attempts() -> None:
    patience = {"retry_first_attempts": 1, "retry_attempts": 3, "retry_healthy_after": 0.0}
    patience |= {"retry_first_delay": 0.001, "retry_max_delay": 0.001}
    for answer, attempts in ((reply("500 No"), 2), (ACCEPTED, 4)):
        async with serve([answer]) as wire, world(wire.url, **patience) as run:
            run.streams.open("fs", "http")
            await run.until(StreamOpened)
            run.links.senders["fs"].send(free_post(wire.url))
            await run.until(PostAnswered)
            lost = StreamLost(server="fs", reason="", retry_in=0.0)
            while lost.retry_in is not None:
                run.streams.reconnect("fs", "kicked")
                lost = await run.until(StreamLost)
                if lost.retry_in is not None:
                    await run.until(StreamOpened)
        assert lost.attempt == attempts


class Browser(NoAuthorizer):
    """A person who takes as long as the test wants."""

    def __init__(self) -> None:
        self.has_signed_in = asyncio.Event()

    async def refused(self, *_: Any) -> bool:
        await self.has_signed_in.wait()
        return True


async def test_a_stream_does_not_count_as_silent_while_a_person_signs_in() -> None:
    browser = Browser()
    async with (
        serve([reply("401 No")], [EVENT_STREAM, hold]) as wire,
        serve([EVENT_STREAM, hold]) as other,
        world(other.url, silence=0.2) as impatient,
        world(wire.url, browser, silence=0.2) as run,
    ):
        run.streams.open("fs", "sse")
        assert await run.next() == SignInStarted(server="fs")
        impatient.streams.open("fs", "sse")
        await impatient.until(StreamLost)  # so much silence is too much for others
        browser.has_signed_in.set()
        assert [await run.next(), await run.next()] == [SignInEnded(server="fs"), OPENED]
