"""Delivers one message: attempts, pauses between them, and when it is time to give up.

What an answer says decides whose trouble it is:

* *refused* (4xx, 3xx): the receiver does not want this message. So many attempts, then it is given
  up, and the next one gets its turn.
* *failed* (5xx, 408, 425, 429, or no answer): the receiver is in trouble, and would refuse the next
  one as well. As long as messages are safe on the disk, it is tried until `patience` is over.

Pauses have full jitter, and a ceiling that doubles; `Retry-After` may lengthen them.
"""

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias

import aiohttp
import msgspec

from config.options import WebhookOptions
from sinks.standard_webhooks import Message, headers
from sinks.webhook_post import Answer, post
from sinks.webhook_times import Times

NO_TIME = "there was no time left"
Verdict: TypeAlias = Literal["delivered", "given_up", "gone", "later"]


class Outcome(msgspec.Struct, frozen=True):
    """How a delivery ended. `later`: not yet, and it is not worth waiting for now."""

    verdict: Verdict
    reason: str = ""


def delay_before(options: WebhookOptions, attempt: int, jitter: float, wish: float | None) -> float:
    """Seconds to wait before an attempt, the second or later; `jitter` is 0 to 1.

    A share of a ceiling that doubles up to `max_delay`, or what the receiver asked for if that is
    longer, up to the same limit.
    """
    ceiling = min(options.max_delay, options.first_delay * 2.0 ** min(attempt - 2, 60))
    return max(ceiling * jitter, min(options.max_delay, wish or 0.0))


class Courier:
    """Takes messages to `url`, one at a time.

    `key` signs them, if there is one. `is_patient`: messages are safe where they are. `on_down`
    hears why, each time that a receiver has failed for all attempts and is tried on.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        options: WebhookOptions,
        *,
        key: bytes | None,
        is_patient: Callable[[], bool],
        on_down: Callable[[str], None],
        times: Times,
    ) -> None:
        self.reason = NO_TIME
        """Why the latest attempt failed."""
        self._http = http
        self._url = url
        self._options = options
        self._key = key
        self._is_patient = is_patient
        self._on_down = on_down
        self._times = times
        self._closing = asyncio.Event()
        self._never = asyncio.Event()
        self._down_since: float | None = None

    def hurry(self) -> None:
        """The run is over: pauses are cut short, and patience is at its end."""
        self._closing.set()

    async def deliver(self, message: Message) -> Outcome:
        """Try a message until it is delivered, or there is a reason to stop."""
        attempts = refusals = 0
        while True:
            answer = await self._try(message)
            self.reason = answer.reason or NO_TIME
            attempts += 1
            match answer.verdict:
                case "delivered":
                    self._down_since = None
                    return Outcome("delivered")
                case "gone":
                    return Outcome("gone", answer.reason)
                case "refused":
                    self._down_since = None
                    refusals += 1
                    so_far = refusals if self._is_patient() else attempts
                    if so_far >= self._options.attempts:
                        return Outcome("given_up", answer.reason)
                case "failed":
                    outcome = self._is_it_time(attempts, answer.reason)
                    if outcome is not None:
                        return outcome
            wish = answer.retry_after
            delay = delay_before(self._options, attempts + 1, self._times.chance(), wish)
            await self._pause(delay, may_hurry=wish is None)

    def _is_it_time(self, attempts: int, reason: str) -> Outcome | None:
        """To stop, after so many attempts?"""
        now = self._times.monotonic()
        if self._down_since is None:
            self._down_since = now
        if attempts < self._options.attempts:
            return None
        if not self._is_patient() or now - self._down_since >= self._options.patience:
            return Outcome("given_up", reason)
        if self._closing.is_set():
            return Outcome("later", reason)
        if attempts == self._options.attempts:
            self._on_down(reason)
        return None

    async def _try(self, message: Message) -> Answer:
        now = self._times.clock()
        return await post(
            self._http,
            self._url,
            message.body,
            headers(message, int(now), self._key),
            timeout=self._options.timeout,
            now=now,
        )

    async def _pause(self, delay: float, *, may_hurry: bool) -> None:
        """Wait. The end of a run shortens a wait, unless the receiver asked for it."""
        if not may_hurry:
            await self._times.pause(delay, self._never)
        elif self._closing.is_set():
            # Each attempt that is left gets its share of the last seconds.
            share = self._options.drain / self._options.attempts
            await self._times.pause(min(delay, share), self._never)
        else:
            await self._times.pause(delay, self._closing)
