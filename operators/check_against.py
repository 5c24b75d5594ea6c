"""Hold what comes out of the stages against what a recording says came out."""

from collections.abc import Callable, Iterator

from reactivex import Observable, abc

from operators.route import Parcel
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.difference import describe, is_same


class DivergedError(Exception):
    """The first item that differs; either is None where there is no such item."""

    def __init__(self, seq: int, recorded: Item | None, now: Item | None) -> None:
        super().__init__(describe(recorded, now))
        self.seq = seq
        self.recorded = recorded
        self.now = now


def check_against(
    recorded: Iterator[Entry],
) -> Callable[[Observable[Parcel]], Observable[Parcel]]:
    """Mirror the source until an item differs from the recorded one in its place; then fail.

    `recorded` may end early, as that of a run that was killed does: what follows is not checked. It
    is an iterator, so the operator is for one subscription.

    --a--b--c--x--      source
      a  b  c  d        recorded
    [ check_against ]
    --a--b--c--#        DivergedError(4, d, x)
    """

    def operator(source: Observable[Parcel]) -> Observable[Parcel]:
        def subscribe(
            observer: abc.ObserverBase[Parcel], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            def on_next(parcel: Parcel) -> None:
                try:
                    expected = next(recorded, None)
                except Exception as exc:  # noqa: BLE001  a recording that cannot be read ends it
                    observer.on_error(exc)
                    return
                now = parcel.entry.item
                if expected is None or is_same(expected.item, now):
                    observer.on_next(parcel)
                else:
                    observer.on_error(DivergedError(parcel.entry.seq, expected.item, now))

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator
