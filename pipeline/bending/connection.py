"""One server of a bent run, and its connections, as they were recorded one after the other."""

from collections import deque
from collections.abc import Callable

from reactivex import Observable, abc
from reactivex.disposable import Disposable

from pipeline.bending.bends import Bends
from pipeline.bending.clock import MICRO, VirtualClock
from pipeline.bending.line import Due, End, Line
from pipeline.bending.patience import Patience
from pipeline.bending.script import Attempt, Reply
from pipeline.core.events import FrameReceived, Input, StreamLost, StreamOpened
from pipeline.core.plan import ServerPlan
from pipeline.shell.http_sse import (
    StreamAlive,
    StreamEndedError,
    StreamError,
    StreamItem,
    StreamRefusedError,
    StreamUnreachableError,
)
from pipeline.shell.streams import Transport
from pipeline.shell.targets import origin

_SERVER_ERROR = 500


class Server:
    """One server. After the last recorded connection that one comes again, as often as needed.

    `is_silent`: it says nothing any more, on no connection. `is_muted`: what it says was heard
    before. `is_wanted`: somebody keeps it connected.
    """

    def __init__(
        self,
        plan: ServerPlan,
        *,
        clock: VirtualClock,
        bends: Bends,
        patience: Patience,
        on_gone: Callable[[str], None],
    ) -> None:
        self.on_gone = on_gone
        self.name = plan.name
        self.place = _place(plan)
        self.transport: Transport = "sse"
        self.is_silent = False
        self.is_muted = False
        self.is_wanted = False
        self.connection: Connection | None = None
        self._clock = clock
        self._bends = bends
        self._patience = patience
        self._attempts: deque[Attempt] = deque()
        self._taken_over: tuple[int, bool | None] | None = None

    @property
    def has_heartbeat(self) -> bool:
        """Does silence mean that it is dead? Processes are silent, and so are POSTs between two."""
        return self.transport == "sse"

    @property
    def is_at_rest(self) -> bool:
        """Will nothing come of it by itself: it is gone, or there to be asked?"""
        if not self.is_wanted:
            return True
        is_open = self.connection is not None and self.connection.is_open
        return is_open and not (self.is_silent and self.has_heartbeat)

    @property
    def line(self) -> Line | None:
        """What comes over its connection, where there is one."""
        if self.connection is None or not self.connection.is_open:
            return None
        return self.connection.line

    def take_over(self, attempts: list[Attempt], since: int, *, was_of_use: bool | None) -> None:
        """The tries of the recording, which is followed up to event `since`.

        `was_of_use`: whether the connection that is open then was of use; None: there is none.
        """
        is_open = was_of_use is not None
        earlier = [each for each in attempts if each.opening.seq < since]
        later = [each for each in attempts if each.opening.seq >= since]
        self._attempts = deque([*earlier[-1:], *later] if is_open or not later else later)
        self._taken_over = since, was_of_use

    def source(self) -> Observable[StreamItem]:
        """A subscription is a connection; it ends with a `StreamError`."""

        def subscribe(
            observer: abc.ObserverBase[StreamItem], _scheduler: abc.SchedulerBase | None = None
        ) -> abc.DisposableBase:
            self.connection = Connection(
                self, observer, clock=self._clock, bends=self._bends, patience=self._patience
            )
            self._begin(self.connection)
            return Disposable(self.connection.close)

        return Observable(subscribe)

    def _begin(self, connection: "Connection") -> None:
        attempt = self._attempts[0] if self._attempts else None
        if len(self._attempts) > 1:
            self._attempts.popleft()
        taken_over, self._taken_over = self._taken_over, None
        match taken_over:
            case since, bool() as was_of_use if attempt is not None:
                self.is_muted = True
                connection.adopt(attempt, since, was_of_use=was_of_use)
                self.is_muted = False
            case since, None if attempt is not None and attempt.opening.seq >= since:
                connection.begin(attempt, attempt.opening.at)
            case _:
                connection.begin(attempt)


class Connection(End):
    """One try to connect, and the connection that comes of it; the `End` of its line."""

    def __init__(
        self,
        server: Server,
        observer: abc.ObserverBase[StreamItem],
        *,
        clock: VirtualClock,
        bends: Bends,
        patience: Patience,
    ) -> None:
        self.is_open = False
        self.line = Line(clock, bends, self)
        self._server = server
        self._observer = observer
        self._clock = clock
        self._patience = patience.connect_timeout
        self._deadline: abc.DisposableBase = Disposable()
        self._attempt: Attempt | None = None

    def begin(self, attempt: Attempt | None, due: int | None = None) -> None:
        """Try, as it was recorded; at `due` it comes out, if that is known.

        Where nothing was recorded, only a process starts, or what connects with each message.
        """
        began = self._clock.us
        if attempt is None and self._server.transport != "sse":
            attempt = Attempt(Reply(0, 0, 0, StreamOpened(server=self._server.name)), began)
        self._attempt = attempt
        if attempt is not None:
            opening = attempt.opening
            began = began if due is None else due - opening.after
            self.line.expect(began + opening.after, opening.item, opening.seq)
        if self._server.transport == "sse":
            ends = began + round(self._patience * MICRO)
            self._deadline = self._clock.at(ends, self._time_out)

    def adopt(self, attempt: Attempt, since: int, *, was_of_use: bool) -> None:
        """It was open when the recording was left; what it brings from `since` on is to come."""
        name = self._server.name
        self._observer.on_next(StreamOpened(server=name))
        self.is_open = True
        if was_of_use:
            self._observer.on_next(FrameReceived(server=name, event="message", data=""))
            self.be_of_use()
        for reply in attempt.replies:
            if reply.seq >= since:
                self.line.expect(reply.at, reply.item, reply.seq)

    def be_of_use(self) -> None:
        """A message got a good answer: that counts where there is no stream."""
        if self.is_open and self._server.transport == "http":
            self._observer.on_next(StreamAlive(self._server.name))

    def close(self) -> None:
        """Nobody listens any more."""
        self._deadline.dispose()
        self.line.cut()
        if self.is_open:
            self.is_open = False
            self._server.on_gone(self._server.name)

    # --- the end of the line --------------------------------------------------------------------

    def hand(self, item: Input) -> None:
        """It opens, ends, or brings a frame."""
        needs_server = self._server.transport == "sse" or not isinstance(item, StreamOpened)
        if self._server.is_silent and needs_server:
            return
        match item:
            case StreamOpened():
                self._open(item)
            case FrameReceived():
                self._observer.on_next(item)
            case StreamLost(reason=reason, retry_in=retry_in, status=status):
                self._fail(StreamError(reason, status=status, is_fatal=retry_in is None))
            case _:
                raise TypeError(f"{type(item).__name__} comes over no server's stream")

    def drop(self, bent: str, lost: list[Due]) -> None:  # noqa: ARG002  all of it is lost
        """It breaks."""
        self._fail(StreamEndedError(f"the connection was dropped ({bent})"))

    def refuse(self, status: int, bent: str) -> None:
        """It is refused, as it would be live."""
        words, is_fatal = f"HTTP {status} ({bent})", status < _SERVER_ERROR
        self._fail(StreamRefusedError(words, status=status, is_fatal=is_fatal))

    def fall_silent(self, lost: list[Due]) -> None:  # noqa: ARG002  all of it is lost
        """Nothing more is heard of the server."""
        self._server.is_silent = True

    def _open(self, opened: StreamOpened) -> None:
        self._deadline.dispose()
        self.is_open = True
        began = self._clock.us
        self._observer.on_next(opened)
        for reply in self._attempt.replies if self._attempt is not None else ():
            self.line.expect(reply.due(began), reply.item, reply.seq)

    def _time_out(self) -> None:
        seconds = f"{self._patience:g} s (--connect-timeout)"
        place = self._server.place
        self._fail(StreamUnreachableError(f"no answer came from {place} within {seconds}"))

    def _fail(self, exc: StreamError) -> None:
        self.close()
        self._observer.on_error(exc)


def _place(plan: ServerPlan) -> str:
    try:
        return origin(plan.url).place
    except ValueError:
        return plan.program or plan.name
