"""An outbox at work against a server of `wire.py`, and all that it says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from config.options import MailboxOptions, PostOptions, StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.events import AnswerEnded, FrameReceived, PostAnswered
from pipeline.deadline import Deadline
from pipeline.shell.authorizer import Authorizer, NoAuthorizer
from pipeline.shell.http import make_post_session
from pipeline.shell.http_post import Outbox
from pipeline.shell.targets import make_target

KEY = "sk-0123456789abcdef"
Said = PostAnswered | FrameReceived | AnswerEnded


async def always_room() -> None:
    """Nobody is behind."""


@dataclass
class Answers:
    """What an outbox has said so far, and how often it was told of a success."""

    items: list[Any] = field(default_factory=list)
    successes: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, item: Said) -> None:
        self.items.append(item)
        self._changed.set()

    def succeed(self) -> None:
        self.successes += 1

    @property
    def ids(self) -> list[str]:
        return [item.id for item in self.items]

    @property
    def answered(self) -> list[PostAnswered]:
        return [item for item in self.items if isinstance(item, PostAnswered)]

    def of(self, id_: str) -> list[Said]:
        """All that was said of one message or stream, in order."""
        return [
            i for i in self.items if (i.stream if isinstance(i, FrameReceived) else i.id) == id_
        ]

    async def reach(self, count: int) -> list[Any]:
        """Wait for so many items."""
        async with asyncio.timeout(10):
            while len(self.items) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.items

    async def ended(self, id_: str = "1") -> AnswerEnded:
        """Wait for the end of an open answer."""
        async with asyncio.timeout(10):
            while not (found := [i for i in self.of(id_) if isinstance(i, AnswerEnded)]):
                self._changed.clear()
                await self._changed.wait()
        return found[0]


def post(url: str, id_: str = "1", **message: object) -> Post:
    """A message of the older dialects."""
    return Post(server="fs", url=url, id=id_, message=dict(message))


def free_post(url: str, id_: str = "1", seconds: float | None = None, **headers: str) -> Post:
    """A message over Streamable HTTP."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Post(
        server="fs",
        url=url,
        id=id_,
        message={"n": id_},
        headers=named,
        side_by_side=True,
        seconds=seconds,
    )


def get(url: str, id_: str = "1", **headers: str) -> Get:
    """A wish for a stream."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Get(server="fs", url=url, id=id_, headers=named)


def make_outbox(
    url: str,
    http: aiohttp.ClientSession,
    answers: Answers,
    options: PostOptions | None = None,
    *,
    stream: StreamOptions | None = None,
    room: Callable[[], Awaitable[None]] = always_room,
    authorizer: Authorizer | None = None,
    queue: MailboxOptions | None = None,
    most: int = 256,
    patience: float = 1.0,
    shutdown: Deadline | None = None,
) -> Outbox:
    """An outbox that nobody runs yet."""
    target = make_target("fs", url, api_key=KEY, extra_headers={"Accept": "nonsense"})
    return Outbox(
        replace(target, authorizer=authorizer or NoAuthorizer()),
        http,
        options or PostOptions(),
        stream or StreamOptions(),
        put=answers.put,
        room=room,
        on_success=answers.succeed,
        now=lambda: 0.0,
        queue=queue or MailboxOptions(),
        most=most,
        patience=patience,
        shutdown=shutdown,
    )


@contextlib.asynccontextmanager
async def running(
    url: str, answers: Answers, options: PostOptions | None = None, **more: Any
) -> AsyncIterator[tuple[Outbox, "asyncio.Task[None]"]]:
    """An outbox at work; in the end it is cancelled, and must come to its end by itself."""
    async with make_post_session() as http:
        outbox = make_outbox(url, http, answers, options, **more)
        task = asyncio.ensure_future(outbox.run())
        try:
            yield outbox, task
        finally:
            task.cancel()
            async with asyncio.timeout(10):
                await asyncio.gather(task, return_exceptions=True)
