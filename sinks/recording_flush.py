"""When what was written to a recording is put on the disk: one flush for all lines before it.

A written line is safe from the death of the process. What a flush (`fsync`) adds is the death of
the machine, so how often one is made is how much that may cost: `RecordingOptions.fsync`.
"""

import asyncio
from collections.abc import Callable

from config.options import RecordingOptions

_SOONER = 10  # what people would miss most waits for a tenth of the interval


class Flusher:
    """Makes flushes while others write; one at a time, and never again after one that failed.

    `flush` begins one of all that is written by then, on another thread.
    """

    def __init__(
        self, options: RecordingOptions, flush: Callable[[], "asyncio.Future[None]"]
    ) -> None:
        self._options = options
        self._flush = flush
        self._lines = 0
        self._is_telling = False
        self._last = float("-inf")
        self._timer: asyncio.TimerHandle | None = None
        self._running: asyncio.Future[None] | None = None
        self.failure: BaseException | None = None

    async def wrote(self, lines: int, *, is_telling: bool) -> None:
        """So many lines are written. Waits only where each is to be on the disk before all else.

        `is_telling`: among them is one that people would miss most.

        Raises:
            SinkError: If a flush failed, be it an earlier one.
        """
        if self._options.fsync == "none":
            return
        self._lines += lines
        self._is_telling |= is_telling
        if self._options.fsync == "always":
            await asyncio.wait([self._begin()])
        elif self._lines >= self._options.fsync_lines:
            self._begin_unless_running()
        elif is_telling or self._timer is None:
            self._arm()
        self.check()

    def check(self) -> None:
        """Raise what an earlier flush failed with: nothing may be added after it."""
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Begin no more flushes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lines = 0

    def _arm(self) -> None:
        """Have the next flush begin in time; one that runs arms it when it ends."""
        if self._running is not None:
            return
        loop = asyncio.get_running_loop()
        interval, now = self._options.fsync_interval, loop.time()
        due = now + interval
        if self._is_telling:
            due = max(now, self._last + interval / _SOONER)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._begin_unless_running)

    def _begin_unless_running(self) -> None:
        if self._running is None and self.failure is None:
            self._begin()

    def _begin(self) -> "asyncio.Future[None]":
        self.stop()
        self._is_telling = False
        self._last = asyncio.get_running_loop().time()
        self._running = running = self._flush()
        running.add_done_callback(self._on_done)
        return running

    def _on_done(self, done: "asyncio.Future[None]") -> None:
        self._running = None
        self.failure = None if done.cancelled() else done.exception()
        if self._lines and self.failure is None:
            self._arm()
