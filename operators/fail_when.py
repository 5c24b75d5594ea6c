"""Drop a connection from outside, so that the retry below sees it."""

from collections.abc import Callable
from typing import TypeVar

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, SingleAssignmentDisposable

A = TypeVar("A")


def fail_when(triggers: Observable[Exception]) -> Callable[[Observable[A]], Observable[A]]:
    """Mirror the source until `triggers` emits an exception, then fail with that exception.

    The source is disposed before the failure is passed on. `triggers` is subscribed first, once per
    subscription, and let go with it: a trigger that fires while nothing is connected is for nobody.
    That `triggers` completes means nothing; that it fails ends the stream with its error, for the
    stream could not be dropped any more.

    --a--b-----c--        source
    --------X-----        triggers
    [ fail_when  ]
    --a--b--#
    """

    def operator(source: Observable[A]) -> Observable[A]:
        def subscribe(
            observer: abc.ObserverBase[A], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            trigger = SingleAssignmentDisposable()
            upstream = SingleAssignmentDisposable()
            both = CompositeDisposable(trigger, upstream)

            def fail(exc: Exception) -> None:
                both.dispose()
                observer.on_error(exc)

            trigger.disposable = triggers.subscribe(fail, fail, scheduler=scheduler)
            # Triggers may fire while being subscribed: then nothing must be connected at all.
            if not both.is_disposed:
                upstream.disposable = source.subscribe(
                    observer.on_next, observer.on_error, observer.on_completed, scheduler=scheduler
                )
            return both

        return Observable(subscribe)

    return operator
