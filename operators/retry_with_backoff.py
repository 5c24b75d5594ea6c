"""Bring a failed stream back, more patiently each time."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from reactivex import Observable, abc
from reactivex.disposable import (
    CompositeDisposable,
    Disposable,
    SerialDisposable,
    SingleAssignmentDisposable,
)

from config.options import RetryOptions

A = TypeVar("A")
B = TypeVar("B")


def delay_before(options: RetryOptions, attempt: int, jitter: float) -> float:
    """Seconds to wait before an attempt, of which the first is 1, with full jitter.

    That is a share `jitter` (0 to 1) of a ceiling that grows by `factor` from `first_delay` up to
    `max_delay`: clients that lost the same server do not come back at the same moment.
    """
    try:
        ceiling = options.first_delay * options.factor ** (attempt - 1)
    except OverflowError:
        ceiling = options.max_delay
    return min(options.max_delay, ceiling) * jitter


def delay_with_wish(
    options: RetryOptions, attempt: int, jitter: float, wish: float | None
) -> float:
    """Seconds to wait where the server may have asked for a time (`wish`, None: it has not).

    The wish is cut to 0 … `max_wish`. The first attempt comes exactly when the server asked for it;
    later ones wait for the longer of wish and backoff, for it did not work out as the server hoped.
    """
    if wish is None:
        return delay_before(options, attempt, jitter)
    asked = min(options.max_wish, max(0.0, wish))
    return asked if attempt == 1 else max(asked, delay_before(options, attempt, jitter))


class _Budget:
    """The limits of one subscription, and what the present outage has used of them."""

    def __init__(self, options: RetryOptions) -> None:
        self.attempt = 0
        self._is_overdue = False
        self._options = options
        self._limit = options.first_attempts

    def is_spent_by_one_more(self) -> bool:
        """Count a failure; true when no attempt is left to answer it."""
        self.attempt += 1
        return self.attempt > self._limit or self._is_overdue

    def expire(self, _scheduler: abc.SchedulerBase, _state: Any = None) -> None:
        """The outage has lasted for `options.total`."""
        self._is_overdue = True

    def meet(self) -> None:
        """The server has shown that it is of use: it may have `attempts` from now on."""
        self._limit = self._options.attempts

    def refill(self) -> None:
        """A connection was healthy: the outage is over."""
        self.attempt = 0
        self._is_overdue = False


class _Health(Generic[A]):
    """What one connection has shown of itself."""

    def __init__(self, is_healthy: Callable[[A], bool], *, is_mature: bool) -> None:
        self._is_healthy = is_healthy
        self._is_mature = is_mature
        self.has_delivered = False
        self._is_proven = False

    def ripen(self, _scheduler: abc.SchedulerBase, _state: Any = None) -> None:
        """The connection has lasted for `options.healthy_after`."""
        self._is_mature = True

    def is_proven_by(self, item: A) -> bool:
        """True for the one item that makes the connection count as healthy."""
        if self._is_proven:
            return False
        self.has_delivered = self.has_delivered or self._is_healthy(item)
        self._is_proven = self.has_delivered and self._is_mature
        return self._is_proven


def retry_with_backoff(
    options: RetryOptions,
    *,
    is_fatal: Callable[[Exception], bool],
    wish: Callable[[Exception], float | None],
    announce: Callable[[Exception, float | None, int], B],
    is_healthy: Callable[[A], bool],
    jitter: Callable[[], float],
) -> Callable[[Observable[A]], Observable[A | B]]:
    """Resubscribe after a failure, and tell the stream what is happening, as items.

    Each failure emits `announce(exc, delay, attempt)` and only then waits `delay` seconds (see
    `delay_with_wish`); `attempt` counts the failures in a row from 1. With `delay` None nobody will
    try again, and the stream completes: the error `is_fatal`, or a limit is reached. There are two,
    judged at each failure:

    * in a row: `options.attempts` resubscriptions, and `options.first_attempts` as long as no item
      of this subscription was one that `is_healthy`;
    * `options.total` seconds since the first failure of this outage.

    A healthy connection ends the outage and refills both. Healthy means that it delivered an item
    that `is_healthy`, and still delivers (anything) `options.healthy_after` seconds after it was
    subscribed. A server that accepts us and hangs up never gets there, and so cannot keep us
    hammering it.

    Times are measured by timers of the scheduler, never by a clock that can be set. Even a delay of
    0 goes through the scheduler, so a source that fails while being subscribed builds no stack.
    Completion of the source is completion. An exception of a collaborator ends the stream with
    that exception; subscribing without a scheduler fails with `TypeError`.

    --a--#    a--b--|      source, subscribed twice
    [ retry_with_backoff ]
    --a--L----a--b--|      L = announce(error, delay, 1)
    """

    def operator(source: Observable[A]) -> Observable[A | B]:
        def subscribe(
            observer: abc.ObserverBase[A | B], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            if scheduler is None:
                raise TypeError(
                    "retry_with_backoff found no scheduler, and the default of Rx is a thread:"
                    " subscribe with scheduler=AsyncIOScheduler(loop)"
                )
            budget = _Budget(options)
            current = SerialDisposable()  # the connection, or the wait for the next one
            outage = SerialDisposable()  # the timer of `options.total`
            health: _Health[A]  # of the present connection: `connect` sets it

            def connect(_scheduler: abc.SchedulerBase, _state: Any = None) -> None:
                nonlocal health
                if current.is_disposed:  # schedulers cancel at best effort
                    return
                health = _Health(is_healthy, is_mature=options.healthy_after == 0)
                ripening = scheduler.schedule_relative(options.healthy_after, health.ripen)
                upstream = SingleAssignmentDisposable()
                # Assigned before subscribing: a source may fail, or be disposed of, in there.
                current.disposable = CompositeDisposable(upstream, ripening)
                upstream.disposable = source.subscribe(
                    on_next, on_error, observer.on_completed, scheduler=scheduler
                )

            def on_next(item: A) -> None:
                try:
                    is_back_to_health = health.is_proven_by(item)
                except Exception as fault:  # noqa: BLE001  ours, so not to be retried
                    observer.on_error(fault)
                    return
                if health.has_delivered:
                    budget.meet()
                if is_back_to_health:
                    budget.refill()
                    outage.disposable = Disposable()
                observer.on_next(item)

            def on_error(exc: Exception) -> None:
                try:
                    delay = delay_after(exc)
                    news = announce(exc, delay, budget.attempt)
                except Exception as fault:  # noqa: BLE001  ours, so not to be retried
                    observer.on_error(fault)
                    return
                observer.on_next(news)
                if delay is None:
                    observer.on_completed()
                else:
                    current.disposable = scheduler.schedule_relative(delay, connect)

            def delay_after(exc: Exception) -> float | None:
                is_spent = budget.is_spent_by_one_more()
                if is_spent or is_fatal(exc):
                    return None
                if budget.attempt == 1:
                    outage.disposable = scheduler.schedule_relative(options.total, budget.expire)
                return delay_with_wish(options, budget.attempt, jitter(), wish(exc))

            connect(scheduler)
            return CompositeDisposable(current, outage)

        return Observable(subscribe)

    return operator
