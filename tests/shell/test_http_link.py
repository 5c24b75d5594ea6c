from typing import Any

import pytest
from reactivex import Subject
from reactivex.testing import ReactiveTest, TestScheduler

from pipeline.core.events import FrameReceived, StreamOpened
from pipeline.shell.http_link import http_link, is_alive
from pipeline.shell.http_sse import StreamAlive, StreamItem

OPENED, ALIVE = StreamOpened(server="fs"), StreamAlive("fs")
on_next = ReactiveTest.on_next


def test_a_link_is_open_at_once_and_alive_with_each_success_until_it_is_disposed() -> None:
    scheduler, dropped = TestScheduler(), []
    successes: Any = scheduler.create_hot_observable(
        on_next(100, ALIVE), on_next(210, ALIVE), on_next(300, ALIVE), on_next(400, ALIVE)
    )
    link = http_link("fs", successes, drop=lambda: dropped.append(scheduler.clock))
    seen = scheduler.start(lambda: link, disposed=350)
    assert seen.messages == [on_next(200, OPENED), on_next(210, ALIVE), on_next(300, ALIVE)]
    assert dropped == [350]


def test_each_subscription_drops_its_own_end_once() -> None:
    dropped: list[int] = []
    successes: Subject[StreamAlive] = Subject()
    link = http_link("fs", successes, drop=lambda: dropped.append(1))
    for number in (1, 2):
        items: list[StreamItem] = []
        subscription = link.subscribe(items.append, on_error=items.append)
        successes.on_next(ALIVE)
        subscription.dispose()
        subscription.dispose()
        successes.on_next(ALIVE)
        assert items == [OPENED, ALIVE]
        assert len(dropped) == number


@pytest.mark.parametrize(
    ("item", "expected"),
    [(OPENED, False), (ALIVE, True), (FrameReceived(server="fs", event="x", data=""), False)],
)
def test_only_a_success_proves_health(item: StreamItem, expected: bool) -> None:
    assert is_alive(item) is expected
