"""The body of an answer: read whole, or as the stream of events that it is."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp
from msgspec.structs import replace

from pipeline.core.sse import SseEvent, SseParser, SseTooLargeError
from pipeline.shell.http import EVENT_STREAM, read_up_to
from pipeline.shell.http_clock import Clock
from pipeline.shell.http_credentials import Answer
from pipeline.shell.http_failures import explain
from pipeline.shell.http_sse import is_header_safe

ACCEPTED = 202
EXCERPT = 2000  # characters kept of a body that is no JSON
_PATIENCE = 2.0  # seconds for such a body: what matters is known by then


@dataclass(frozen=True, slots=True)
class Body:
    """What a body says. `reason`: what of it was lost on the way. `is_lost`: and it was needed."""

    text: str
    reason: str = ""
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """How a stream ended: in good order, or for a `reason`; `last_event_id` is fit for a header."""

    reason: str
    last_event_id: str
    retry_ms: int | None


async def read_body(answer: Answer, clock: Clock, *, most: int) -> Body:
    """Read a body. JSON and events are whole, up to `most` bytes, all else is cut to `EXCERPT`.

    JSON of an answer that says more than "accepted" is waited for as long as the clock lets us;
    without any other body an answer is one as well. What an authorizer has seen is not read on.
    """
    response, place = answer.response, answer.target.place
    is_json, is_events = _is_json(response.content_type), response.content_type == EVENT_STREAM
    is_needed = is_json and answer.is_success and response.status != ACCEPTED
    if answer.body is not None:
        text = answer.hide(answer.body.decode("utf-8", "replace"))
        return Body(text if is_json and answer.is_whole else text[:EXCERPT], answer.note)
    limit = most if is_json or is_events else EXCERPT * 4
    body, reason, is_whole = bytearray(), "", False
    try:
        async with asyncio.timeout_at(clock.end() if is_needed else clock.end(_PATIENCE)):
            is_whole = await read_up_to(response, limit, into=body)
        if is_json and not is_whole:
            reason = f"the answer is larger than {limit} bytes (--max-body-bytes)"
    except TimeoutError:
        reason = f"the answer of {place} did not end in time"
    except (aiohttp.ClientError, OSError) as exc:
        reason = explain(exc, answer.target.url)
    text = answer.hide(body.decode("utf-8", "replace"))
    is_kept = is_whole and (is_json or is_events)
    return Body(text if is_kept else text[:EXCERPT], reason, is_needed and bool(reason))


async def read_events(
    answer: Answer,
    clock: Clock,
    *,
    most: int,
    push: Callable[[SseEvent], None],
    room: Callable[[], Awaitable[None]],
) -> Ended:
    """Read an event stream to its end, or to that of the clock; no event of more than `most` bytes.

    Waits for `room` before it reads on: the bytes then stay in the socket, and TCP slows the server
    down. That time is of our own doing, and does not count.
    """
    place, content = answer.target.place, answer.response.content
    parser, reason = SseParser(max_event_bytes=most), ""
    try:
        async with clock.running():
            while chunk := await content.readany():
                for item in parser.feed(chunk):
                    if isinstance(item, SseEvent):
                        push(replace(item, data=answer.hide_tokens(item.data)))
                with clock.stopped():
                    await room()
    except SseTooLargeError as exc:
        reason = f"{place} sent too much: {exc}"
    except TimeoutError:
        reason = f"the answer of {place} did not end within {clock.limit}"
    except (aiohttp.ClientError, OSError) as exc:
        reason = explain(exc, answer.target.url)
    last = parser.last_event_id
    return Ended(reason, last if is_header_safe(last) else "", parser.retry_ms)


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")
