"""Messages to a server: in order, each answered exactly once, whatever happens."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import msgspec
from multidict import CIMultiDict

from config.options import MailboxOptions, PostOptions
from pipeline.core.commands import Post
from pipeline.core.events import PostAnswered
from pipeline.mailbox import Mailbox
from pipeline.shell.http import RedirectRefusedError, Watch, read_up_to
from pipeline.shell.http_credentials import request_as
from pipeline.shell.http_failures import explain
from pipeline.shell.targets import Target, origin, public_url

ACCEPTED = 202
EXCERPT = 2000  # characters kept of a body that is no JSON
_PATIENCE = 2.0  # seconds for such a body: what matters is known by then
_QUEUE = MailboxOptions(high=512, low=128)


@dataclass(eq=False, slots=True)
class _Letter:
    """One message on its way. `deadline` is on the loop's clock."""

    post: Post
    deadline: float
    watch: Watch = field(default_factory=Watch)
    response: aiohttp.ClientResponse | None = None


class Outbox:
    """The messages to one server.

    A message leaves when the one before has its response *headers*; bodies are read side by side.
    The order of arrival at the server is thus the order of `send`, and a slow answer holds up only
    itself.

    Every `Post` leads to exactly one `PostAnswered`, no later than `options.post_timeout` after
    `send`: a message that waited too long behind others is not sent any more.

    * An answer: `status` and `body`. JSON and events are whole, up to `options.max_body_bytes`;
      other bodies are cut to their first `EXCERPT` characters. `reason` says if a body was lost on
      the way that nobody needs (of a 202, or an error).
    * No answer: `status` None, `reason`, and `is_sent`, which is False only when it is certain that
      no byte of the message can have reached the server. A 2xx whose JSON was lost counts as no
      answer, and so does a redirect that is not followed.
    """

    def __init__(
        self,
        target: Target,
        http: aiohttp.ClientSession,
        options: PostOptions,
        *,
        put: Callable[[PostAnswered], None],
        queue: MailboxOptions = _QUEUE,
    ) -> None:
        self._target = target
        self._http = http
        self._options = options
        self._put = put
        self._queue: Mailbox[_Letter] = Mailbox(queue)
        self._open: dict[_Letter, None] = {}  # unanswered, in order

    def send(self, post: Post) -> None:
        """Queue a message; never blocks, never raises. A full queue or a closed one answers."""
        deadline = asyncio.get_running_loop().time() + self._options.post_timeout
        letter = _Letter(post, deadline)
        self._open[letter] = None
        if self._queue.is_closed:
            self._answer(letter, reason="not sent: the connection to the server is closed")
        elif self._queue.is_choked:
            self._answer(letter, reason=f"not sent: {len(self._queue)} messages already wait")
        else:
            self._queue.put(letter)

    async def run(self) -> None:
        """Own the queue until it is closed and all is answered. Cancelled, it answers the rest."""
        try:
            async with asyncio.TaskGroup() as bodies:
                while (letter := await self._queue.take()) is not None:
                    if letter in self._open and await self._deliver(letter):
                        bodies.create_task(self._read(letter))
        finally:
            self.close()
            # A body task that is cancelled before its first step never runs: hence not in there.
            for letter in tuple(self._open):
                if letter.response is not None:
                    letter.response.close()
                self._answer(letter, reason="the run ended before the server answered")

    def close(self) -> None:
        """Take no more. What is queued is answered as not sent; what is under way goes on."""
        self._queue.close()
        for letter in tuple(self._open):
            if not letter.watch.is_handed_over:
                self._answer(letter, reason="not sent: the connection to the server is closed")

    async def _deliver(self, letter: _Letter) -> bool:
        """Send one message; True when response headers came, and the body is still to be read."""
        post, timeout = letter.post, self._options.post_timeout
        if asyncio.get_running_loop().time() >= letter.deadline:
            self._answer(
                letter,
                reason=f"not sent: earlier messages to {self._target.place} took all of its"
                f" {timeout:g} s (--post-timeout)",
            )
            return False
        try:
            self._check_origin(post.url)
            message = msgspec.json.encode(post.message)
        except (ValueError, TypeError, RecursionError) as exc:
            self._answer(letter, reason=f"not sent: {exc}")
            return False
        try:
            async with asyncio.timeout_at(letter.deadline) as limit:
                letter.response = await request_as(
                    self._target,
                    self._http,
                    "POST",
                    self._address(post.url),
                    headers=self._headers(),
                    data=message,
                    watch=letter.watch,
                    limit=limit,
                )
        except RedirectRefusedError as exc:
            self._answer(letter, reason=f"HTTP {exc.status}: {exc}")
        except TimeoutError:
            what = "no answer came from" if letter.watch.is_sent else "no connection to"
            self._answer(
                letter,
                reason=f"{what} {self._target.place} within {timeout:g} s (--post-timeout)",
            )
        except (aiohttp.ClientError, OSError) as exc:
            self._answer(letter, reason=explain(exc, post.url))
        return letter.response is not None

    def _check_origin(self, url: str) -> None:
        home, there = origin(self._target.url), origin(url)
        if there != home:
            raise ValueError(
                f"found a message for {there}, expected the server's own origin {home}, which is"
                " where its credentials stay"
            )

    def _address(self, url: str) -> str:
        """The core knows the stream's URL without its query, which may hold a key: put it back."""
        return self._target.url if url == public_url(self._target.url) else url

    def _headers(self) -> CIMultiDict[str]:
        headers = CIMultiDict(self._target.headers)
        headers["Accept"] = "application/json, text/event-stream"
        headers["Content-Type"] = "application/json"
        return headers

    async def _read(self, letter: _Letter) -> None:
        """Read a body and answer; the response is closed in the end."""
        response = letter.response
        assert response is not None, "a body is read after its headers"
        is_json = _is_json(response.content_type)
        is_reply = is_json and response.ok and response.status != ACCEPTED
        is_events = response.content_type == "text/event-stream"
        limit = self._options.max_body_bytes if is_json or is_events else EXCERPT * 4
        now = asyncio.get_running_loop().time()
        deadline = letter.deadline if is_reply else min(letter.deadline, now + _PATIENCE)
        body, reason, is_whole = bytearray(), "", False
        try:
            async with asyncio.timeout_at(deadline):
                is_whole = await read_up_to(response, limit, into=body)
            if is_json and not is_whole:
                reason = f"the answer is larger than {limit} bytes (--max-body-bytes)"
        except TimeoutError:
            reason = f"the answer of {self._target.place} did not end in time"
        except (aiohttp.ClientError, OSError) as exc:
            reason = explain(exc, letter.post.url)
        finally:
            response.close()
        if reason and is_reply:
            self._answer(letter, reason=reason)
        else:
            text = self._target.hide(body.decode("utf-8", "replace"))
            is_kept = is_whole and (is_json or is_events)
            self._answer(
                letter,
                status=response.status,
                body=text if is_kept else text[:EXCERPT],
                reason=reason,
            )

    def _answer(
        self, letter: _Letter, *, status: int | None = None, body: str = "", reason: str = ""
    ) -> None:
        del self._open[letter]
        self._put(
            PostAnswered(
                server=self._target.name,
                id=letter.post.id,
                status=status,
                body=body,
                reason=reason,
                is_sent=letter.watch.is_sent,
            )
        )


def _is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")
