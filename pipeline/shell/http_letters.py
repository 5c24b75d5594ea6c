"""One message to a server, or one wish for a stream, on its way: what is said of it, and once."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec
from multidict import CIMultiDict

from config.options import PostOptions, StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.events import AnswerEnded, FrameReceived, PostAnswered
from pipeline.core.session.wire import is_proof
from pipeline.core.sse import SseEvent
from pipeline.shell.http import EVENT_STREAM, Method
from pipeline.shell.http_clock import Clock, Limit, Watch
from pipeline.shell.http_credentials import address, request_headers
from pipeline.shell.targets import Target

Put: TypeAlias = Callable[[PostAnswered | FrameReceived | AnswerEnded], None]

_SESSION_ID = re.compile(r"[\x21-\x7e]{1,4096}")  # visible ASCII, that a request can carry


@dataclass(eq=False, slots=True)
class Letter:
    """A `Post` or `Get` and how far it is; the only place that says anything of it.

        waiting --answer--> over
        waiting --open----> open --end--> over

    What is said out of turn is not said at all: so there is exactly one `PostAnswered`, then frames
    only while it is open, then one `AnswerEnded`; and of an open one nothing more after `stop`.
    """

    ask: Post | Get
    clock: Clock
    watch: Watch
    put: Put
    state: Literal["waiting", "open", "over"] = "waiting"
    last_word: str = "the run ended before the server answered"
    task: "asyncio.Task[None] | None" = None
    way_is_free: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_ordered(self) -> bool:
        """Must those before it be there first? Then a stream of events is but a body, too."""
        return isinstance(self.ask, Post) and not self.ask.side_by_side

    @property
    def is_soon_passed(self) -> bool:
        """May those behind it leave as soon as it has, without waiting for what is said of it?

        A request may take its time to be taken, and waits for none of those. What tells the server
        something, as `initialized` does, must be there before what comes next.
        """
        message = {} if isinstance(self.ask, Get) else self.ask.message
        is_request = "method" in message or "tool" in message
        return is_request and message.get("id") is not None

    @property
    def is_proof(self) -> bool:
        """Is the server of use if it gives this a good answer?"""
        return isinstance(self.ask, Get) or is_proof(self.ask.message)

    def answer(
        self,
        *,
        status: int | None = None,
        body: str = "",
        reason: str = "",
        session_id: str = "",
        is_open: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """Say how the server took it, or why there is no answer."""
        if self.state != "waiting":
            return
        self.state = "open" if is_open else "over"
        self.put(
            PostAnswered(
                server=self.ask.server,
                id=self.ask.id,
                status=status,
                body=body,
                reason=reason,
                is_sent=self.watch.is_sent,
                is_open=is_open,
                session_id=session_id if _SESSION_ID.fullmatch(session_id) else "",
                retry_after=retry_after,
            )
        )

    def frame(self, event: SseEvent) -> None:
        """Say what an open answer brought."""
        if self.state == "open":
            self.put(
                FrameReceived(
                    server=self.ask.server,
                    event=event.event,
                    data=event.data,
                    id=event.id,
                    stream=self.ask.id,
                )
            )

    def end(self, reason: str, last_event_id: str = "", retry_ms: int | None = None) -> None:
        """Say that an open answer has ended."""
        if self.state == "open":
            self.state = "over"
            self.put(
                AnswerEnded(
                    server=self.ask.server,
                    id=self.ask.id,
                    reason=reason,
                    last_event_id=last_event_id,
                    retry_ms=retry_ms,
                )
            )

    def stop(self, last_word: str) -> None:
        """Close it: an open one without a word, one that waits with `last_word` once it is over."""
        self.last_word = last_word
        if self.state == "open":
            self.state = "over"
        if self.task is not None:
            self.task.cancel()


def make_letter(ask: Post | Get, put: Put, post: PostOptions, stream: StreamOptions) -> Letter:
    """A letter whose time begins now. Of one that is ordered, waiting for its turn is a part.

    Its `way_is_free` for those behind it once it has left, if it `is_soon_passed`.
    """
    connecting = Limit(stream.connect_timeout, "--connect-timeout")
    match ask:
        case Get():
            clock = Clock(connecting)
        case Post(seconds=seconds, side_by_side=is_free):
            usual = Limit(post.post_timeout, "--post-timeout")
            total = usual if seconds is None else Limit(seconds)
            clock = Clock(total, sending=connecting if is_free else None)
    letter = Letter(ask, clock, Watch(clock), put)
    if letter.is_soon_passed:
        letter.watch.on_whole = letter.way_is_free.set
    return letter


@dataclass(frozen=True, slots=True)
class Request:
    """What goes over the wire for a letter, but for what its authorizer adds at the last moment."""

    method: Method
    url: str
    headers: CIMultiDict[str]
    data: bytes | None = None


def write_request(letter: Letter, target: Target) -> Request:
    """A letter as a request.

    Raises:
        ValueError, TypeError, RecursionError: If it cannot be sent: it is for another origin, is no
            JSON, or has a header that no request can carry. No secret is in the text.
    """
    ask = letter.ask
    url = address(target, ask.url)
    match ask:
        case Get():
            fixed = {"Accept": EVENT_STREAM, "Cache-Control": "no-cache"}
            data = None
        case Post(message=message):
            fixed = {
                "Accept": f"application/json, {EVENT_STREAM}",
                "Content-Type": "application/json",
            }
            data = msgspec.json.encode(message)
    if not letter.is_ordered:
        fixed["Accept-Encoding"] = "identity"  # what compresses a stream holds it back
    headers = request_headers(target, ask.headers, fixed)
    return Request("GET" if data is None else "POST", url, headers, data)
