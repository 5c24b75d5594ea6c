"""Where messages wait until they are delivered: what a queue promises, and the one in memory."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from config.options import MailboxOptions
from pipeline.mailbox import Mailbox
from sinks.standard_webhooks import Message

MAX_WAITING = 1000


class Count(NamedTuple):
    """How many messages were not delivered: `kept` on the disk, or `lost`."""

    kept: int = 0
    lost: int = 0


GivenUp: TypeAlias = Callable[[Count, str], None]
"""Hears how many messages were given up, unasked, and why."""


class Queue(Protocol):
    """Messages in order, with one who puts and one who takes; each taken one is settled or buried.

    Nothing here raises for what a disk does.
    """

    @property
    def is_lasting(self) -> bool:
        """Messages are there for another run, so that there is no hurry to give one up."""
        ...

    @property
    def is_sender(self) -> bool:
        """This run sends what it puts; no other run of the same session does."""
        ...

    async def put(self, messages: Sequence[Message]) -> None:
        """Keep messages. A full queue makes its writer wait, for as long as was agreed."""
        ...

    async def take(self, on_idle: Callable[[], None]) -> Message | None:
        """The next one, as soon as there is one; None once closed and empty.

        `on_idle` hears that there is none now.
        """
        ...

    async def settle(self, message: Message) -> None:
        """The message that was taken is delivered."""
        ...

    async def bury(self, message: Message, reason: str) -> Count:
        """The message that was taken is given up."""
        ...

    async def bury_all(self, messages: Sequence[Message], reason: str) -> Count:
        """These are given up unsent, and with them all that waits or was taken."""
        ...

    def hurry(self) -> None:
        """The run is over: nobody waits for room any more."""
        ...

    def close(self) -> None:
        """There will be no more; what is there can still be taken."""
        ...

    async def left(self) -> Count:
        """What is not delivered, the one that was taken included."""
        ...

    async def release(self) -> None:
        """Let go of everything; it is not used any more."""
        ...


class MemoryQueue:
    """The newest 1,000 messages, as long as the process lives."""

    is_lasting = False
    is_sender = True

    def __init__(self, on_given_up: GivenUp) -> None:
        self._on_given_up = on_given_up
        self._waiting = Mailbox[Message](MailboxOptions(high=MAX_WAITING, low=0), "drop_oldest")
        self._in_hand = 0

    def __len__(self) -> int:
        return len(self._waiting)

    async def put(self, messages: Sequence[Message]) -> None:
        """Keep messages; of too many the oldest are forgotten, and told."""
        before = self._waiting.dropped
        for message in messages:
            self._waiting.put(message)
        if lost := self._waiting.dropped - before:
            reason = f"more than {MAX_WAITING} messages wait for the receiver"
            self._on_given_up(Count(lost=lost), reason)

    async def take(self, on_idle: Callable[[], None]) -> Message | None:
        """The next one."""
        if not len(self._waiting):
            on_idle()
        message = await self._waiting.take()
        self._in_hand = 0 if message is None else 1
        return message

    async def settle(self, message: Message) -> None:  # noqa: ARG002  the protocol's
        """It is gone already."""
        self._in_hand = 0

    async def bury(self, message: Message, reason: str) -> Count:  # noqa: ARG002  the protocol's
        """It is lost."""
        self._in_hand = 0
        return Count(lost=1)

    async def bury_all(self, messages: Sequence[Message], reason: str) -> Count:  # noqa: ARG002  the protocol's
        """All of them are lost."""
        lost = len(messages) + self._in_hand + len(self._waiting)
        self._in_hand = 0
        if len(self._waiting):
            await self._waiting.take_all()
        return Count(lost=lost)

    def hurry(self) -> None:
        """Nobody waits for room here."""

    def close(self) -> None:
        """There will be no more."""
        self._waiting.close()

    async def left(self) -> Count:
        """All that is not delivered is lost."""
        return Count(lost=self._in_hand + len(self._waiting))

    async def release(self) -> None:
        """There is nothing to let go of."""
