"""A cancellation at every place where something waits, one place at a time.

    async def scene(interrupt: Interrupt) -> None:
        async with Receiver() as receiver:
            await interrupt(deliver(receiver.url))
        assert …  # what must hold wherever it was cancelled

    places = await sweep(scene)

SQLite's loop for failures, on `await`: the n-th time that the body suspends, it is cancelled, for
n = 1, 2, 3 … until one run comes through. This is `Ctrl-C at any moment` without luck: each moment
at which anything else can happen is tried.
"""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any, TypeAlias

from tests.support import leaks

DEADLINE = 20.0  # seconds for a scene

Body: TypeAlias = Coroutine[Any, Any, object]
Interrupt: TypeAlias = Callable[[Body], Awaitable[None]]
Scene: TypeAlias = Callable[[Interrupt], Awaitable[None]]


async def sweep(scene: Scene, *, first: int = 1, step: int = 1) -> int:
    """Play a scene with the cancellation at its `first` place, and then at each `step`-th.

    The scene interrupts one body, once. What counts are the suspensions of the body's task and of
    all tasks that come from it; the one that is cancelled is the body's, as a run's is by whoever
    started it. What others do in the same loop, such as servers, does not count.

    Returns how many places there were: a test says how many it expects at least, for a sweep over
    nothing shows nothing.

    Raises:
        AssertionError: If a scene fails, does not end, or leaves anything behind; if the body
            swallows the cancellation.
    """
    place = first
    while True:
        point = _Point(place)
        tasks, before = asyncio.all_tasks(), leaks.now()
        try:
            async with asyncio.timeout(DEADLINE):
                await scene(point.interrupt)
        except TimeoutError as exc:
            raise AssertionError(f"{point} it did not end in {DEADLINE:g} s") from exc
        except Exception as exc:
            exc.add_note(str(point))
            raise
        left = await leaks.left_behind_in_loop(before, tasks)
        assert not left, "\n  ".join([f"{point} this was left:", *left])
        assert point.is_over, "the scene did not interrupt anything"
        if not point.was_reached:
            gc.collect()  # what was forgotten unclosed is told by Python here, and not in any test
            return point.passed
        place += step


class _Point:
    """The place of one cancellation, counted from 1."""

    def __init__(self, place: int) -> None:
        self.passed = 0
        self.was_reached = False
        self.is_over = False
        self._place = place
        self._where = ""
        self._body: asyncio.Task[object] | None = None

    def __str__(self) -> str:
        return f"cancelled at place {self._place} ({self._where or 'not reached'}):"

    async def interrupt(self, body: Body) -> None:
        """Run the body in a task of its own to its end, which is the cancellation if it comes.

        A thread that goes on for a moment, to end what the body began, has ended as well.
        """
        with _tasks_are_counted(asyncio.get_running_loop()):
            token = _POINT.set(self)
            self._body = asyncio.create_task(body, name="body")
            _POINT.reset(token)
            threads = set(threading.enumerate())
            await asyncio.wait([self._body])
        await leaks.until(lambda: not leaks.working(threads))
        self.is_over = True
        if self.was_reached:
            assert self._body.cancelled(), f"{self} it went on to {_end_of(self._body)}"
        else:
            self._body.result()

    def suspended(self, coroutine: Body) -> None:
        """Some task of the body waits now."""
        self.passed += 1
        if self.passed == self._place and self._body is not None and not self._body.done():
            self.was_reached = True
            self._where = leaks.place_of(coroutine)
            self._body.cancel()


_POINT: ContextVar[_Point | None] = ContextVar("_POINT", default=None)


class _Counted(Coroutine[Any, Any, object]):
    """A coroutine that says when it waits."""

    def __init__(self, inner: Body, point: _Point) -> None:
        self._inner = inner
        self._point = point
        self.__qualname__ = inner.__qualname__

    @property
    def cr_await(self) -> object:
        """As of a real one: who looks for the place at which it waits goes on inside."""
        return self._inner

    def send(self, value: Any) -> Any:
        waits_for = self._inner.send(value)
        self._point.suspended(self._inner)
        return waits_for

    def throw(self, *exc: Any) -> Any:
        waits_for = self._inner.throw(*exc)
        self._point.suspended(self._inner)
        return waits_for

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, Any, object]:
        return self._inner.__await__()


@contextmanager
def _tasks_are_counted(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Tasks of the body, known by their context, are counted from their first step."""
    before = loop.get_task_factory()

    def make(
        loop: asyncio.AbstractEventLoop, body: Any, *, context: Context | None = None, **more: Any
    ) -> "asyncio.Task[Any]":
        point = _POINT.get() if context is None else context.get(_POINT)
        body = body if point is None else _Counted(body, point)
        return asyncio.Task(body, loop=loop, context=context, **more)

    loop.set_task_factory(make)
    try:
        yield
    finally:
        loop.set_task_factory(before)


def _end_of(task: "asyncio.Task[object]") -> str:
    error = task.exception()
    return f"return {task.result()!r}" if error is None else f"raise {error!r}"
