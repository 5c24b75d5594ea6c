"""The socket end of a server's event stream: one connection, from request to end.

Requests and answers follow the WHATWG HTML standard, 9.2, as far as it is about connections; what
comes in between is `pipeline.core.sse`'s business, and coming back after an end is
`retry_with_backoff`'s.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

import aiohttp
from multidict import CIMultiDict

from config.options import StreamOptions
from pipeline.core.events import FrameReceived, StreamOpened
from pipeline.core.sse import SseEvent, SseParser, SseTooLargeError
from pipeline.shell.http import EVENT_STREAM, RedirectRefusedError, read_up_to, retry_after
from pipeline.shell.http_clock import Clock, Limit, Watch
from pipeline.shell.http_credentials import Answer, request_as, request_headers
from pipeline.shell.http_failures import explain, is_hopeless
from pipeline.shell.targets import Target

OK = 200
LONGEST_ID = 4096  # bytes; common servers refuse headers above 8 KiB
EXCERPT = 200  # characters of a refusal that are told
_PEEK = 4096  # bytes of a refusal that are read
_PEEK_PATIENCE = 2.0  # seconds for that: the status is told in any case

_PASSING = frozenset({408, 425, 429})  # and 5xx: a later attempt may fare better
_MEANINGS = {
    204: "the server asks not to be called again",
    401: "the server wants other credentials; check the API key",
    403: "the server does not allow this; check the API key",
    404: "there is nothing at this address; check the URL",
    405: "this address takes no GET; check the URL",
    410: "what was at this address is gone for good",
    429: "the server has too many requests",
    503: "the server is not available now",
}


@dataclass(frozen=True, slots=True)
class StreamAlive:
    """Bytes came that completed no event: the server lives. Never recorded."""

    server: str


StreamItem: TypeAlias = StreamOpened | StreamAlive | FrameReceived


class StreamError(ConnectionError):
    """A stream ended; the text says why, in words that may be shown.

    `retry_after`: seconds that the server asked to be left alone, None: it did not. `status`: the
    HTTP status if it answered with one. `is_fatal`: another attempt would end in the same way.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        is_fatal: bool = False,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.status = status
        self.is_fatal = is_fatal


class StreamUnreachableError(StreamError):
    """No answer came."""


class StreamRefusedError(StreamError):
    """An answer came, and it was no event stream."""


class StreamEndedError(StreamError):
    """An open stream ended. Streams are endless, so that is an error, however clean."""


class StreamTooLargeError(StreamError):
    """The server sent an event that is larger than we agreed to hold."""


@dataclass(slots=True)
class StreamMemory:
    """What one connection leaves to the next: where to resume, and the pause it asked for."""

    last_event_id: str = ""
    retry_ms: int | None = None

    @property
    def pause(self) -> float | None:
        """Seconds to wait before any new connection, None: the server never said."""
        return None if self.retry_ms is None else self.retry_ms / 1000


async def read_stream(
    http: aiohttp.ClientSession,
    target: Target,
    *,
    options: StreamOptions,
    memory: StreamMemory,
    push: Callable[[StreamItem], None],
    room: Callable[[], Awaitable[None]],
    now: Callable[[], float],
) -> None:
    """Read one connection to its end, and `memory` along the way; never returns normally.

    Pushes `StreamOpened`, then a `FrameReceived` per event, or one `StreamAlive` per chunk of bytes
    that completed none. Waits for `room` before it reads on: the bytes then stay in the socket, and
    TCP slows the server down. `now` is the time of day in seconds since the epoch.

    Connecting and being answered has one deadline, `options.connect_timeout`. A stream has none:
    noticing its silence is `heartbeat`'s.

    Raises:
        StreamError: Always, in the end.
    """
    answer = await _connect(http, target, options, memory)
    response = answer.response
    try:
        if response.status != OK or response.content_type != EVENT_STREAM:
            raise await _refusal(answer, memory, now)
        push(StreamOpened(server=target.name))
        parser = SseParser(
            max_event_bytes=options.max_event_bytes, last_event_id=memory.last_event_id
        )
        while chunk := await _read(response, target, memory):
            _deliver(chunk, parser, answer, memory, push)
            await room()
    finally:
        response.close()
    raise StreamEndedError(f"{target.place} ended the stream", retry_after=memory.pause)


async def _connect(
    http: aiohttp.ClientSession, target: Target, options: StreamOptions, memory: StreamMemory
) -> Answer:
    clock = Clock(Limit(options.connect_timeout, "--connect-timeout"))
    watch, headers = Watch(clock), _headers(target, memory)
    try:
        async with clock.running():
            return await request_as(target, http, "GET", target.url, headers=headers, watch=watch)
    except RedirectRefusedError as exc:
        raise StreamRefusedError(str(exc), status=exc.status, is_fatal=True) from exc
    except TimeoutError as exc:
        raise StreamUnreachableError(
            f"{watch.complaint(target.place)} within {clock.limit}",
            retry_after=memory.pause,
        ) from exc
    except (aiohttp.ClientError, OSError) as exc:
        raise StreamUnreachableError(
            explain(exc, target.url), retry_after=memory.pause, is_fatal=is_hopeless(exc)
        ) from exc


def _headers(target: Target, memory: StreamMemory) -> CIMultiDict[str]:
    fixed = {
        "Accept": EVENT_STREAM,
        "Accept-Encoding": "identity",  # a proxy that compresses a stream holds it back
        "Cache-Control": "no-cache",
    }
    if is_header_safe(memory.last_event_id):
        fixed["Last-Event-ID"] = memory.last_event_id
    return request_headers(target, {}, fixed)


def is_header_safe(event_id: str) -> bool:
    """May an id be sent back? Servers can set ids that no HTTP request can carry.

    With such an id the stream starts afresh instead: better than never again.
    """
    if not 0 < len(event_id.encode()) <= LONGEST_ID:
        return False
    return not any(ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0 for sign in event_id)  # noqa: PLR2004  control characters


async def _refusal(
    answer: Answer, memory: StreamMemory, now: Callable[[], float]
) -> StreamRefusedError:
    response, status = answer.response, answer.response.status
    if status == OK:
        text = f"found content type {response.content_type!r}, expected {EVENT_STREAM!r}"
    else:
        text = f"HTTP {status}"
        if status in _MEANINGS:
            text += f": {_MEANINGS[status]}"
    if answer.note:
        text += f"; {answer.note}"
    said = " ".join(answer.hide(await _peek(answer)).split())[:EXCERPT]
    wish = retry_after(response.headers.get("Retry-After"), now())
    return StreamRefusedError(
        f"{text}; it says {said!r}" if said else text,
        retry_after=memory.pause if wish is None else wish,
        status=status,
        is_fatal=not (status in _PASSING or 500 <= status <= 599),  # noqa: PLR2004  RFC 9110, 15.6
    )


async def _peek(answer: Answer) -> str:
    """The beginning of a body; nothing of it where it does not come: the status says enough."""
    if answer.body is not None:
        return answer.body[:_PEEK].decode("utf-8", "replace")
    body = bytearray()
    with contextlib.suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(_PEEK_PATIENCE):
            await read_up_to(answer.response, _PEEK, into=body)
    return body.decode("utf-8", "replace")


async def _read(response: aiohttp.ClientResponse, target: Target, memory: StreamMemory) -> bytes:
    """The bytes that have come, or the next that come; empty at the end."""
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, OSError) as exc:
        raise StreamEndedError(
            f"the stream broke off: {explain(exc, target.url)}",
            retry_after=memory.pause,
        ) from exc


def _deliver(
    chunk: bytes,
    parser: SseParser,
    answer: Answer,
    memory: StreamMemory,
    push: Callable[[StreamItem], None],
) -> None:
    try:
        found = parser.feed(chunk)
    except SseTooLargeError as exc:
        raise StreamTooLargeError(
            f"{answer.target.place} sent too much: {exc}", retry_after=memory.pause
        ) from exc
    finally:
        memory.last_event_id = parser.last_event_id
        if parser.retry_ms is not None:
            memory.retry_ms = parser.retry_ms
    events = [item for item in found if isinstance(item, SseEvent)]
    server = answer.target.name
    for event in events:
        data = answer.hide_tokens(event.data)
        push(FrameReceived(server=server, event=event.event, data=data, id=event.id))
    if not events:
        push(StreamAlive(server))
