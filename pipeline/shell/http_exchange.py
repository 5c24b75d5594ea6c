"""Messages over Streamable HTTP: side by side, each with an answer of its own that may be a stream.

basic/transports, "Streamable HTTP", "Sending Messages to the Server" and "Listening for Messages".
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import aiohttp
import msgspec
from multidict import CIMultiDict

from config.options import PostOptions, StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.events import AnswerEnded, FrameReceived, PostAnswered
from pipeline.core.sse import SseEvent, SseParser, SseTooLargeError
from pipeline.shell.http import RedirectRefusedError, Watch, read_up_to, request
from pipeline.shell.http_credentials import request_as
from pipeline.shell.http_failures import explain
from pipeline.shell.targets import Target, check_header, origin, public_url

SESSION_ID = "Mcp-Session-Id"
EVENT_STREAM = "text/event-stream"
MOST_UNDER_WAY = 256
_EXCERPT = 2000  # characters kept of a body that is no JSON
_FAREWELL = 2.0  # seconds for the DELETE at the end
_PATIENCE = 2.0  # seconds for the body of a refusal: its status is known by then


@dataclass(eq=False, slots=True)
class _Exchange:
    """One message, or wish for a stream, and how far it has come."""

    ask: Post | Get
    watch: Watch = field(default_factory=Watch)
    task: "asyncio.Task[None] | None" = None
    is_answered: bool = False
    is_open: bool = False
    is_silent: bool = False


class Exchanges:
    """The messages to one server that go side by side.

    Every `Post` and `Get` leads to exactly one `PostAnswered`; if that `is_open`, its events follow
    as `FrameReceived` with its id, and exactly one `AnswerEnded`. After `cut` and `drop` nothing
    more comes, but for the `PostAnswered` of one that was cut before it was answered. `on_success`
    is called for each answer that the server gave gladly (2xx).

    A `Post` has `seconds` to the end of its answer; a `Get` has the `connect_timeout` for its
    answer, and then no limit. `room` is awaited before more of a stream is read, so that TCP slows
    the server down.
    """

    def __init__(
        self,
        target: Target,
        http: aiohttp.ClientSession,
        *,
        post: PostOptions,
        stream: StreamOptions,
        put: Callable[[PostAnswered | FrameReceived | AnswerEnded], None],
        room: Callable[[], Awaitable[None]],
        on_success: Callable[[], None],
    ) -> None:
        self._target = target
        self._http = http
        self._post = post
        self._stream = stream
        self._put = put
        self._room = room
        self._on_success = on_success
        self._open: dict[str, _Exchange] = {}
        self._session: tuple[str, dict[str, str]] | None = None
        self._is_closed = False

    def send(self, post: Post) -> None:
        """Send a message at once; never blocks, never raises."""
        self._begin(post)

    def get(self, get: Get) -> None:
        """Ask for a stream; never blocks, never raises."""
        self._begin(get)

    def cut(self, id_: str) -> None:
        """Close an answer; nothing more of it comes."""
        exchange = self._open.get(id_)
        if exchange is not None:
            exchange.is_silent = exchange.is_answered
            self._answer_at_end(exchange, "cut off by us")
            self._stop(exchange)

    def drop(self) -> None:
        """Close all answers, without a word."""
        for exchange in tuple(self._open.values()):
            exchange.is_silent = True
            self._stop(exchange)

    async def run(self) -> None:
        """Wait to be cancelled; then close all, answer what is unanswered, and take leave."""
        try:
            await asyncio.Event().wait()
        finally:
            self._is_closed = True
            left = tuple(self._open.values())
            for exchange in left:
                self._answer_at_end(exchange, "the run ended before the server answered")
                self._stop(exchange)
            tasks = [each.task for each in left if each.task is not None]
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._farewell()

    def _begin(self, ask: Post | Get) -> None:
        exchange = _Exchange(ask)
        if self._is_closed:
            self._answer(exchange, reason="not sent: the run has ended")
        elif len(self._open) >= MOST_UNDER_WAY:
            self._answer(exchange, reason=f"not sent: {len(self._open)} messages are under way")
        else:
            self._open[ask.id] = exchange
            exchange.task = asyncio.create_task(self._run(exchange), name=f"exchange {ask.id}")
            exchange.task.add_done_callback(lambda _: self._forget(exchange))

    def _forget(self, exchange: _Exchange) -> None:
        if self._open.get(exchange.ask.id) is exchange:
            del self._open[exchange.ask.id]

    def _stop(self, exchange: _Exchange) -> None:
        self._forget(exchange)
        if exchange.task is not None:
            exchange.task.cancel()

    async def _run(self, exchange: _Exchange) -> None:
        ask, options = exchange.ask, self._post
        seconds = self._stream.connect_timeout
        if isinstance(ask, Post):
            seconds = options.post_timeout if ask.seconds is None else ask.seconds
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(seconds) as limit:
                response = await self._request(exchange, limit)
                await self._read(exchange, response, limit)
        except RedirectRefusedError as exc:
            self._fail(exchange, f"HTTP {exc.status}: {exc}")
        except TimeoutError:
            what = "no answer came from" if exchange.watch.is_sent else "no connection to"
            what = "the answer did not end of" if exchange.is_answered else what
            self._fail(exchange, f"{what} {self._target.place} within {seconds:g} s")
        except (aiohttp.ClientError, OSError) as exc:
            self._fail(exchange, explain(exc, ask.url))
        except (ValueError, TypeError, RecursionError) as exc:
            self._fail(exchange, f"not sent: {exc}")
        finally:
            if response is not None:
                response.close()

    async def _request(self, exchange: _Exchange, limit: asyncio.Timeout) -> aiohttp.ClientResponse:
        ask = exchange.ask
        self._check_origin(ask.url)
        headers = CIMultiDict(self._target.headers)
        for name, value in ask.headers.items():
            check_header(name, value)
            headers.setdefault(name, value)
        method: Literal["GET", "POST"] = "GET"
        data = None
        if isinstance(ask, Post):
            method, data = "POST", msgspec.json.encode(ask.message)
            headers["Accept"] = f"application/json, {EVENT_STREAM}"
            headers["Content-Type"] = "application/json"
        else:
            headers["Accept"] = EVENT_STREAM
            headers["Cache-Control"] = "no-cache"
        url = self._address(ask.url)
        response = await request_as(
            self._target,
            self._http,
            method,
            url,
            headers=headers,
            data=data,
            watch=exchange.watch,
            limit=limit,
        )
        if SESSION_ID in headers:
            self._session = url, dict(ask.headers)
        return response

    async def _read(
        self, exchange: _Exchange, response: aiohttp.ClientResponse, limit: asyncio.Timeout
    ) -> None:
        if response.ok:
            self._on_success()
        if response.ok and response.content_type == EVENT_STREAM:
            if isinstance(exchange.ask, Get):
                limit.reschedule(None)
            self._answer(exchange, status=response.status, response=response, is_open=True)
            await self._read_events(exchange, response)
            return
        is_json = _is_json(response.content_type)
        if not response.ok or not is_json:
            soon = asyncio.get_running_loop().time() + _PATIENCE
            limit.reschedule(min(soon, limit.when() or soon))
        body, reason = bytearray(), ""
        most = self._post.max_body_bytes if is_json else _EXCERPT * 4
        try:
            is_whole = await read_up_to(response, most, into=body)
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            if response.ok and is_json:
                raise
            is_whole, reason = False, explain(exc, exchange.ask.url)
        if is_json and not is_whole and response.ok:
            self._fail(exchange, f"the answer is larger than {most} bytes (--max-body-bytes)")
            return
        text = self._target.hide(body.decode("utf-8", "replace"))
        text = text if is_json and is_whole else text[:_EXCERPT]
        self._answer(exchange, status=response.status, body=text, reason=reason, response=response)

    async def _read_events(self, exchange: _Exchange, response: aiohttp.ClientResponse) -> None:
        ask, parser = exchange.ask, SseParser(max_event_bytes=self._stream.max_event_bytes)
        reason = ""
        try:
            while chunk := await response.content.readany():
                for item in parser.feed(chunk):
                    if isinstance(item, SseEvent) and not exchange.is_silent:
                        self._put(
                            FrameReceived(
                                server=ask.server,
                                event=item.event,
                                data=item.data,
                                id=item.id,
                                stream=ask.id,
                            )
                        )
                await self._room()
        except SseTooLargeError as exc:
            reason = f"{self._target.place} sent too much: {exc} (--max-event-bytes)"
        except TimeoutError:
            reason = f"the answer of {self._target.place} did not end in time"
        except (aiohttp.ClientError, OSError) as exc:
            reason = f"the answer broke off: {explain(exc, ask.url)}"
        if not exchange.is_silent:
            exchange.is_silent = True
            self._put(
                AnswerEnded(
                    server=ask.server,
                    id=ask.id,
                    reason=reason,
                    last_event_id=parser.last_event_id,
                    retry_ms=parser.retry_ms,
                )
            )

    async def _farewell(self) -> None:
        """Tell a server that its session is over; whether it cares is its own matter."""
        if self._session is None:
            return
        url, more = self._session
        headers = CIMultiDict(self._target.headers)
        for name, value in more.items():
            if name.lower() in (SESSION_ID.lower(), "mcp-protocol-version"):
                headers[name] = value
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(_FAREWELL):
                response = await request(self._http, "DELETE", url, headers=headers)
                response.close()

    def _check_origin(self, url: str) -> None:
        home, there = origin(self._target.url), origin(url)
        if there != home:
            raise ValueError(
                f"found a message for {there}, expected the server's own origin {home}, which is"
                " where its credentials stay"
            )

    def _address(self, url: str) -> str:
        """The core knows the server's URL without its query, which may hold a key: put it back."""
        return self._target.url if url == public_url(self._target.url) else url

    def _fail(self, exchange: _Exchange, reason: str) -> None:
        if not exchange.is_answered:
            self._answer(exchange, reason=reason)
        elif exchange.is_open and not exchange.is_silent:
            exchange.is_silent = True
            self._put(AnswerEnded(server=exchange.ask.server, id=exchange.ask.id, reason=reason))

    def _answer_at_end(self, exchange: _Exchange, reason: str) -> None:
        if not exchange.is_answered:
            self._answer(exchange, reason=reason)
        exchange.is_silent = True

    def _answer(
        self,
        exchange: _Exchange,
        *,
        status: int | None = None,
        body: str = "",
        reason: str = "",
        response: aiohttp.ClientResponse | None = None,
        is_open: bool = False,
    ) -> None:
        if exchange.is_answered or exchange.is_silent:
            return
        exchange.is_answered, exchange.is_open = True, is_open
        self._put(
            PostAnswered(
                server=exchange.ask.server,
                id=exchange.ask.id,
                status=status,
                body=body,
                reason=reason,
                is_sent=exchange.watch.is_sent,
                is_open=is_open,
                session_id="" if response is None else response.headers.get(SESSION_ID, ""),
            )
        )


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")
