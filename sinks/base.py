"""What a sink is, and the actor that shields the pipeline from it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.mailbox import Mailbox


class SinkError(Exception):
    """A sink cannot do its work; the text says what was found and what to do."""


class Sink(Protocol):
    """Somewhere results go. Called by one task only, never concurrently."""

    @property
    def name(self) -> str:
        """Unique in the run, e.g. `jsonl=run.jsonl`."""
        ...

    def wants(self, item: Item) -> bool:
        """Is this item for the sink? Asked on the pump: quick and without side effects."""
        ...

    async def open(self) -> None:
        """Acquire what `emit` needs; raise `SinkError` where that fails."""
        ...

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Write entries in order; raise to be marked failed."""
        ...

    async def close(self) -> None:
        """Release everything; called exactly once, also after a failure."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A sink whose `emit` may wait for something, such as room, while there is time."""

    def hurry(self) -> None:
        """The run is over: wait for nothing any more. Called on the loop, beside `emit`."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A sink that knows what it has got of a run, also when that goes on after a crash."""

    def goes_on(self, known: int) -> None:
        """Before `open`: the run goes on after this entry of an earlier one."""
        ...

    def lacks(self, seq: int) -> bool:
        """After `open`: has it not got this entry of the earlier one?"""
        ...


class SinkActor:
    """One sink, its mailbox, and the only task that ever calls it.

    `is_needed`: what has to be written there before it is done is not done after it has failed.
    `patience` is asked when the sink is to close: how many seconds that may take then.
    """

    def __init__(
        self,
        sink: Sink,
        mailbox: Mailbox[Entry],
        *,
        on_failure: Callable[[str, str], None],
        patience: Callable[[], float] = lambda: 10.0,
        is_needed: bool = False,
    ) -> None:
        self.sink = sink
        self.mailbox = mailbox
        self.is_needed = is_needed
        self.failure: str | None = None
        self._on_failure = on_failure
        self._patience = patience
        self._put = 0
        self._written = 0
        self._is_open = False
        self._began = asyncio.Event()  # set when it is open, or has failed
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def name(self) -> str:
        """The sink's name."""
        return self.sink.name

    def put(self, entry: Entry) -> None:
        """Hand over an entry; entries come in the order of their `seq`."""
        self._put = entry.seq
        self.mailbox.put(entry)

    def goes_on(self, known: int) -> None:
        """Before `run`: the run goes on after this entry of an earlier one."""
        if isinstance(self.sink, Remembering):
            self.sink.goes_on(known)

    def lacks(self, seq: int) -> bool:
        """Is this entry of the earlier run one that the sink has not got?"""
        return isinstance(self.sink, Remembering) and self.sink.lacks(seq)

    def finish(self) -> None:
        """There will be no more: have the sink write what it has, and close."""
        self.mailbox.close()
        if isinstance(self.sink, Patient):
            self.sink.hurry()

    async def run(self) -> None:
        """Own the sink from open to close; end when the mailbox is closed and empty."""
        try:
            await self.sink.open()
            self._is_open = True
            self._began.set()
            while batch := await self.mailbox.take_all():
                await self.sink.emit(batch)
                self._written = batch[-1].seq
                self._wake()
        except Exception as exc:  # noqa: BLE001  a failed sink must not stop the others
            self._fail(exc)
        finally:
            await self._close()

    async def opened(self) -> None:
        """Wait until the sink is open.

        Raises:
            SinkError: If it could not be opened.
        """
        await self._began.wait()
        if not self._is_open:
            raise SinkError(self.failure)

    async def written(self, seq: int) -> None:
        """Wait until all it was given up to `seq` is emitted.

        A failed sink holds up nobody, unless it is needed: then this waits until it is cancelled.
        """
        goal = min(seq, self._put)
        if not self._holds_up(goal):
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((goal, done))
        await done

    def _holds_up(self, goal: int) -> bool:
        is_lost = self.failure is not None and not self.is_needed
        return self._written < goal and not is_lost

    def _wake(self) -> None:
        """Let those go on who wait for nothing more."""
        waiting, self._waiting = self._waiting, []
        for goal, done in waiting:
            if self._holds_up(goal):
                self._waiting.append((goal, done))
            elif not done.done():  # its waiter may have been cancelled
                done.set_result(None)

    def _fail(self, exc: Exception) -> None:
        self.mailbox.close()
        self.failure = str(exc) or type(exc).__name__
        self._began.set()
        self._wake()
        self._on_failure(self.name, self.failure)

    async def _close(self) -> None:
        seconds = self._patience()
        try:
            async with asyncio.timeout(seconds):
                await self.sink.close()
        except TimeoutError:
            self._fail(SinkError(f"it did not close within {seconds:.2g} s (--shutdown-timeout)"))
        except Exception as exc:  # noqa: BLE001  told like any failure of a sink
            self._fail(exc)
