"""Starts and stops the server: embedded in a client's loop, or alone until it is cancelled."""

import asyncio
import errno
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from server.app import DESK, build_app
from server.desk import Desk
from server.guards import is_open_to_network
from server.options import ServerOptions
from server.tool import Log, Tool

# A connection that has sent no complete request for so long is closed, slow headers included.
_KEEPALIVE_TIMEOUT = 75.0
# How long to go on reading a body nobody wants, so that its sender sees the refusal.
_LINGERING_TIME = 2.0
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared, not bound)
_REASONS = {
    errno.EADDRINUSE: ("the port is in use", "choose another port, or 0 for a free one"),
    errno.EACCES: ("the system forbids this port", "choose a port from 1024 on"),
    errno.EADDRNOTAVAIL: ("no such address on this machine", "use 127.0.0.1, or 0.0.0.0 for all"),
}


class ServerStartError(Exception):
    """The server cannot start: what was tried, why it failed, and what to do."""

    def __init__(self, what: str, why: str, what_to_do: str) -> None:
        super().__init__(f"{what}: {why}; {what_to_do}")
        self.what = what
        self.why = why
        self.what_to_do = what_to_do


class RunningServer:
    """A server that listens.

    Attributes:
        url: Where the stream is, for a client on this machine: `http://127.0.0.1:PORT/sse`.
        port: The port, also when 0 was asked for.
    """

    def __init__(self, address: tuple[str, int], desk: Desk) -> None:
        host = _ANY_ADDRESS.get(address[0], address[0])
        self.port = address[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/sse"
        self._desk = desk

    @property
    def session_count(self) -> int:
        """Streams that are open now."""
        return self._desk.sessions.count

    @property
    def call_count(self) -> int:
        """Calls that run now, over all sessions."""
        return sum(session.call_count for session in self._desk.sessions.all())

    def add_tool(self, tool: Tool) -> None:
        """Offer a tool, or another of the same name, and tell every session."""
        self._desk.tools.add(tool)
        self._desk.tell_tools()

    def remove_tool(self, name: str) -> None:
        """Offer a tool no longer, and tell every session. Its running calls go on.

        Raises:
            KeyError: When there is none of that name.
        """
        self._desk.tools.remove(name)
        self._desk.tell_tools()


@asynccontextmanager
async def serve(
    options: ServerOptions,
    *,
    tools: Mapping[str, Tool] | None = None,
    log: Log = lambda _: None,
) -> AsyncGenerator[RunningServer]:
    """A server that listens inside the block, and stops within `options.shutdown_timeout`.

    Args:
        options: Where to listen, and the limits.
        tools: Tools by name, instead of the real ones.
        log: Takes one line at a time; no key and no session id is ever in it.

    Raises:
        ServerStartError: When the folder or the address cannot be had.
    """
    if tools is None and not await asyncio.to_thread(Path(options.folder).is_dir):
        raise ServerStartError(
            f"cannot serve the folder {options.folder!r}",
            "it is not a folder",
            "give the path of a folder that exists",
        )
    app = build_app(options, tools=tools, log=log)
    runner = web.AppRunner(
        app,
        access_log=None,
        logger=_to_log(log),
        handler_cancellation=True,
        keepalive_timeout=_KEEPALIVE_TIMEOUT,
        lingering_time=_LINGERING_TIME,
        # aiohttp spends this twice on a handler that does not end; streams have half of the time.
        shutdown_timeout=options.shutdown_timeout / 4,
    )
    await runner.setup()
    try:
        await _listen(runner, options)
        running = RunningServer(runner.addresses[0][:2], app[DESK])
        log(f"= serving {running.url}")
        if options.api_key is None and is_open_to_network(options.host):
            log("! without an API key, everybody on the network can call the tools")
        yield running
    finally:
        await runner.cleanup()
        log("= stopped")


async def serve_until_cancelled(
    options: ServerOptions,
    *,
    tools: Mapping[str, Tool] | None = None,
    log: Log = lambda _: None,
    started: Callable[[RunningServer], None] = lambda _: None,
) -> None:
    """Serve until cancelled, then stop within `options.shutdown_timeout`.

    Args:
        options: Where to listen, and the limits.
        tools: Tools by name, instead of the real ones.
        log: As for `serve`.
        started: Told once the server listens.

    Raises:
        ServerStartError: As `serve`.
    """
    async with serve(options, tools=tools, log=log) as running:
        started(running)
        await asyncio.Event().wait()


async def _listen(runner: web.AppRunner, options: ServerOptions) -> None:
    try:
        await web.TCPSite(runner, options.host, options.port).start()
    except OSError as error:
        # From Python 3.13 on, asyncio tells an address of another machine without a number.
        number = error.errno or errno.EADDRNOTAVAIL
        why, what_to_do = _REASONS.get(
            number, (error.strerror or str(error), "check the host and the port")
        )
        raise ServerStartError(
            f"cannot listen on {options.host}:{options.port}", why, what_to_do
        ) from error


def _to_log(log: Log) -> logging.Logger:
    """The words of aiohttp itself (on a request that is no HTTP) as lines without tracebacks."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            cause = record.exc_info[1] if record.exc_info else None
            log(f"! {record.getMessage()}" + (f": {cause!r}" if cause is not None else ""))

    logger = logging.Logger("server.http", logging.WARNING)  # not shared with other servers
    logger.addHandler(Handler())
    return logger
