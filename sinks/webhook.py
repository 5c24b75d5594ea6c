"""Events to an HTTP receiver, in order, in the form of Standard Webhooks.

Sent are what other systems act upon, never letters as they stream: `session_ready`,
`session_closed`, `tool_ended`, `request_ended`, `question_asked`, `answer_completed`, `problem`,
`run_ended`.

Each message is delivered (answered with 2xx), or becomes a dead letter with the reason. Until then
it is on the disk, in the outbox of its receiver: `emit` returns when it is there, so neither a
crash nor `kill -9` takes it, and the next run with the same webhook delivers it. It has the same
`webhook-id` however often it is sent; one whose answer was lost, or that a crash kept from being
marked, is sent again under it. A replay takes the same way, so it sends all of a recording again.

What is tried how often, `webhook_courier` says. A 410 ends it for good. A receiver that is down
harms nobody: only a full outbox makes a run wait, and not for long. Where there is no outbox (told,
or asked for), the newest 1,000 messages wait in memory, and one that was tried `attempts` times is
lost, which is told with the number.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import aiohttp

from config.options import WebhookOptions
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
from sinks.base import SinkError
from sinks.outbox_place import OutboxError
from sinks.outbox_queue import OutboxQueue
from sinks.outbox_share import Share, open_share
from sinks.standard_webhooks import read_secret, require_session, to_message
from sinks.webhook_courier import Courier
from sinks.webhook_post import shown, tagged
from sinks.webhook_queue import MemoryQueue, Queue
from sinks.webhook_sender import send_all
from sinks.webhook_times import Times
from sinks.webhook_words import Teller

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
_SYSTEM = Times()


def open_http() -> aiohttp.ClientSession:
    """A session that minds the proxy settings of the environment and keeps no cookies."""
    return aiohttp.ClientSession(
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "rxmcp"},
    )


class WebhookSink:
    """Delivers a session's outcomes to `url`.

    `on_problem` gets words without URL or secret, on the loop; it may be called until `close`
    returns, which may take `options.drain` seconds. `secret` is `whsec_…`; without one messages
    are not signed. `http` makes the client session, which the sink closes.
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
        times: Times = _SYSTEM,
    ) -> None:
        self._url = url
        self._options = options
        self._session = session
        self._teller = Teller(on_problem)
        self._secret = secret
        self._open_http = http
        self._times = times
        self._queue: Queue = MemoryQueue(self._teller.given_up)
        self._http: aiohttp.ClientSession | None = None
        self._courier: Courier | None = None
        self._sender: asyncio.Task[None] | None = None
        self._known = 0
        self._mark: int | None = None

    @property
    def name(self) -> str:
        """`webhook=https://host/…#3f9a`; the four digits tell two URLs on one host apart."""
        return f"webhook={tagged(self._url)}"

    def goes_on(self, known: int) -> None:
        """Before `open`: the run goes on after this entry of an earlier one."""
        self._known = known

    def lacks(self, seq: int) -> bool:
        """Was the earlier run killed before its outbox had this entry?"""
        return self._mark is not None and self._mark < seq <= self._known

    def wants(self, item: Item) -> bool:
        """Outcomes that other systems act upon."""
        return isinstance(item, DELIVERED)

    async def open(self) -> None:
        """Check URL and secret, open the outbox, and start to send.

        An outbox that cannot be used is told, and messages wait in memory.

        Raises:
            SinkError: If URL, secret or session have another form than expected.
        """
        try:
            shown(self._url)
            require_session(self._session)
            key = None if self._secret is None else read_secret(self._secret)
        except ValueError as exc:
            raise SinkError(str(exc)) from exc
        if self._options.outbox == "disk":
            await self._open_outbox()
        self._http = self._open_http()
        self._courier = Courier(
            self._http,
            self._url,
            self._options,
            key=key,
            is_patient=lambda: self._queue.is_lasting,
            on_down=self._teller.down,
            times=self._times,
        )
        sending = send_all(self._queue, self._courier, self._teller)
        self._sender = asyncio.create_task(sending, name=self.name)

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Keep messages; returns when they are on the disk. Raises if the sending has broken."""
        if self._sender is None:
            raise RuntimeError(f"{self.name} is used before open()")
        if not entries:
            return
        messages = [to_message(entry, self._session) for entry in entries]
        if reason := self._teller.gone_for:
            self._teller.given_up(await self._queue.bury_all(messages, reason), reason)
            return
        if self._sender.done():
            self._sender.result()
        await self._queue.put(messages)
        if isinstance(self._queue, OutboxQueue) and isinstance(entries[-1].item, RunEnded):
            await self._queue.end(entries[-1].seq)

    def hurry(self) -> None:
        """The run is over: a full outbox makes nobody wait any more."""
        self._queue.hurry()

    async def close(self) -> None:
        """Give what waits `options.drain` seconds, end the sending, tell what was not delivered."""
        self._queue.close()
        if self._sender is None or self._courier is None or self._http is None:
            await self._queue.release()
            return
        self._teller.is_closing = True
        self._courier.hurry()
        try:
            await asyncio.wait([self._sender], timeout=self._options.drain)
        finally:
            # Each step, whatever becomes of those before: whoever gives up waiting leaves nothing
            # open, and is told as well.
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self._queue.release)
                stack.push_async_callback(self._tell_left, self._courier)
                stack.push_async_callback(self._http.close)
                self._sender.cancel()
                await asyncio.wait([self._sender])
        if not self._sender.cancelled():
            self._sender.result()

    async def _tell_left(self, courier: Courier) -> None:
        left = await self._queue.left()
        reason = courier.reason if self._queue.is_sender else "another run sends them"
        self._teller.end(left, reason)

    async def _open_outbox(self) -> None:
        queue = OutboxQueue(
            full_wait=self._options.full_wait,
            on_trouble=self._teller.say,
            on_given_up=self._teller.given_up,
            clock=self._times.clock,
        )
        try:
            await queue.open(self._open_share)
        except OutboxError as exc:
            self._teller.say(f"{exc}; messages wait in memory, for this run only")
        else:
            self._queue, self._mark = queue, queue.mark

    def _open_share(self) -> Share:
        return open_share(self._url, self._options, self._session, known=self._known)
