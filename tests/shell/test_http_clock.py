import asyncio
from collections.abc import Callable

import pytest

from pipeline.shell.http_clock import Clock, Limit, Watch

TOTAL = Limit(30.0, "--post-timeout")
SENDING = Limit(10.0, "--connect-timeout")


_gone = 0.0


@pytest.fixture
async def jump(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Have so many seconds pass at once, on the clock of the loop that runs the test."""
    loop = asyncio.get_running_loop()
    time = loop.time
    monkeypatch.setattr(loop, "time", lambda: time() + _gone)
    return _pass


def _pass(seconds: float) -> None:
    global _gone  # noqa: PLW0603  time goes one way only, for all tests
    _gone += seconds


Jump = Callable[[float], None]


def clock(total: Limit = TOTAL, sending: Limit | None = SENDING) -> Clock:
    return Clock(total, sending=sending)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def fires(made: Clock, *steps: float | Callable[[], None]) -> bool:
    """Take the steps, of which a number lets so many seconds pass: was the time up?"""
    try:
        async with made.running():
            for step in steps:
                _pass(step) if isinstance(step, float | int) else step()
                await settle()
    except TimeoutError:
        return True
    return False


async def test_a_clock_cancels_what_takes_too_long_and_says_what_limit_that_was(jump: Jump) -> None:
    made = clock()
    assert not await fires(made, 29)
    assert not made.is_over
    assert await fires(made, 2)
    assert str(made.limit) == "30 s (--post-timeout)"
    assert made.is_over
    assert str(clock(Limit(5.0)).limit) == "5 s"


async def test_time_before_it_runs_counts(jump: Jump) -> None:
    made = clock()
    jump(31)
    assert made.is_over
    assert await fires(made, 0)


async def test_sending_has_a_time_of_its_own_each_time(jump: Jump) -> None:
    made = clock()
    begin, end = made.begin_sending, made.end_sending
    assert not await fires(made, begin, 9, begin, 9, end, 9)
    made = clock()
    assert await fires(made, made.begin_sending, 11)
    assert str(made.limit) == "10 s (--connect-timeout)"
    assert not made.is_over


async def test_sending_ends_with_the_whole_time_at_the_latest(jump: Jump) -> None:
    made = clock(Limit(5.0))
    assert await fires(made, made.begin_sending, 6)
    assert made.limit == Limit(5.0)


async def test_without_a_limit_for_sending_only_the_whole_time_counts(jump: Jump) -> None:
    made = clock(sending=None)
    assert not await fires(made, made.begin_sending, 29)
    assert made.limit == TOTAL


async def test_no_time_passes_while_it_is_stopped(jump: Jump) -> None:
    made = clock()

    async def stop() -> None:
        with made.stopped():
            jump(1000)
            await settle()

    async with made.running():
        made.begin_sending()
        jump(9)
        await stop()
        await settle()
        made.end_sending()
        jump(20)
        await settle()
    assert 1000 <= made.stood_still < 1010
    assert await fires(made, 2)


async def test_it_can_be_stopped_and_put_off_while_it_does_not_run(jump: Jump) -> None:
    made = clock()
    with made.stopped():
        jump(1000)
    made.put_off(5)
    jump(34)
    assert not made.is_over
    jump(2)
    assert made.is_over


async def test_one_that_has_fired_can_be_stopped_and_still_says_so(jump: Jump) -> None:
    made = clock()

    async def stop_at_the_end() -> None:
        try:
            jump(31)
            await settle()
        finally:
            with made.stopped():
                jump(1000)

    with pytest.raises(TimeoutError):
        async with made.running():
            await stop_at_the_end()


async def test_a_clock_that_is_lifted_never_fires(jump: Jump) -> None:
    made = clock()
    assert not await fires(made, made.lift, 1e9)
    assert made.end() is None
    assert made.end(within=5) == pytest.approx(asyncio.get_running_loop().time() + 5)


async def test_an_end_may_come_sooner(jump: Jump) -> None:
    made, now = clock(), asyncio.get_running_loop().time()
    assert made.end() == pytest.approx(now + 30)
    assert made.end(within=2) == pytest.approx(now + 2)
    assert made.end(within=40) == pytest.approx(now + 30)


# --- watch ------------------------------------------------------------------------------------


def test_a_request_that_nobody_traces_may_have_been_sent() -> None:
    watch = Watch()
    assert not watch.is_sent
    watch.begin(0)
    assert watch.is_sent


def test_a_request_that_is_traced_is_sent_once_its_first_byte_leaves() -> None:
    watch = Watch(is_traced=True)
    watch.begin(4)
    assert not watch.is_sent
    watch.leave()
    assert (watch.is_sent, watch.is_whole) == (True, False)
    watch.send(3)
    assert not watch.is_whole
    watch.send(1)
    assert watch.is_whole
    watch.begin(0)  # a redirect: the whole begins again, what was sent stays sent
    assert (watch.is_sent, watch.is_whole) == (True, False)
    watch.leave()
    assert watch.is_whole


async def test_the_time_for_sending_ends_with_the_last_part_or_with_an_answer(jump: Jump) -> None:
    for is_answered in (False, True):
        watch = Watch(clock())
        assert watch.clock is not None
        async with watch.clock.running():
            watch.begin(4)
            watch.leave()
            watch.send(1)
            if is_answered:
                watch.hear()
            else:
                watch.send(3)
            jump(20)
            await settle()
        assert watch.is_whole is not is_answered


async def test_a_pause_stops_the_clock_if_there_is_one(jump: Jump) -> None:
    watch = Watch(clock())
    assert watch.clock is not None
    with watch.paused():
        jump(1000)
    assert not watch.clock.is_over
    with Watch().paused():
        pass
