"""How far one exchange over HTTP has come, how long it may take, and when time does not count."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """So many seconds; `flag` is what sets them, empty if no flag does."""

    seconds: float
    flag: str = ""

    def __str__(self) -> str:
        return f"{self.seconds:g} s ({self.flag})" if self.flag else f"{self.seconds:g} s"


class Clock:
    """The deadlines of one exchange, from when this is made.

    `total` is for all of it, to the end of the answer. `sending`, if there is one, is for each time
    that a connection is made and the request is sent: an answer may take minutes, but a server that
    is not there is known to be gone long before. While the clock is `stopped` no time passes;
    `stood_still` says how many seconds that were.
    """

    def __init__(self, total: Limit, *, sending: Limit | None = None) -> None:
        self.stood_still = 0.0
        self._total = total
        self._sending = sending
        self._now = asyncio.get_running_loop().time
        self._end = self._now() + total.seconds
        self._sent_by = math.inf
        self._timeout: asyncio.Timeout | None = None

    @property
    def limit(self) -> Limit:
        """The limit that is reached first from here."""
        is_sending = self._sending is not None and self._sent_by < self._end
        return self._sending if is_sending and self._sending is not None else self._total

    @property
    def is_over(self) -> bool:
        """No time is left."""
        return self._now() >= self._end

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Cancel what is in here when the time is up.

        Raises:
            TimeoutError: It was; `limit` says which time that is.
        """
        async with asyncio.timeout_at(self.end()) as timeout:
            self._timeout = timeout
            try:
                yield
            finally:
                self._timeout = None

    @contextmanager
    def stopped(self) -> Generator[None]:
        """Let no time pass in here."""
        began = self._now()
        self._reschedule(None)
        try:
            yield
        finally:
            lasted = self._now() - began
            self.stood_still += lasted
            self.put_off(lasted)

    def put_off(self, seconds: float) -> None:
        """Have all ends come so much later."""
        self._end += seconds
        self._sent_by += seconds
        self._reschedule(self.end())

    def begin_sending(self) -> None:
        """A connection is made: the time for that begins."""
        if self._sending is not None:
            self._sent_by = self._now() + self._sending.seconds
            self._reschedule(self.end())

    def end_sending(self) -> None:
        """The request is on its way: from here the server has all the time that is left."""
        self._sent_by = math.inf
        self._reschedule(self.end())

    def lift(self) -> None:
        """From here it may last for ever."""
        self._end = math.inf
        self._reschedule(self.end())

    def end(self, within: float = math.inf) -> float | None:
        """When it is over, in the loop's time; so many seconds from now if that comes first."""
        when = min(self._end, self._sent_by, self._now() + within)
        return None if when == math.inf else when

    def _reschedule(self, when: float | None) -> None:
        # One that has fired is on its way to say so.
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(when)


@dataclass(slots=True)
class Watch:
    """How far a request has come; filled in by the sessions of `http`.

    `has_left`: a first byte of it has; `is_whole`: its last part, too, was given to the connection,
    which is what `on_whole` is told.
    The `clock`, if there is one, is told when sending begins and ends.
    """

    clock: Clock | None = None
    is_handed_over: bool = False
    is_traced: bool = False
    has_left: bool = False
    is_whole: bool = False
    on_whole: Callable[[], None] | None = None
    _unsent: int = 0

    @property
    def is_sent(self) -> bool:
        """False only when it is certain that no byte of the request can have reached a server."""
        return self.has_left or (self.is_handed_over and not self.is_traced)

    def complaint(self, place: str) -> str:
        """What has not happened yet, to be followed by how long that was waited for."""
        if not self.is_sent:
            return f"no connection to {place}"
        if self.is_traced and not self.is_whole:
            return f"{place} did not take the whole message"
        return f"no answer came from {place}"

    def begin(self, size: int) -> None:
        """A request with a body of so many bytes is handed over; it may be one after a redirect."""
        self.is_handed_over, self.is_whole, self._unsent = True, False, size
        if self.clock is not None:
            self.clock.begin_sending()

    def leave(self) -> None:
        """A connection is there, and the first byte is about to be written."""
        self.has_left = True
        self.send(0)

    def send(self, size: int) -> None:
        """So many bytes of the body are about to be written."""
        self._unsent -= size
        if self._unsent <= 0 and not self.is_whole:
            self.is_whole = True
            if self.on_whole is not None:
                self.on_whole()
            if self.clock is not None:
                self.clock.end_sending()

    def hear(self) -> None:
        """An answer came: if a part of the body is still unsent, nobody waits for that any more."""
        if self.clock is not None:
            self.clock.end_sending()

    def paused(self) -> AbstractContextManager[None]:
        """No time passes in here."""
        return nullcontext() if self.clock is None else self.clock.stopped()
