"""End a stream that has gone silent."""

from collections.abc import Callable
from typing import Any, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import (
    CompositeDisposable,
    SerialDisposable,
    SingleAssignmentDisposable,
)

from config.options import HeartbeatOptions

A = TypeVar("A")

TICKS = 4
"""Looks per `silence`: a failure comes at most one tick, a quarter of `silence`, late."""


class StreamSilentError(ConnectionError):
    """Nothing arrived for too long, not even a comment."""


def heartbeat(
    options: HeartbeatOptions,
    *,
    suspended: Callable[[], bool],
    clock: Callable[[], float] | None = None,
) -> Callable[[Observable[A]], Observable[A]]:
    """Fail with `StreamSilentError` once the source is silent for `options.silence` seconds.

    The failure comes between 1 and 1.25 times `silence` after the last item (or after subscribing,
    as long as there is none); the source is disposed first. One timer per stream, not per item: it
    ticks four times per `silence` and counts the ticks without an item.

    Silence of our own doing does not count, and the full time starts over:

    * `suspended()` is true at a tick: we have stopped reading, under back-pressure;
    * a tick comes late by more than a whole tick: the process was stopped, the laptop's lid was
      shut, or the loop was blocked. What arrived meanwhile waits in the socket and gets its chance.

    How late a tick is says `clock`, in seconds; a loop's own does not change with the time of day.
    Without one it is `scheduler.now`, under asyncio the wall clock, which is trusted for nothing
    else: set forward it forgives one silence once, set back it changes nothing.

    Subscribing without a scheduler fails with `TypeError`; an exception of `suspended` ends the
    stream.

    --a--b------------
    [ heartbeat(4s)  ]
    --a--b----------#
    """
    tick = options.silence / TICKS

    def operator(source: Observable[A]) -> Observable[A]:
        def subscribe(
            observer: abc.ObserverBase[A], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            if scheduler is None:
                raise TypeError(
                    "heartbeat found no scheduler, and the default of Rx is a thread:"
                    " subscribe with scheduler=AsyncIOScheduler(loop)"
                )
            timer = SerialDisposable()
            upstream = SingleAssignmentDisposable()
            both = CompositeDisposable(timer, upstream)
            quiet_ticks = 0
            now = clock or (lambda: scheduler.now.timestamp())  # noqa: PLW0108  `now` is a property
            armed_at = now()

            def arm() -> None:
                nonlocal armed_at
                armed_at = now()
                timer.disposable = scheduler.schedule_relative(tick, on_tick)

            def on_tick(_scheduler: abc.SchedulerBase, _state: Any = None) -> None:
                nonlocal quiet_ticks
                try:
                    is_our_doing = suspended()
                except Exception as exc:  # noqa: BLE001  without an answer nobody keeps watch
                    fail(exc)
                    return
                if is_our_doing or now() - armed_at > 2 * tick:
                    quiet_ticks = 0
                else:
                    quiet_ticks += 1
                # The last item may have come just before the first of these ticks: one more than
                # TICKS makes sure of the whole time.
                if quiet_ticks > TICKS:
                    fail(_silent(options))
                else:
                    arm()

            def fail(exc: Exception) -> None:
                both.dispose()
                observer.on_error(exc)

            def on_next(item: A) -> None:
                nonlocal quiet_ticks
                quiet_ticks = 0
                observer.on_next(item)

            arm()
            upstream.disposable = source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )
            return both

        return Observable(subscribe)

    return operator


def _silent(options: HeartbeatOptions) -> StreamSilentError:
    return StreamSilentError(
        f"nothing arrived for {options.silence:g} s, not even a comment, so the connection counts"
        " as dead; for a server that is silent for longer, raise --silence"
    )
