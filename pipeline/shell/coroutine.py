"""Lift a coroutine that pushes items into a cold observable."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeAlias, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import Disposable

A = TypeVar("A")

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]
"""How an owner of tasks takes one on, e.g. `TaskGroup.create_task`."""


class StrayCancellationError(RuntimeError):
    """A source was told of a cancellation that was not its own, and nobody else would say so."""


def from_coroutine(
    run: Callable[[Callable[[A], None]], Coroutine[Any, Any, None]], spawn: Spawn
) -> Observable[A]:
    """Run `run(push)` once per subscription, as a task that `spawn` takes on.

    * `run` returns: completion. It raises an `Exception`: `on_error` with it.
    * Disposing cancels the task, and nothing more comes out, not even if `run` goes on pushing.
      Rx cannot await that: the owner behind `spawn` waits until the cleanup is done. What the
      cleanup raises is dropped, as nobody is left to hear it.
    * Disposed from inside its own `push`, `run` is stopped by a `CancelledError` out of that
      `push`. The task itself is not cancelled, so what `run` awaits in its cleanup is undisturbed.
    * The owner cancels the task: neither `on_error` nor completion, for it ends on our side.
    * An observer that raises is not a failure of the source: the exception goes to the owner.

    `push` is for the task that `spawn` made, or for code that it calls.
    """

    def subscribe(
        observer: abc.ObserverBase[A], _scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        subscription = _Subscription(observer)
        subscription.task = spawn(subscription.live(run))
        return Disposable(subscription.dispose)

    return Observable(subscribe)


class _Subscription(Generic[A]):
    def __init__(self, observer: abc.ObserverBase[A]) -> None:
        self.task: asyncio.Task[None] | None = None
        self._observer = observer
        self._is_disposed = False
        self._fault: Exception | None = None

    def dispose(self) -> None:
        self._is_disposed = True
        task = self.task
        if task is not None and not task.done() and task is not _current_task():
            task.cancel()

    async def live(self, run: Callable[[Callable[[A], None]], Coroutine[Any, Any, None]]) -> None:
        self.task = asyncio.current_task()  # an eager task starts before `spawn` returns
        try:
            await run(self._push)
        except asyncio.CancelledError as exc:
            if self._is_cancelled():
                raise
            # Either our own, out of `_push`, or of a future that somebody else cancelled. The
            # latter would end the stream without a word, and its reader would wait for ever.
            self._fail(StrayCancellationError(f"cancelled from inside: {exc!r}"))
        except Exception as exc:  # noqa: BLE001  the stream carries its failures
            self._fail(exc)
        else:
            if not self._is_disposed:
                self._observer.on_completed()
        if self._fault is not None:
            raise self._fault

    def _push(self, item: A) -> None:
        if self._is_disposed:
            return
        try:
            self._observer.on_next(item)
        except Exception as exc:
            self._is_disposed = True
            self._fault = exc
            raise
        if self._is_disposed and self.task is _current_task():
            raise asyncio.CancelledError("disposed by the observer")

    def _fail(self, exc: Exception) -> None:
        if not self._is_disposed:
            self._observer.on_error(exc)

    def _is_cancelled(self) -> bool:
        return self.task is not None and self.task.cancelling() > 0


def _current_task() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # disposed after the loop has ended
        return None
