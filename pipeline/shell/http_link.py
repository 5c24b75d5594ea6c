"""The link to a server over Streamable HTTP: no connection stays, each message makes its own."""

from collections.abc import Callable

from reactivex import Observable, abc
from reactivex.disposable import CompositeDisposable, Disposable

from pipeline.core.events import StreamOpened
from pipeline.shell.http_sse import StreamAlive, StreamItem


def http_link(
    server: str, successes: Observable[StreamAlive], *, drop: Callable[[], None]
) -> Observable[StreamItem]:
    """A link that is open at once, and then as good as the answers to the messages.

    `StreamOpened`, then a `StreamAlive` for each of `successes`, which is an answer that said 2xx.
    It never ends by itself and needs no heartbeat. Once it is disposed, for whatever reason, `drop`
    closes all answers that are still open: they belong to the link that is gone.

    --------x----x---     successes
    [   http_link   ]
    o-------a----a---     o = StreamOpened, a = StreamAlive
    """

    def subscribe(
        observer: abc.ObserverBase[StreamItem], scheduler: abc.SchedulerBase | None = None
    ) -> abc.DisposableBase:
        # Should whoever hears this dispose of it, then what comes next is disposed of, too.
        observer.on_next(StreamOpened(server=server))
        listening = successes.subscribe(
            observer.on_next, observer.on_error, observer.on_completed, scheduler=scheduler
        )
        return CompositeDisposable(listening, Disposable(drop))

    return Observable(subscribe)


def is_alive(item: StreamItem) -> bool:
    """Is the server of use? It is if it did what a message asked for."""
    return isinstance(item, StreamAlive)
