"""The way of messages from a queue to their receiver: one at a time, so that order is kept."""

from typing import Protocol

from sinks.webhook_courier import Courier
from sinks.webhook_queue import Count, Queue


class Heard(Protocol):
    """Who is told what becomes of messages."""

    def delivered(self) -> None:
        """One is delivered."""
        ...

    def idle(self) -> None:
        """Nothing waits now. May be called again and again."""
        ...

    def given_up(self, count: Count, reason: str) -> None:
        """So many will not be sent."""
        ...

    def gone(self, reason: str) -> None:
        """The receiver wants nothing more. What waits is given up after this."""
        ...


async def send_all(queue: Queue, courier: Courier, heard: Heard) -> None:
    """Send what there is, and what comes, until the queue is closed and empty.

    Ends before that where nothing more is wanted, or not now.
    """
    while (message := await queue.take(heard.idle)) is not None:
        outcome = await courier.deliver(message)
        match outcome.verdict:
            case "delivered":
                await queue.settle(message)
                heard.delivered()
            case "given_up":
                heard.given_up(await queue.bury(message, outcome.reason), outcome.reason)
            case "gone":
                heard.gone(outcome.reason)
                heard.given_up(await queue.bury_all((), outcome.reason), outcome.reason)
                return
            case "later":
                return
