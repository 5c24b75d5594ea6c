import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
import reactivex
from reactivex import Observable, Subject, abc
from reactivex import operators as rx
from reactivex.disposable import Disposable

from config.options import StreamOptions
from pipeline.core.events import FrameReceived, StreamLost, StreamOpened
from pipeline.shell.http import make_stream_session
from pipeline.shell.http_sse import (
    StreamAlive,
    StreamEndedError,
    StreamItem,
    StreamRefusedError,
)
from pipeline.shell.streams import (
    Make,
    Seams,
    StreamDroppedError,
    Streams,
    Transport,
    announce,
    connection,
    is_fatal,
    is_healthy,
    wish,
)
from pipeline.shell.targets import make_target
from tests.support.wire import EVENT_STREAM, close, hold, reply, serve

OPENED = StreamOpened(server="fs")
FRAME = FrameReceived(server="fs", event="message", data="1")


@dataclass
class Box:
    """What the streams have put so far."""

    items: list[Any] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, item: Any) -> None:
        self.items.append(item)
        self._changed.set()

    async def reach(self, count: int) -> list[Any]:
        async with asyncio.timeout(10):
            while len(self.items) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.items


async def always_room() -> None:
    """Nobody is behind."""


def spawn(coro: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(coro)


class Lines:
    """A `make` whose streams the test itself feeds; counts subscriptions."""

    def __init__(self) -> None:
        self.seams: list[Seams] = []
        self.feeds: list[Subject[Any]] = []
        self.schedulers: list[abc.SchedulerBase | None] = []
        self.disposed: list[str] = []

    def make(
        self, server: str, _transport: Transport, seams: Seams
    ) -> Observable[StreamItem | StreamLost]:
        feed: Subject[Any] = Subject()
        self.seams.append(seams)
        self.feeds.append(feed)

        def subscribe(
            observer: abc.ObserverBase[Any], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            self.schedulers.append(scheduler)
            return feed.subscribe(observer, scheduler=scheduler)

        return Observable(subscribe).pipe(rx.finally_action(lambda: self.disposed.append(server)))


def streams(make: Make, box: Box) -> Streams:
    made = Streams(make, put=box.put, room=always_room)
    made.start(spawn)
    return made


# --- what a retry needs to know ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("exc", "fatal", "asked"),
    [
        (StreamRefusedError("no", status=401, is_fatal=True), True, None),
        (StreamRefusedError("busy", status=503, retry_after=7.0), False, 7.0),
        (StreamEndedError("over", retry_after=0.0), False, 0.0),
        (StreamDroppedError("no `endpoint` came"), False, None),
        (ConnectionError("silent"), False, None),
        (TypeError("a bug of ours"), True, None),
    ],
)
def test_a_failure_says_whether_and_when_to_come_back(
    exc: Exception, fatal: bool, asked: float | None
) -> None:
    assert (is_fatal(exc), wish(exc)) == (fatal, asked)


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (
            StreamRefusedError("busy", status=503),
            StreamLost(server="fs", reason="busy", retry_in=1.5, attempt=2, status=503),
        ),
        (
            ConnectionError("silent for 45 s"),
            StreamLost(server="fs", reason="silent for 45 s", retry_in=1.5, attempt=2),
        ),
        (
            ConnectionResetError(),
            StreamLost(server="fs", reason="ConnectionResetError", retry_in=1.5, attempt=2),
        ),
        (
            KeyError("x"),
            StreamLost(server="fs", reason="KeyError: 'x'", retry_in=1.5, attempt=2),
        ),
    ],
)
def test_a_failure_is_told_in_its_words(exc: Exception, expected: StreamLost) -> None:
    assert announce("fs")(exc, 1.5, 2) == expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (OPENED, False),
        (StreamAlive("fs"), False),
        (FrameReceived(server="fs", event="endpoint", data="/m"), False),
        (FRAME, True),
    ],
)
def test_only_a_frame_that_is_no_endpoint_proves_health(item: StreamItem, expected: bool) -> None:
    assert is_healthy(item) is expected


# --- commands ---------------------------------------------------------------------------------


async def test_open_subscribes_once_with_a_scheduler_and_passes_items_on() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs")
    made.open("fs")
    assert len(lines.feeds) == 1
    assert lines.schedulers[0] is not None
    for item in (OPENED, StreamAlive("fs"), FRAME):
        lines.feeds[0].on_next(item)
    assert box.items == [OPENED, FRAME]


async def test_each_server_has_its_own_stream() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs")
    made.open("web")
    made.close("fs", "enough")
    lines.feeds[0].on_next(FRAME)
    lines.feeds[1].on_next(StreamOpened(server="web"))
    assert box.items == [StreamLost(server="fs", reason="enough"), StreamOpened(server="web")]


async def test_another_transport_takes_the_place_of_a_link_without_a_word() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs", "http")
    lines.feeds[0].on_next(OPENED)
    made.open("fs", "http")
    assert len(lines.feeds) == 1
    made.open("fs", "sse")
    assert lines.disposed == ["fs"]
    lines.feeds[0].on_next(FRAME)
    lines.feeds[0].on_next(StreamLost(server="fs", reason="too late"))
    lines.feeds[1].on_next(OPENED)
    assert box.items == [OPENED, OPENED]
    made.close("fs", "enough")
    assert box.items[2:] == [StreamLost(server="fs", reason="enough")]


async def test_a_link_that_waits_for_its_next_attempt_is_replaced_too() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs", "sse")
    lines.feeds[0].on_next(StreamLost(server="fs", reason="HTTP 404", retry_in=30.0, attempt=1))
    made.open("fs", "http")
    lines.feeds[0].on_next(OPENED)
    assert (len(box.items), lines.disposed) == (1, ["fs"])


async def test_reconnect_kicks_the_stream_with_the_reason() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs")
    kicks: list[Exception] = []
    lines.seams[0].kicks.subscribe(kicks.append)
    made.reconnect("fs", "no `endpoint` came")
    made.reconnect("web", "has no stream")
    (kick,) = kicks
    assert isinstance(kick, StreamDroppedError)
    assert (str(kick), is_fatal(kick)) == ("no `endpoint` came", False)
    assert box.items == []


async def test_close_drops_the_stream_and_says_so_even_between_two_attempts() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs")
    lines.feeds[0].on_next(StreamLost(server="fs", reason="cut", retry_in=30.0, attempt=1))
    made.close("fs", "HTTP 401 at a POST", 401)
    made.close("fs", "again")
    lines.feeds[0].on_next(OPENED)
    assert lines.disposed == ["fs"]
    assert box.items[1:] == [StreamLost(server="fs", reason="HTTP 401 at a POST", status=401)]


async def test_a_stream_that_was_given_up_can_be_opened_again() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs")
    lost = StreamLost(server="fs", reason="gone", attempt=8)
    lines.feeds[0].on_next(lost)
    lines.feeds[0].on_completed()
    made.open("fs")
    lines.feeds[1].on_next(OPENED)
    assert box.items == [lost, OPENED]


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda feed: feed.on_error(ValueError("a bug")), "ValueError: a bug"),
        (lambda feed: feed.on_error(StreamEndedError("over")), "over"),
        (lambda feed: feed.on_completed(), "the stream ended without a reason"),
    ],
)
async def test_no_stream_ends_without_a_word(
    end: Callable[[Subject[Any]], None], reason: str
) -> None:
    box, lines = Box(), Lines()
    streams(lines.make, box).open("fs")
    end(lines.feeds[0])
    assert box.items == [StreamLost(server="fs", reason=reason)]


async def test_a_stream_that_ends_while_being_subscribed_is_told_once() -> None:
    box = Box()
    made = streams(
        lambda _server, _transport, _seams: reactivex.throw(StreamEndedError("at once")), box
    )
    made.open("fs")
    await box.reach(1)
    made.open("fs")
    await box.reach(2)
    assert box.items == [StreamLost(server="fs", reason="at once")] * 2


async def test_after_dispose_all_nothing_comes_and_nothing_opens() -> None:
    box, lines = Box(), Lines()
    made = streams(lines.make, box)
    made.open("fs")
    made.open("web")
    made.dispose_all()
    made.dispose_all()
    lines.feeds[0].on_next(OPENED)
    made.open("fs")
    assert (box.items, lines.disposed, len(lines.feeds)) == ([], ["fs", "web"], 2)


async def test_nothing_comes_after_the_last_word_not_even_while_subscribing() -> None:
    box, lost = Box(), StreamLost(server="fs", reason="gone")

    def speak(observer: abc.ObserverBase[Any], _: abc.SchedulerBase | None = None) -> Disposable:
        for item in (OPENED, lost, FRAME):
            observer.on_next(item)
        observer.on_completed()
        return Disposable()

    streams(lambda *_: Observable(speak), box).open("fs")
    assert box.items == [OPENED, lost]


async def test_a_stream_is_suspended_while_it_waits_for_room_and_only_then() -> None:
    lines, gate = Lines(), asyncio.Event()
    made = Streams(lines.make, put=Box().put, room=gate.wait)  # type: ignore[arg-type]
    made.start(spawn)
    made.open("fs")
    made.open("web")
    fs, web = lines.seams
    assert not fs.suspended()
    waiting = asyncio.ensure_future(fs.room())
    await asyncio.sleep(0)
    assert fs.suspended()
    assert not web.suspended()
    gate.set()
    await waiting
    assert not fs.suspended()


# --- a real connection ------------------------------------------------------------------------


def retry_at_once(server: str, times: int, kicks: Observable[Exception]) -> Any:
    """The smallest retry: enough to see what one connection leaves to the next."""

    def operator(source: Observable[StreamItem]) -> Observable[StreamItem | StreamLost]:
        failing = kicks.pipe(rx.flat_map(reactivex.throw))

        def again(exc: Exception, left: int) -> Observable[StreamItem | StreamLost]:
            is_last = left == 0 or is_fatal(exc)
            lost = announce(server)(exc, None if is_last else 0.0, times - left + 1)
            return (
                reactivex.just(lost)
                if is_last
                else reactivex.just(lost).pipe(rx.concat(attempt(left - 1)))
            )

        def attempt(left: int) -> Observable[StreamItem | StreamLost]:
            return source.pipe(rx.merge(failing), rx.catch(lambda exc, _: again(exc, left)))

        return attempt(times)

    return operator


@contextlib.asynccontextmanager
async def real_streams(url: str, box: Box, *, retries: int) -> AsyncIterator[Streams]:
    async with make_stream_session() as http, asyncio.TaskGroup() as group:

        def make(
            server: str, _transport: Transport, seams: Seams
        ) -> Observable[StreamItem | StreamLost]:
            return connection(
                make_target(server, url),
                http=http,
                options=StreamOptions(),
                spawn=seams.spawn,
                room=seams.room,
                now=lambda: 0.0,
            ).pipe(retry_at_once(server, retries, seams.kicks))

        made = Streams(make, put=box.put, room=always_room)
        made.start(group.create_task)
        try:
            yield made
        finally:
            made.dispose_all()


async def test_the_next_connection_resumes_where_the_last_one_ended() -> None:
    first = [EVENT_STREAM, b"retry: 1500\nid: 7\ndata: 1\n\n", close]
    async with serve(first, [EVENT_STREAM, b": hi\n\n", b"data: 2\n\n", close]) as wire:
        box = Box()
        async with real_streams(wire.url, box, retries=1) as made:
            made.open("fs")
            items = await box.reach(6)
    place = f"127.0.0.1:{wire.port}"
    assert items == [
        OPENED,
        FrameReceived(server="fs", event="message", data="1", id="7"),
        StreamLost(server="fs", reason=f"{place} ended the stream", retry_in=0.0, attempt=1),
        OPENED,
        FrameReceived(server="fs", event="message", data="2", id="7"),
        StreamLost(server="fs", reason=f"{place} ended the stream", attempt=2),
    ]
    assert [r.headers.get("last-event-id") for r in wire.requests] == [None, "7"]


async def test_a_fatal_refusal_is_told_with_its_status() -> None:
    async with serve([reply("401 No")]) as wire:
        box = Box()
        async with real_streams(wire.url, box, retries=3) as made:
            made.open("fs")
            (lost,) = await box.reach(1)
    assert (lost.status, lost.retry_in, len(wire.requests)) == (401, None, 1)


async def test_a_kick_leaves_the_old_connection_and_makes_a_new_one() -> None:
    async with serve([EVENT_STREAM, hold], [EVENT_STREAM, b"data: 1\n\n", hold]) as wire:
        box = Box()
        async with real_streams(wire.url, box, retries=3) as made:
            made.open("fs")
            await box.reach(1)
            made.reconnect("fs", "start over")
            items = await box.reach(4)
            assert items == [
                OPENED,
                StreamLost(server="fs", reason="start over", retry_in=0.0, attempt=1),
                OPENED,
                FRAME,
            ]
        await wire.all_gone()


@pytest.mark.parametrize("is_answered", [False, True])
async def test_disposing_leaves_no_task_and_no_socket(is_answered: bool) -> None:
    before = asyncio.all_tasks()
    async with serve([EVENT_STREAM, hold] if is_answered else [hold]) as wire:
        box = Box()
        async with real_streams(wire.url, box, retries=3) as made:
            made.open("fs")
            await (box.reach(1) if is_answered else wire.got(1))
        await wire.all_gone()
        assert asyncio.all_tasks() - before == set()
    assert len(wire.requests) == 1
