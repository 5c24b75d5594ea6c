"""The end of the pipe: every item gets its number, its time, and the names of who receives it."""

from collections.abc import Callable, Mapping

import msgspec
from reactivex import Observable, abc

from pipeline.core.codec import Entry
from pipeline.core.commands import Item, Passing
from pipeline.core.events import Internal


class Parcel(msgspec.Struct, frozen=True):
    """One numbered item, and the names of the targets that want it, in the order of the targets.

    `to` may be empty: the item has its place in the run all the same.
    """

    entry: Entry
    to: tuple[str, ...]


def route(
    targets: Mapping[str, Callable[[Item], bool]],
    *,
    now: Callable[[], str],
    first_seq: int = 1,
    session: str = "",
) -> Callable[[Observable[Passing]], Observable[Parcel]]:
    """Number the items without gaps, from `first_seq` in every subscription, and address them.

    `targets` maps a name to "is this item for you?" and is read when somebody subscribes. `now()`
    is called once per item and gives `Entry.at`: RFC 3339, UTC, µs. Each entry names the `session`.

    Ends the stream with the exception of a predicate or of `now`, and with `TypeError` when an item
    arrives that only travels between two stages (`events.Internal`): such a one must never be
    recorded, so the stage that should have taken it is missing or let it pass.

    --a---------b----------|
    [ route({p, q})        ]
    --(1 a pq)--(2 b q)----|
    """

    def operator(source: Observable[Passing]) -> Observable[Parcel]:
        def subscribe(
            observer: abc.ObserverBase[Parcel], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            predicates = tuple(targets.items())
            seq = first_seq

            def on_next(item: Passing) -> None:
                nonlocal seq
                try:
                    entry = Entry(seq, now(), _recordable(item), session)
                    to = tuple(name for name, wants in predicates if wants(entry.item))
                    parcel = Parcel(entry, to)
                except Exception as exc:  # noqa: BLE001  any fault in here ends the stream
                    observer.on_error(exc)
                    return
                seq += 1
                observer.on_next(parcel)

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator


def _recordable(item: Passing) -> Item:
    if isinstance(item, Internal):
        raise TypeError(
            f"{type(item).__name__} only travels between two stages and must not reach route:"
            " put the stage that takes it in front of route"
        )
    return item
