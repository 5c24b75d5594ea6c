"""Events to an HTTP receiver, in order, in the form of Standard Webhooks.

Sent are what other systems act upon, never letters as they stream: `session_ready`,
`session_closed`, `tool_ended`, `request_ended`, `question_asked`, `answer_completed`, `problem`,
`run_ended`.

A message is tried up to `attempts` times, with full jitter between; then it is given up, and the
next one gets its turn. A message that was answered with 2xx is not sent again. One whose answer was
lost is, under the same `webhook-id`. Messages wait in memory: the newest 1,000 are kept.

A receiver that is down harms nobody: `emit` only queues. It is told through `on_problem` when the
first message is given up, when deliveries work again, and at the end; a 410 ends it for good.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from hashlib import sha256

import aiohttp

from config.options import MailboxOptions, WebhookOptions
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import (
    AnswerCompleted,
    Problem,
    QuestionAsked,
    RequestEnded,
    RunEnded,
    SessionClosed,
    SessionReady,
    ToolEnded,
)
from pipeline.mailbox import Mailbox
from sinks.base import SinkError
from sinks.standard_webhooks import Message, headers, read_secret, require_session, to_message
from sinks.webhook_post import Answer, post, shown

DELIVERED = (
    AnswerCompleted,
    Problem,
    QuestionAsked,
    RequestEnded,
    RunEnded,
    SessionClosed,
    SessionReady,
    ToolEnded,
)
MAX_WAITING = 1000
_NO_TIME = "there was no time left"


def open_http() -> aiohttp.ClientSession:
    """A session that minds the proxy settings of the environment and keeps no cookies."""
    return aiohttp.ClientSession(
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "rxmcp"},
    )


def delay_before(options: WebhookOptions, attempt: int, jitter: float, wish: float | None) -> float:
    """Seconds to wait before an attempt, the second or later; `jitter` is 0 to 1.

    A share of a ceiling that doubles up to `max_delay`, or what the receiver asked for if that is
    longer, up to the same limit.
    """
    ceiling = min(options.max_delay, options.first_delay * 2.0 ** min(attempt - 2, 60))
    return max(ceiling * jitter, min(options.max_delay, wish or 0.0))


class WebhookSink:
    """Delivers a session's outcomes to `url`.

    `on_problem` gets words without URL or secret, on the loop; it may be called until `close`
    returns, which may take `options.drain` seconds. `secret` is `whsec_…`; without one messages
    are not signed. `http` makes the client session, which the sink closes. `clock` is Unix time,
    `chance` 0 to 1.
    """

    def __init__(
        self,
        url: str,
        options: WebhookOptions,
        *,
        session: str,
        on_problem: Callable[[str], None],
        secret: str | None = None,
        http: Callable[[], aiohttp.ClientSession] = open_http,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._url = url
        self._options = options
        self._session = session
        self._on_problem = on_problem
        self._secret = secret
        self._open_http = http
        self._clock = clock
        self._chance = chance
        self._waiting = Mailbox[Message](MailboxOptions(high=MAX_WAITING, low=0), "drop_oldest")
        self._closing = asyncio.Event()
        self._http: aiohttp.ClientSession | None = None
        self._sender: asyncio.Task[None] | None = None
        self._in_hand = 0
        self._is_in_trouble = False
        self._is_gone = False
        self._untold = 0
        self._reason = _NO_TIME

    @property
    def name(self) -> str:
        """`webhook=https://host/…#3f9a`; the four digits tell two URLs on one host apart."""
        try:
            place = shown(self._url)
        except ValueError:
            place = "?"
        return f"webhook={place}#{sha256(self._url.encode()).hexdigest()[:4]}"

    def wants(self, item: Item) -> bool:
        """Outcomes that other systems act upon."""
        return isinstance(item, DELIVERED)

    async def open(self) -> None:
        """Check URL and secret, and start to send.

        Raises:
            SinkError: If one of them has another form than expected.
        """
        try:
            shown(self._url)
            require_session(self._session)
            key = None if self._secret is None else read_secret(self._secret)
        except ValueError as exc:
            raise SinkError(str(exc)) from exc
        self._http = self._open_http()
        self._sender = asyncio.create_task(self._send_all(self._http, key), name=self.name)

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Queue messages. Returns at once, and raises only if the sending itself has broken."""
        if self._sender is None:
            raise RuntimeError(f"{self.name} is used before open()")
        if self._is_gone:
            self._untold += len(entries)
            return
        if self._sender.done():
            self._sender.result()
        dropped = self._waiting.dropped
        for entry in entries:
            self._waiting.put(to_message(entry, self._session))
        if dropped := self._waiting.dropped - dropped:
            self._lose(dropped, f"more than {MAX_WAITING} messages wait for the receiver")

    async def close(self) -> None:
        """Give what waits `options.drain` seconds, end the sending, tell what was not delivered."""
        self._closing.set()
        self._waiting.close()
        if self._sender is None or self._http is None:
            return
        try:
            await asyncio.wait([self._sender], timeout=self._options.drain)
        finally:
            self._sender.cancel()
            await asyncio.wait([self._sender])
            await self._http.close()
        self._untold += self._in_hand + len(self._waiting)
        if self._untold:
            self._on_problem(f"{_messages(self._untold)} not delivered: {self._reason}")
        if not self._sender.cancelled():
            self._sender.result()

    # The sender: one task, one message at a time, so that order is kept.

    async def _send_all(self, http: aiohttp.ClientSession, key: bytes | None) -> None:
        while (message := await self._waiting.take()) is not None:
            self._in_hand = 1
            answer = await self._deliver(http, key, message)
            self._in_hand = 0
            match answer.verdict:
                case "delivered":
                    self._recover()
                case "failed":
                    self._lose(1, answer.reason)
                case "gone":
                    self._give_up(answer.reason)
                    return

    async def _deliver(
        self, http: aiohttp.ClientSession, key: bytes | None, message: Message
    ) -> Answer:
        attempt = 1
        while True:
            now = self._clock()
            answer = await post(
                http,
                self._url,
                message.body,
                headers(message, int(now), key),
                timeout=self._options.timeout,
                now=now,
            )
            self._reason = answer.reason or _NO_TIME
            if answer.verdict != "failed" or attempt == self._options.attempts:
                return answer
            attempt += 1
            delay = delay_before(self._options, attempt, self._chance(), answer.retry_after)
            await self._pause(delay, may_hurry=answer.retry_after is None)

    async def _pause(self, delay: float, *, may_hurry: bool) -> None:
        """Wait. The end of a run shortens a wait, unless the receiver asked for it."""
        if not may_hurry:
            await asyncio.sleep(delay)
        elif self._closing.is_set():
            # Each attempt that is left gets its share of the last seconds.
            await asyncio.sleep(min(delay, self._options.drain / self._options.attempts))
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._closing.wait()

    # What people hear: once when trouble begins, once when it is over, and at the end.

    def _lose(self, count: int, reason: str) -> None:
        self._untold += count
        self._reason = reason
        if self._is_in_trouble or self._closing.is_set():
            return
        self._is_in_trouble = True
        lost, self._untold = _messages(self._untold), 0
        self._on_problem(f"could not deliver {lost}: {reason}; others are still tried")

    def _recover(self) -> None:
        """Trouble is over once nothing waits: a receiver that only limps would tell and tell."""
        if not self._is_in_trouble or len(self._waiting):
            return
        self._is_in_trouble = False
        lost, self._untold = self._untold, 0
        more = f"; {_messages(lost)} more lost in between" if lost else ""
        self._on_problem(f"delivers again{more}")

    def _give_up(self, reason: str) -> None:
        self._is_gone = True
        self._untold += 1
        self._on_problem(f"the receiver wants nothing more ({reason}), so nothing more is sent")


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
