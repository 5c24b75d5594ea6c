"""A real webhook receiver on loopback with scripted answers.

    async with Receiver([Answer(503), Answer(200)]) as receiver:
        …WebhookSink(receiver.url, …)…
        await receiver.received(2)

Each POST takes the next answer of the script; after the last, all get 200.
"""

import asyncio
import json
import ssl
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiohttp import web


class Answer(NamedTuple):
    """`hangs`: no answer. `drops`: the connection is reset. `stalls`: the body stops in the middle.

    `endless`: the body never stops.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    hangs: bool = False
    drops: bool = False
    stalls: bool = False
    endless: bool = False


class Posted(NamedTuple):
    """One POST as it came; `port` is the sender's, the same as long as its connection is."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Receiver:
    """`posted` is all that came, `accepted` what was answered with 2xx. `tls` makes it https."""

    def __init__(
        self, answers: Iterable[Answer] = (), *, tls: ssl.SSLContext | None = None
    ) -> None:
        self.posted: list[Posted] = []
        self.accepted: list[Posted] = []
        self.port = 0
        self._answers = list(answers)
        self._tls = tls
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}/hook"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; on the same port again after a `stop`."""
        self._stopping.clear()
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Refuse connections from now on; hanging requests are dropped."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def answer(self, posted: Posted) -> Answer:  # noqa: ARG002  for others to look at
        """What a POST gets."""
        return self._answers.pop(0) if self._answers else Answer()

    async def received(self, count: int, seconds: float = 10.0) -> list[Posted]:
        """Wait for so many POSTs, counting from the start."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: len(self.posted) >= count)
        return self.posted[:count]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        port = request.transport.get_extra_info("peername")[1] if request.transport else 0
        posted = Posted(request.path, dict(request.headers), body, port)
        answer = self.answer(posted)
        async with self._changed:
            self.posted.append(posted)
            if 200 <= answer.status < 300 and not answer.hangs and not answer.drops:
                self.accepted.append(posted)
            self._changed.notify_all()
        if answer.drops and request.transport is not None:
            request.transport.abort()
        if answer.hangs:
            await self._stopping.wait()
        if answer.endless or answer.stalls:
            return await self._half_answer(request, answer)
        return web.Response(status=answer.status, headers=answer.headers)

    async def _half_answer(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        await response.prepare(request)
        await response.write(b"x")
        if answer.stalls:
            await self._stopping.wait()
        try:
            while not self._stopping.is_set():
                await response.write(b"x" * 8192)
        except ConnectionError:
            pass  # The client has read enough, which is what the test is about.
        return response
