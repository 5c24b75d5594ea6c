"""Messages to a server over HTTP, each answered exactly once, whatever happens.

The older dialects want them in order, Streamable HTTP side by side, with answers that may be event
streams (basic/transports, "Sending Messages to the Server" and "Listening for Messages").
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import aiohttp

from config.options import MailboxOptions, PostOptions, StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.session.http import CUT
from pipeline.deadline import Deadline
from pipeline.mailbox import Mailbox
from pipeline.shell.http import EVENT_STREAM, RedirectRefusedError
from pipeline.shell.http_answers import read_body, read_events
from pipeline.shell.http_credentials import Answer, request_as
from pipeline.shell.http_failures import explain
from pipeline.shell.http_farewell import SESSION_ID, Farewell
from pipeline.shell.http_letters import Letter, Put, Request, make_letter, write_request
from pipeline.shell.http_pause import Pause
from pipeline.shell.targets import Target

_QUEUE = MailboxOptions(high=512, low=128)
_MOST_AT_ONCE = 256
_PATIENCE = 1.0  # seconds
_CLOSED = "not sent: the connection to the server is closed"


class Outbox:
    """The messages to one server, and the streams that it is asked for.

    Every `Post` and `Get` leads to exactly one `PostAnswered`:

    * An answer: `status` and `body`. JSON is whole, up to `post.max_body_bytes`; other bodies are
      cut to an excerpt. `reason` says if a body was lost on the way that nobody needs (of a 202, or
      an error), or why an authorizer has no other credentials.
    * No answer: `status` None, `reason`, and `is_sent`, which is False only when it is certain that
      no byte of the message can have reached the server. A 2xx whose JSON was lost counts as no
      answer, and so does a redirect that is not followed.
    * `is_open`: a 2xx that is an event stream. Each event becomes a `FrameReceived` as it comes,
      then there is one `AnswerEnded`. Before more is read, `room` is awaited.

    A message that goes `side_by_side`, and a `Get`, leave at once; those that would be more than
    `most` at a time are not sent. They have the `stream.connect_timeout` to be sent, then all the
    time that is theirs to the end of the answer; an open answer to a `Get` has no end.

    Any other message leaves when the one before has its response *headers*; or if that is a
    request, as soon as its last byte has left, or after `patience` seconds of waiting for that.
    Bodies are read side by side, events like any other body. The order of leaving is thus the order
    of `send`, and a slow answer holds up only itself. It is answered no later than its time after
    `send`: one that waited too long behind others is not sent any more.

    While somebody gets new credentials for a message, its time stands still, and so does that of
    those that wait behind it.
    """

    def __init__(
        self,
        target: Target,
        http: aiohttp.ClientSession,
        post: PostOptions,
        stream: StreamOptions,
        *,
        put: Put,
        room: Callable[[], Awaitable[None]],
        on_success: Callable[[], None],
        now: Callable[[], float],
        queue: MailboxOptions = _QUEUE,
        patience: float = _PATIENCE,
        most: int = _MOST_AT_ONCE,
        shutdown: Deadline | None = None,
    ) -> None:
        self._target = target
        self._http = http
        self._post = post
        self._stream = stream
        self._put = put
        self._room = room
        self._on_success = on_success
        self._patience = patience
        self._most = most
        self._line: Mailbox[Letter] = Mailbox(queue)
        self._free: Mailbox[Letter] = Mailbox(MailboxOptions())
        self._letters: dict[Letter, None] = {}  # those that are not over, in order
        self._farewell = Farewell(target, http, Deadline() if shutdown is None else shutdown)
        self._pause = Pause(now)

    def send(self, post: Post) -> None:
        """Send a message, or queue it; never blocks, never raises."""
        self._take_on(post)

    def get(self, get: Get) -> None:
        """Ask for a stream; never blocks, never raises."""
        self._take_on(get)

    def wish(self) -> float | None:
        """Seconds for which the server still wants to be left alone, as its last answer said."""
        return self._pause.left()

    def cut(self, id_: str) -> None:
        """Close the answer to a message or a stream; an open one ends without a word."""
        for letter in tuple(self._letters):
            if letter.ask.id == id_:
                self._stop(letter, CUT)

    def drop(self) -> None:
        """Close the answers to all that goes side by side, as `cut` does."""
        for letter in tuple(self._letters):
            if not letter.is_ordered:
                self._stop(letter, "the connection to the server was given up")

    def close(self) -> None:
        """Take no more. What has not left is answered as not sent; what is under way goes on."""
        self._line.close()
        self._free.close()
        for letter in tuple(self._letters):
            if letter.task is None:
                letter.answer(reason=_CLOSED)

    async def run(self) -> None:
        """Own all that is under way until closed and done, or cancelled; then take leave.

        Cancelled, it answers what is unanswered; what is open ends without a word.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._send_in_order(tasks))
                while (letter := await self._free.take()) is not None:
                    self._start(letter, tasks)
        finally:
            self.close()
            await self._farewell.say()

    # --- letters ------------------------------------------------------------------------------

    def _take_on(self, ask: Post | Get) -> None:
        letter = make_letter(ask, self._put, self._post, self._stream)
        queue = self._line if letter.is_ordered else self._free
        at_once = sum(1 for each in self._letters if not each.is_ordered)
        if queue.is_closed:
            letter.answer(reason=_CLOSED)
        elif letter.is_ordered and queue.is_choked:
            letter.answer(reason=f"not sent: {len(queue)} messages already wait")
        elif not letter.is_ordered and at_once >= self._most:
            letter.answer(reason=f"not sent: {at_once} messages are under way")
        else:
            self._letters[letter] = None
            queue.put(letter)

    def _start(self, letter: Letter, tasks: asyncio.TaskGroup) -> None:
        if letter.state != "waiting":  # answered while it was queued
            self._settle(letter)
            return
        letter.task = tasks.create_task(self._deliver(letter), name=f"message {letter.ask.id}")
        letter.task.add_done_callback(lambda _: self._settle(letter))

    async def _send_in_order(self, tasks: asyncio.TaskGroup) -> None:
        while (letter := await self._line.take()) is not None:
            if letter.state == "waiting" and letter.clock.is_over:
                words = f"not sent: earlier messages to {self._target.place} took all of its"
                letter.answer(reason=f"{words} {letter.clock.limit}")
            self._start(letter, tasks)
            await self._until_free(letter)
            for each in self._letters:
                if each.is_ordered and each.task is None:
                    each.clock.put_off(letter.clock.stood_still)

    async def _until_free(self, letter: Letter) -> None:
        """Wait until those behind it may leave."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._patience if letter.is_soon_passed else None):
                await letter.way_is_free.wait()

    def _stop(self, letter: Letter, why: str) -> None:
        """At once where it has no task yet; else when the task is over, a moment later."""
        letter.stop(why)
        if letter.task is None:
            self._settle(letter)

    def _settle(self, letter: Letter) -> None:
        """Nothing more is done for it; a task that never ran has not even said so."""
        letter.answer(reason=letter.last_word)
        letter.way_is_free.set()
        self._letters.pop(letter, None)

    # --- one exchange -------------------------------------------------------------------------

    async def _deliver(self, letter: Letter) -> None:
        try:
            request = write_request(letter, self._target)
        except (ValueError, TypeError, RecursionError) as exc:
            letter.answer(reason=f"not sent: {exc}")
            return
        answer = await self._ask(letter, request)
        if answer is None:
            return
        try:
            letter.way_is_free.set()
            retry_after = self._pause.note(answer.response)
            self._farewell.remember(request, answer)
            await self._read(letter, answer, retry_after)
        finally:
            answer.response.close()

    async def _ask(self, letter: Letter, request: Request) -> Answer | None:
        """Send it; None if there is no answer, and that was said."""
        answer, reason, clock, watch = None, "", letter.clock, letter.watch
        try:
            async with clock.running():
                answer = await request_as(
                    self._target,
                    self._http,
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.data,
                    watch=watch,
                )
        except RedirectRefusedError as exc:
            reason = f"HTTP {exc.status}: {exc}"
        except TimeoutError:
            reason = f"{watch.complaint(self._target.place)} within {clock.limit}"
        except (aiohttp.ClientError, OSError) as exc:
            reason = explain(exc, request.url)
        if answer is None:
            letter.answer(reason=reason)
        return answer

    async def _read(self, letter: Letter, answer: Answer, retry_after: float | None) -> None:
        response, session_id = answer.response, ""
        if not letter.is_ordered:
            session_id = response.headers.get(SESSION_ID, "")
            if answer.is_success:
                if letter.is_proof:
                    self._on_success()
                if response.content_type == EVENT_STREAM:
                    letter.answer(status=response.status, session_id=session_id, is_open=True)
                    await self._read_events(letter, answer)
                    return
        body = await read_body(answer, letter.clock, most=self._post.max_body_bytes)
        if body.is_lost:
            letter.answer(reason=body.reason)
        else:
            letter.answer(
                status=response.status,
                body=body.text,
                reason=body.reason,
                session_id=session_id,
                retry_after=retry_after,
            )

    async def _read_events(self, letter: Letter, answer: Answer) -> None:
        if isinstance(letter.ask, Get):
            letter.clock.lift()
        ended = await read_events(
            answer,
            letter.clock,
            most=self._stream.max_event_bytes,
            push=letter.frame,
            room=self._room,
        )
        letter.end(ended.reason, ended.last_event_id, ended.retry_ms)
