"""`GET /sse`: the stream of one session, from its first event to the end of its last call."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web

from server import seed
from server.desk import Desk
from server.options import ServerOptions
from server.sessions import Dialect, Session, SessionRegistry
from server.sse_encode import encode_comment, encode_event

STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}

_HEARTBEAT = encode_comment("heartbeat")
# Linux. Without it a vanished machine is noticed only after some 15 minutes of resending.
_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)


async def serve_stream(request: web.Request, desk: Desk, dialect: Dialect) -> web.StreamResponse:
    """Run one session. The stream ends with an idle session, a slow client or a stopping server.

    A client that leaves cancels this handler (aiohttp's `handler_cancellation`), and the group
    cancels the session's calls with it.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client left before its stream began")
    notice_dead_peer(transport, desk.options.write_timeout)
    response = web.StreamResponse(headers=STREAM_HEADERS)
    async with asyncio.TaskGroup() as calls:
        session = desk.sessions.open(
            dialect,
            now=_now(),
            spawn=calls.create_task,
            abort=transport.abort,
        )
        desk.log(f"= session {session.number} opened ({dialect})")
        try:
            await response.prepare(request)
            session.send(encode_event("endpoint", f"/messages/?session_id={session.id}"))
            if dialect == "seed":
                session.send(seed.tools_event(desk.tools.described()))
            await pump(session, response.write, desk.options, clock=_now)
        except ConnectionError:
            session.end("the client left")
        finally:
            session.end("the client left")
            session.cancel_all()
            desk.sessions.close(session)
            desk.log(f"= session {session.number} closed: {session.ended}")
    return response


async def pump(
    session: Session,
    write: Callable[[bytes], Awaitable[None]],
    options: ServerOptions,
    *,
    clock: Callable[[], float],
) -> None:
    """Write what the session sends, and a comment after each silence, until the session ends.

    Args:
        session: Whose events to write.
        write: Writes bytes, and waits while the client is slower than that.
        options: heartbeat, idle_timeout and write_timeout count.
        clock: Seconds that only grow; `session.last_active` is on the same clock.

    Raises:
        ConnectionError: When the client has left.
    """
    while True:
        event = session.outbox.take()
        if event is not None:
            if not await _write(session, write, event, options.write_timeout):
                return
            session.outbox.written(event)
            continue
        if session.ended is not None:
            return
        idle = clock() - session.last_active
        if idle >= options.idle_timeout and session.call_count == 0:
            session.end("idle")
            continue
        await _wait(session, min(options.heartbeat, _rest(options.idle_timeout, idle)))
        if session.outbox.size == 0 and session.ended is None:
            session.outbox.put(_HEARTBEAT)  # nothing woke us but the time


async def _write(
    session: Session, write: Callable[[bytes], Awaitable[None]], event: bytes, seconds: float
) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await write(event)
    except TimeoutError:
        session.cut("the client reads too slowly")
        return False
    return True


async def _wait(session: Session, seconds: float) -> None:
    """Until the session has something for the writer, at most so long."""
    session.wake.clear()
    alarm = asyncio.get_running_loop().call_later(seconds, session.wake.set)
    try:
        await session.wake.wait()
    finally:
        alarm.cancel()


def _rest(idle_timeout: float, idle: float) -> float:
    # With a call still running past the time, ask again at the next heartbeat.
    return idle_timeout - idle if idle < idle_timeout else idle_timeout


async def close_streams(sessions: SessionRegistry, *, seconds: float) -> None:
    """End all streams: what is queued goes out, and after `seconds` the rest is cut off."""
    sessions.is_closing = True
    for session in sessions.all():
        session.end("the server stops")
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await sessions.empty.wait()
    for session in sessions.all():
        session.cut("the server stops")


def notice_dead_peer(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the system give up a connection whose peer acknowledges nothing for so long."""
    connection = transport.get_extra_info("socket")
    if _USER_TIMEOUT is not None and connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, int(seconds * 1000))


def _now() -> float:
    return asyncio.get_running_loop().time()
