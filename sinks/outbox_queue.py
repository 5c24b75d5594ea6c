"""An outbox as the queue of a webhook: what is put is on the disk before `put` returns.

A disk that fails ends nothing: it is told, and messages wait in memory from then on.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from sinks.outbox_place import OutboxError
from sinks.outbox_share import AT_ONCE, Added, Share
from sinks.standard_webhooks import Message
from sinks.webhook_queue import Count, GivenUp, MemoryQueue
from sinks.webhook_times import pause

T = TypeVar("T")
_LOOK = 1.0  # seconds after which to look whether another process has made room
_DROPPED = "there is room for no more dead letters, so the oldest had to go"


class OutboxQueue:
    """The queue of one run, opened by `open_queue`.

    A full outbox makes the writer wait `full_wait` seconds. `on_trouble` gets words about the
    outbox. `clock` is Unix time. All that blocks is done by one thread, in the order of asking.
    """

    def __init__(
        self,
        *,
        full_wait: float,
        on_trouble: Callable[[str], None],
        on_given_up: GivenUp,
        clock: Callable[[], float],
    ) -> None:
        self._full_wait = full_wait
        self._on_trouble = on_trouble
        self._on_given_up = on_given_up
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rxmcp-outbox")
        self._share: Share | None = None
        self._ready: deque[Message] = deque()
        self._is_caught_up = False  # what waits on the disk is in `_ready`, too
        self._has_missed = False  # something was put while it was not
        self._is_ours = True  # no other run sends our session
        self._done: dict[str, int] = {}  # the last `seq` of each session that is done with
        self._marking: asyncio.Future[None] | None = None
        self._rest = MemoryQueue(on_given_up)
        self._is_in_memory = False  # the disk takes nothing more
        self._is_unreadable = False
        self._is_rest_in_hand = False
        self._is_full_told = False
        self._was_in_vain = False  # room was waited for, and none came
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._is_hurried = False
        self._is_closed = False

    async def open(self, make: Callable[[], Share]) -> None:
        """Open the outbox, in its thread.

        Raises:
            OutboxError: If that cannot be done; the queue is of no use then.
        """

        def work() -> None:
            self._share = make()

        try:
            await self._do(work)
        except BaseException:
            # Who was cancelled may have opened it all the same, or be about to.
            self._thread.submit(self._close)
            self._thread.shutdown(wait=False)
            raise

    @property
    def is_lasting(self) -> bool:
        """As long as the disk takes messages."""
        return not self._is_in_memory

    @property
    def is_sender(self) -> bool:
        """No other run sends our session."""
        return self._is_ours

    @property
    def mark(self) -> int:
        """The `seq` up to which all of the run was put when it was opened."""
        return self._opened().mark

    async def end(self, seq: int) -> None:
        """The run is over, and this is the `seq` of its last message."""
        try:
            await self._do(lambda: self._opened().end(seq))
        except OutboxError as exc:
            self._lose_disk(exc)

    async def put(self, messages: Sequence[Message]) -> None:
        """Keep messages; if the outbox is full then, wait for room.

        If none comes in time, what is put from then on becomes dead letters, until there is room.
        """
        if self._is_in_memory:
            await self._put_in_memory(messages)
            return
        reason = f"the outbox was full for {self._full_wait:g} s" if self._was_in_vain else ""
        at = self._now()
        try:
            added = await self._do(lambda: self._opened().add(messages, dead_if_full=reason, at=at))
            if added.is_dead:
                self._on_given_up(Count(kept=len(messages)), reason)
                self._tell_dropped(added.dropped)
                return
            self._was_in_vain = False
            self._hand_over(messages, is_new=added.is_new)
            if added.is_full:
                await self._wait_for_room(added)
            elif added.totals.waiting <= len(messages):
                self._is_full_told = False
        except OutboxError as exc:
            self._lose_disk(exc)
            await self._put_in_memory(messages)

    async def take(self, on_idle: Callable[[], None]) -> Message | None:
        """The next one: from the disk as long as it has one, then from memory."""
        while True:
            self._wake.clear()
            # At the end it looks once more, for what another run of the same session has put.
            is_read = self._is_unreadable or (self._is_caught_up and not self._is_closed)
            if not self._ready and not is_read:
                await self._read()
            if self._ready:
                self._is_rest_in_hand = False
                return self._ready.popleft()
            if len(self._rest):
                self._is_rest_in_hand = True
                return await self._rest.take(on_idle)
            if not self._is_caught_up and not self._is_unreadable:
                continue
            on_idle()
            if self._is_closed:
                return None
            await self._wake.wait()

    async def settle(self, message: Message) -> None:
        """Forget it, while the next one is under way: a crash sends two again, and no more."""
        if self._is_rest_in_hand:
            await self._rest.settle(message)
            return
        self._done[message.session] = message.seq
        before = self._marking
        if not self._is_in_memory:
            self._marking = self._begin(lambda: self._opened().delivered(message))
            self._room.set()
        await self._heard(before)

    async def bury(self, message: Message, reason: str) -> Count:
        """Make a dead letter of it; one that only memory holds is lost."""
        if self._is_rest_in_hand:
            return await self._rest.bury(message, reason)
        self._done[message.session] = message.seq
        await self._marked()
        if not self._is_in_memory:
            at = self._now()
            try:
                dropped = await self._do(lambda: self._opened().bury(message, reason, at))
            except OutboxError as exc:
                self._lose_disk(exc)
            else:
                self._room.set()
                self._tell_dropped(dropped)
        return Count(kept=1)  # where it could not be marked, it waits there for the next run

    async def bury_all(self, messages: Sequence[Message], reason: str) -> Count:
        """Make dead letters of these, and of all that is ours to send."""
        self._ready.clear()
        await self._marked()
        at = self._now()

        def work() -> tuple[int, int]:
            dropped = self._opened().add_dead(messages, reason, at)
            dead, dropped_then = self._opened().bury_all(reason, at)
            return len(messages) + dead, dropped + dropped_then

        if not self._is_in_memory:
            try:
                dead, dropped = await self._do(work)
            except OutboxError as exc:
                self._lose_disk(exc)
            else:
                self._room.set()
                self._tell_dropped(dropped)
                return Count(kept=dead)
        return await self._rest.bury_all(messages, reason)

    def hurry(self) -> None:
        """Wait for room no more: what was put stays on the disk."""
        self._is_hurried = True
        self._room.set()

    def close(self) -> None:
        """There will be no more."""
        self._is_closed = True
        self._rest.close()
        self._wake.set()

    async def left(self) -> Count:
        """What waits on the disk for another run, and what is lost with this process."""
        await self._marked()
        lost = await self._rest.left()
        if self._is_unreadable:
            return lost
        try:
            return Count(await self._do(lambda: self._opened().count()), lost.lost)
        except OutboxError as exc:
            self._lose_disk(exc)
            return lost

    async def release(self) -> None:
        """Close the file, and let others have the sessions."""
        try:
            await self._do(self._close)
        except OutboxError as exc:
            self._on_trouble(str(exc))
        finally:
            self._thread.shutdown(wait=False)

    def _begin(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _do(self, work: Callable[[], T]) -> T:
        """Have something done: also if nobody waits for it any more, for he was cancelled."""
        future = self._begin(work)
        await asyncio.wait([future])
        return future.result()

    def _close(self) -> None:
        if self._share is not None:
            self._share.close()

    def _opened(self) -> Share:
        assert self._share is not None, "used before open()"
        return self._share

    def _hand_over(self, messages: Sequence[Message], *, is_new: bool) -> None:
        """What was put need not be read again, where the sender has nothing else to read."""
        has_room = len(self._ready) + len(messages) <= AT_ONCE
        if self._is_caught_up and self._is_ours and is_new and has_room:
            self._ready.extend(messages)
        else:
            self._is_caught_up, self._has_missed = False, True
        self._wake.set()

    async def _read(self) -> None:
        self._is_caught_up = self._has_missed = False
        await self._marked()
        # What is done with is gone from the disk, unless the disk takes no changes any more.
        after = dict(self._done) if self._is_in_memory else {}
        try:
            batch = await self._do(lambda: self._opened().next(after))
        except OutboxError as exc:
            self._is_unreadable = True
            self._lose_disk(exc)
        else:
            self._ready.extend(batch.messages)
            self._is_caught_up = not batch.may_be_more and not self._has_missed
            self._is_ours = batch.is_ours

    async def _marked(self) -> None:
        """Wait until the message before is forgotten."""
        await self._heard(self._marking)
        self._marking = None

    async def _heard(self, marking: "asyncio.Future[None] | None") -> None:
        if marking is None:
            return
        await asyncio.wait([marking])
        try:
            marking.result()
        except OutboxError as exc:
            self._lose_disk(exc)

    async def _wait_for_room(self, added: Added) -> None:
        if not self._is_full_told:
            self._is_full_told = True
            waiting, size = added.totals.waiting, added.totals.bytes
            self._on_trouble(
                f"the outbox is full ({waiting} messages, {size} bytes); "
                f"the run waits for room, {self._full_wait:g} s at most"
            )
        try:
            async with asyncio.timeout(self._full_wait):
                is_full = True
                while is_full and not self._is_hurried:
                    self._room.clear()
                    is_full = await self._do(lambda: self._opened().is_full())
                    if is_full and not self._is_hurried:
                        await pause(_LOOK, self._room)
        except TimeoutError:
            self._was_in_vain = True

    def _lose_disk(self, exc: OutboxError) -> None:
        if self._is_in_memory:
            return
        self._is_in_memory = True
        self._on_trouble(f"{exc}; from now on messages wait in memory, for this run only")

    async def _put_in_memory(self, messages: Sequence[Message]) -> None:
        await self._rest.put(messages)
        self._wake.set()

    def _tell_dropped(self, count: int) -> None:
        if count:
            self._on_given_up(Count(lost=count), _DROPPED)

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")
