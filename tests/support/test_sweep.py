"""The sweep reaches every place, and finds what is wrong there."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from tests.support import leaks, sweep
from tests.support.sweep import Body, Interrupt


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0.05)
    monkeypatch.setattr(sweep, "DEADLINE", 0.5)


def scene(make: Callable[[], Body]) -> Callable[[Interrupt], Awaitable[None]]:
    async def play(interrupt: Interrupt) -> None:
        await interrupt(make())

    return play


async def test_each_place_is_cancelled_once_and_the_last_run_comes_through() -> None:
    reached: list[list[int]] = []

    async def body() -> None:
        reached.append([])
        for place in range(3):
            reached[-1].append(place)
            await asyncio.sleep(0)
        reached[-1].append(3)

    assert await sweep.sweep(scene(body)) == 3
    assert reached == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]


async def test_places_of_tasks_that_the_body_starts_count_and_those_of_others_do_not() -> None:
    requests: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()

    async def serve() -> None:
        while True:
            request = await requests.get()
            await asyncio.sleep(0)
            if not request.done():
                request.set_result(None)

    async def ask() -> None:
        request: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        requests.put_nowait(request)
        await request

    async def body() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            tasks.create_task(ask())

    server = asyncio.create_task(serve())
    assert await sweep.sweep(scene(body)) == 3  # two requests, and the end of the group
    server.cancel()
    await asyncio.wait([server])


async def test_it_can_begin_later_and_leave_some_out() -> None:
    reached: list[int] = []

    async def body() -> None:
        reached.append(0)
        for _ in range(5):
            await asyncio.sleep(0)
            reached[-1] += 1

    assert await sweep.sweep(scene(body), first=2, step=2) == 5
    assert reached == [1, 3, 5]


async def swallow() -> None:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


async def hang() -> None:
    try:
        await asyncio.sleep(0)
    finally:
        await asyncio.Event().wait()


_forgotten: list["asyncio.Task[None]"] = []


async def forget() -> None:
    _forgotten.append(asyncio.create_task(asyncio.sleep(600)))
    await asyncio.sleep(0)


async def stay_out() -> None:
    raise LookupError("it broke by itself")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (swallow, "went on to return None"),
        (hang, "it did not end in 0.5 s"),
        (forget, "this was left:\n  task "),
    ],
)
async def test_what_is_wrong_is_told_with_the_place(make: Callable[[], Body], words: str) -> None:
    before = asyncio.all_tasks()
    with pytest.raises(AssertionError, match=words) as caught:
        await sweep.sweep(scene(make))
    assert "cancelled at place 1 (" in str(caught.value)
    rest = asyncio.all_tasks() - before
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


async def test_a_check_of_the_scene_that_fails_is_told_with_the_place() -> None:
    async def play(interrupt: Interrupt) -> None:
        await interrupt(asyncio.sleep(0))
        raise LookupError("it is not there")

    with pytest.raises(LookupError) as caught:
        await sweep.sweep(play)
    assert caught.value.__notes__[0].startswith("cancelled at place 1 (")


async def test_a_body_that_fails_by_itself_fails_the_sweep() -> None:
    with pytest.raises(LookupError, match="it broke by itself"):
        await sweep.sweep(scene(stay_out))


async def test_a_scene_that_interrupts_nothing_shows_nothing() -> None:
    async def play(_: Interrupt) -> None: ...

    with pytest.raises(AssertionError, match="did not interrupt anything"):
        await sweep.sweep(play)
