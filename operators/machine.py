"""Turn a pure step function into an Rx operator."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from reactivex import Observable, abc

S = TypeVar("S")
A = TypeVar("A")
B = TypeVar("B")


def machine(
    step: Callable[[S, A], tuple[S, Sequence[B]]], initial: S
) -> Callable[[Observable[A]], Observable[B]]:
    """Run `step` over the stream: `step(state, item)` gives the next state and what to emit.

    Every subscription starts from `initial`, so states must be immutable values. Outputs are
    emitted in order, all of them before the next item is taken.

    A step that raises ends the stream with that exception; what was emitted before stays emitted.
    The same goes for an item that arrives while the outputs of another are still being emitted
    (`RuntimeError`): somebody downstream feeds this stage from its own output, and its results
    would overtake what is not emitted yet. Such items belong in the mailbox in front of the core.

    --a-------b-----|
    [ machine(step) ]
    --(xy)----z-----|
    """

    def operator(source: Observable[A]) -> Observable[B]:
        def subscribe(
            observer: abc.ObserverBase[B], scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            state = initial
            is_busy = False

            def on_next(item: A) -> None:
                nonlocal state, is_busy
                if is_busy:
                    observer.on_error(_reentered(item))
                    return
                is_busy = True
                try:
                    try:
                        state, outputs = step(state, item)
                    except Exception as exc:  # noqa: BLE001  any fault of a step ends the stream
                        observer.on_error(exc)
                        return
                    # Not in the inner `try`: a subscriber's bug is not a fault of the step.
                    for output in outputs:
                        observer.on_next(output)
                finally:
                    is_busy = False

            return source.subscribe(
                on_next, observer.on_error, observer.on_completed, scheduler=scheduler
            )

        return Observable(subscribe)

    return operator


def _reentered(item: object) -> RuntimeError:
    return RuntimeError(
        f"{type(item).__name__} arrived while the item before it was still being handled; a stage"
        " must not be fed from its own output: put the item into the mailbox instead"
    )
