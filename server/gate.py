"""The gate of the HTTP side: who comes in, how large a body may be, and how a refusal reads.

Refusals are JSON: `{"error": words}`.
"""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from server.desk import Desk
from server.guards import Refusal, host_refusal, key_refusal, origin_refusal
from server.options import ServerOptions
from server.sessions import SESSION_ID, Session

DESK = web.AppKey("desk", Desk)
ANSWER_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_BUSY_HEADERS = {"Retry-After": "1"}


class RefusedError(Exception):
    """Carries a Refusal from where it is found to the guard."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.words)
        self.refusal = refusal


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every request passes here: nothing of it is looked at before its sender is known."""
    desk = request.app[DESK]
    try:
        refusal = _stranger(request, desk.options)
        if refusal is not None:
            raise RefusedError(refusal)
        return await handler(request)
    except RefusedError as error:
        refusal = error.refusal
    except web.HTTPException as error:  # no such path, wrong method, body too large
        words = f"{request.method} {request.path[:100]!r}: {error.reason}; the stream is at /sse"
        allow = error.headers.get("Allow")
        refusal = Refusal(error.status, words, {} if allow is None else {"Allow": allow})
    desk.log(f"! {refusal.status} {request.method} {request.path[:100]!r}: {refusal.words}")
    return web.json_response(
        {"error": refusal.words},
        status=refusal.status,
        headers=ANSWER_HEADERS | refusal.headers,
    )


def _stranger(request: web.Request, options: ServerOptions) -> Refusal | None:
    hosts = request.headers.getall("Host", [])
    return (
        host_refusal(hosts, bound=options.host)
        or origin_refusal(request.headers.getall("Origin", []), host=hosts[0])
        or key_refusal(
            request.headers.getall("Authorization", []),
            request.headers.getall("X-API-Key", []),
            expected=options.api_key,
        )
    )


async def read_body(request: web.Request, options: ServerOptions) -> bytes:
    """The body, in bounds of size and time.

    aiohttp counts what comes (413), also when it comes in chunks or compressed.
    """
    if (
        request.content_type != "application/json"
        or (request.charset or "utf-8").lower() != "utf-8"
    ):
        words = f"Content-Type: found {request.content_type[:100]!r}, expected application/json"
        raise RefusedError(Refusal(415, words))
    if (request.content_length or 0) > options.max_body_bytes:
        raise web.HTTPRequestEntityTooLarge(options.max_body_bytes, request.content_length or 0)
    try:
        async with asyncio.timeout(options.body_timeout):
            return await request.read()
    except TimeoutError as error:
        words = f"the body did not come within {options.body_timeout:g} seconds"
        raise RefusedError(Refusal(408, words)) from error
    except web.RequestPayloadError as error:
        raise RefusedError(Refusal(400, "the body ended early, or its coding is wrong")) from error


def find_session(desk: Desk, session_id: str) -> Session:
    """The session of that id, now active. Malformed is 400, unknown or ended 404."""
    if SESSION_ID.fullmatch(session_id) is None:
        raise RefusedError(
            Refusal(400, "session_id is missing or malformed: take it from the endpoint event")
        )
    session = desk.sessions.find(session_id)
    if session is None:
        raise RefusedError(Refusal(404, "no such session: open a stream again"))
    session.last_active = asyncio.get_running_loop().time()
    return session


def require_room(desk: Desk, session: Session) -> None:
    """Refuse (503) a call above `max_calls`."""
    if not desk.has_room(session):
        words = f"{session.call_count} calls run in this session: wait for one to end"
        raise RefusedError(Refusal(503, words, _BUSY_HEADERS))


def require_free_session(desk: Desk) -> None:
    """Refuse (503) a session above `max_sessions`, and any while the server stops."""
    if desk.sessions.is_full:
        words = f"all {desk.options.max_sessions} sessions are taken, or the server stops"
        raise RefusedError(Refusal(503, words, _BUSY_HEADERS))
