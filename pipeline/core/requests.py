"""A person's own requests to servers: resources, prompts, completion. Each ends exactly once.

Pure moves over a table, used by the agent stage. Lists are read to their last page (MCP:
server/utilities, "Pagination"); what may be kept (`ttlMs`, 2026-07-28) is not asked for twice.
"""

from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc
from pipeline.core.commands import Cut, Passing, StartTimer, StopTimer
from pipeline.core.events import (
    CallOutcome,
    CallRejected,
    Json,
    PostAnswered,
    ReplyReceived,
    RequestEnded,
    RequestLost,
    RequestStarted,
    RequestSubmitted,
    Route,
    StreamLost,
)
from pipeline.core.plan import Plan
from pipeline.core.session import wire
from pipeline.core.session.state import is_accepted
from pipeline.core.shapes import is_list, is_object

PREFIX = "request:"
CACHE = "cache:"
LISTS = {
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
}
_CAPABILITIES = {
    "resources": "resources",
    "prompts": "prompts",
    "completion": "completions",
    "logging": "logging",
}
_MOST_KEPT = 64
_LONGEST_KEPT = 86_400.0  # seconds
_SLACK = 10.0


class Request(msgspec.Struct, frozen=True):
    """One request to one server, for which `messages` were sent and `losses` of them lost."""

    id: str
    server: str
    method: str
    params: Json
    is_posted: bool = False
    messages: int = 0
    losses: int = 0
    items: tuple[Json, ...] = ()
    cursors: tuple[str, ...] = ()
    cursor: str | None = None

    @property
    def wire_id(self) -> str:
        """The id of its latest message."""
        return f"{PREFIX}{self.id}~{self.messages}"


class Requests(msgspec.Struct, frozen=True):
    """The table; `offers` are the capabilities of the servers that are ready, as they said them."""

    plan: Plan
    open: dict[str, Request] = {}
    routes: dict[str, Route] = {}
    offers: dict[str, Json] = {}
    kept: dict[str, tuple[str, Json]] = {}
    numbers: int = 0


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Requests, Outputs]


def start(table: Requests, wish: RequestSubmitted) -> Move:
    """Begin what a person asked for, at each server that it is for."""
    servers = _servers(table, wish)
    if isinstance(servers, str):
        return table, (CallRejected(tool=wish.method, reason=servers),)
    outputs: Outputs = ()
    for server in servers:
        id_ = f"r{table.numbers + 1}"
        table = replace(table, numbers=table.numbers + 1)
        started = RequestStarted(request=id_, server=server, method=wish.method, params=wish.params)
        request = Request(id_, server, wish.method, wish.params)
        kept = table.kept.get(_key(request))
        if kept is not None:
            outputs = (*outputs, started, _ended(request, "answered", result=kept[1]))
            continue
        table, more = _post(table, request)
        outputs = (*outputs, started, *more)
    return table, outputs


def on_offers(table: Requests, server: str, capabilities: Json) -> Requests:
    """What a server says it can do, just before it is ready."""
    return replace(table, offers={**table.offers, server: capabilities})


def on_session_ready(table: Requests, route: Route) -> Move:
    """A server may be used (again): what waited for it goes out."""
    table = replace(table, routes={**table.routes, route.server: route})
    outputs: Outputs = ()
    for request in _of(table, route.server):
        if not request.is_posted:
            table, more = _post(table, request)
            outputs = (*outputs, *more)
    return table, outputs


def on_stream_lost(table: Requests, lost: StreamLost) -> Move:
    """All that was posted is lost with its connection, and asked again with the next one."""
    routes = {name: route for name, route in table.routes.items() if name != lost.server}
    table = forget(replace(table, routes=routes), lost.server)
    outputs: Outputs = ()
    for request in _of(table, lost.server):
        table, more = _after_loss(table, request, lost.reason, is_final=lost.retry_in is None)
        outputs = (*outputs, *more)
    return table, outputs


def on_lost(table: Requests, lost: RequestLost) -> Move:
    """No answer will come to one message."""
    request = _request_of(table, lost.id)
    if request is None or request.server != lost.server:
        return table, ()
    table, outputs = _after_loss(table, request, lost.reason, is_final=False)
    if lost.is_sent and request.id in table.open:
        table, more = _post(table, table.open[request.id])
        outputs = (*outputs, *more)
    return table, outputs


def on_posted(table: Requests, posted: PostAnswered) -> Move:
    """The server took the message, or did not; over HTTP the session reads what it answered."""
    request = _request_of(table, posted.id)
    if request is None or is_accepted(posted.status):
        return table, ()
    route = table.routes.get(request.server)
    if route is not None and route.dialect == "http":
        return table, ()
    is_sent = posted.status is None and posted.is_sent
    reason = posted.reason if posted.status is None else f"HTTP {posted.status}"
    return _end(table, request, _ended(request, _outcome(is_sent=is_sent), reason=reason))


def on_reply(table: Requests, reply: ReplyReceived) -> Move | None:
    """The answer to a request; None if it is to none of these."""
    request = _request_of(table, reply.id or "")
    if request is None or request.server != reply.server:
        return None
    if reply.result is None:
        return _end(table, request, _ended(request, "answered", error=reply.error))
    match reply.result.get("resultType", "complete"):
        case "complete":
            return _on_result(table, request, reply.result)
        case kind:
            words = (
                f"the server answered with {kind!r}, which is not supported for {request.method}"
            )
            return _end(table, request, _ended(request, "answered", error=words))


def on_timer(table: Requests, timer: str) -> Move:
    """A request's time is up, or that of a kept answer."""
    if timer.startswith(CACHE):
        name = timer.removeprefix(CACHE)
        kept = {key: value for key, value in table.kept.items() if value[0] != name}
        return replace(table, kept=kept), ()
    request = table.open.get(timer.removeprefix(PREFIX))
    if request is None:
        return table, ()
    return _abandon(table, request, f"no answer for {_patience(table, request):g} s")


def cancel_all(table: Requests, reason: str) -> Move:
    """The person does not want to wait any longer."""
    outputs: Outputs = ()
    for request in tuple(table.open.values()):
        table, more = _abandon(table, request, reason)
        outputs = (*outputs, *more)
    return table, outputs


def forget(table: Requests, server: str) -> Requests:
    """A server's kept answers may be out of date."""
    prefix = f"{server}\n"
    kept = {key: value for key, value in table.kept.items() if not key.startswith(prefix)}
    return table if len(kept) == len(table.kept) else replace(table, kept=kept)


def _servers(table: Requests, wish: RequestSubmitted) -> tuple[str, ...] | str:
    """Who is asked; words if nobody can be."""
    wanted = _CAPABILITIES.get(wish.method.partition("/")[0])
    if wish.server:
        is_known = any(server.name == wish.server for server in table.plan.servers)
        return (wish.server,) if is_known else f"no server is named {wish.server!r}"
    able = tuple(
        name for name in table.routes if wanted is None or wanted in table.offers.get(name, {})
    )
    if not able:
        return f"no server that is ready offers {wanted or wish.method}"
    if len(able) > 1 and wish.method not in LISTS:
        return f"several servers offer {wanted or wish.method}; name one of {', '.join(able)}"
    return able


def _post(table: Requests, request: Request) -> Move:
    route = table.routes.get(request.server)
    is_out = route is not None and route.dialect != "seed"
    if is_out:
        request = replace(request, is_posted=True, messages=request.messages + 1)
    table = replace(table, open={**table.open, request.id: request})
    timer = StartTimer(id=PREFIX + request.id, seconds=_patience(table, request))
    if route is None:
        return table, (timer,)
    if not is_out:
        words = f"{request.server!r} speaks a dialect that has tools only"
        return _end(table, request, _ended(request, "not_sent", reason=words))
    cursor: Json = {} if request.cursor is None else {"cursor": request.cursor}
    message = jsonrpc.request(request.wire_id, request.method, {**request.params, **cursor})
    seconds = _patience(table, request) + _SLACK
    return table, (timer, wire.post(route, request.wire_id, message, seconds=seconds))


def _on_result(table: Requests, request: Request, result: Json) -> Move:
    key = LISTS.get(request.method)
    if key is None:
        return _end(table, request, _ended(request, "answered", result=result), result)
    page, cursor = result.get(key), result.get("nextCursor")
    if not is_list(page):
        words = f"found {type(page).__name__} as {key!r}, expected a list"
        return _end(table, request, _ended(request, "answered", error=words))
    items = (*request.items, *(item for item in page if is_object(item)))
    request = replace(request, items=items)
    is_more = isinstance(cursor, str) and cursor not in request.cursors
    plan = table.plan
    if is_more and len(request.cursors) + 1 < plan.max_pages and len(items) < plan.max_tools:
        cursors = (*request.cursors, str(cursor))
        return _post(table, replace(request, cursor=str(cursor), cursors=cursors))
    whole: Json = {**result, key: list(items[: plan.max_tools])}
    return _end(table, request, _ended(request, "answered", result=whole), whole)


def _after_loss(table: Requests, request: Request, reason: str, *, is_final: bool) -> Move:
    """What only reads may be asked again; everything here only reads, or says the same twice."""
    losses = request.losses + 1
    if is_final or losses >= table.plan.max_call_sends:
        outcome = _outcome(is_sent=request.messages > 0)
        return _end(table, request, _ended(request, outcome, reason=reason))
    request = replace(request, is_posted=False, losses=losses)
    return replace(table, open={**table.open, request.id: request}), ()


def _abandon(table: Requests, request: Request, reason: str) -> Move:
    route = table.routes.get(request.server)
    outcome = _outcome(is_sent=request.messages > 0)
    table, outputs = _end(table, request, _ended(request, outcome, reason=reason))
    if route is None or not request.is_posted:
        return table, outputs
    cut = (Cut(server=route.server, id=request.wire_id),) if route.dialect == "http" else ()
    if cut and wire.is_modern(route):
        return table, (*outputs, *cut)
    params: Json = {"requestId": request.wire_id, "reason": reason}
    message = jsonrpc.notification("notifications/cancelled", params)
    return table, (*outputs, wire.post(route, f"cancel:{request.id}", message), *cut)


def _end(table: Requests, request: Request, ended: RequestEnded, keep: Json | None = None) -> Move:
    left = {id_: other for id_, other in table.open.items() if id_ != request.id}
    table = replace(table, open=left)
    stop = StopTimer(id=PREFIX + request.id)
    seconds = 0.0 if keep is None else _freshness(keep)
    if keep is None or not seconds or len(table.kept) >= _MOST_KEPT:
        return table, (ended, stop)
    kept = {**table.kept, _key(request): (request.id, keep)}
    timer = StartTimer(id=CACHE + request.id, seconds=seconds)
    return replace(table, kept=kept), (ended, stop, timer)


def _ended(
    request: Request,
    outcome: CallOutcome,
    *,
    result: Json | None = None,
    error: str = "",
    reason: str = "",
) -> RequestEnded:
    return RequestEnded(
        request=request.id,
        server=request.server,
        method=request.method,
        outcome=outcome,
        result=result,
        error=error,
        reason=reason,
    )


def _outcome(*, is_sent: bool) -> Literal["unknown", "not_sent"]:
    return "unknown" if is_sent else "not_sent"


def _patience(table: Requests, request: Request) -> float:
    own = table.plan.call_timeout_of(request.server)
    return table.plan.call_timeout if own is None else own


def _freshness(result: Json) -> float:
    """Seconds that an answer may be kept (2026-07-28, server/utilities, "Caching")."""
    ttl = result.get("ttlMs")
    if not isinstance(ttl, int | float) or isinstance(ttl, bool) or ttl <= 0:
        return 0.0
    return min(_LONGEST_KEPT, ttl / 1000)


def _key(request: Request) -> str:
    params = msgspec.json.encode(request.params, order="sorted").decode()
    return f"{request.server}\n{request.method}\n{params}"


def _of(table: Requests, server: str) -> list[Request]:
    return [request for request in table.open.values() if request.server == server]


def _request_of(table: Requests, wire_id: str) -> Request | None:
    if not wire_id.startswith(PREFIX):
        return None
    request = table.open.get(wire_id.removeprefix(PREFIX).partition("~")[0])
    return request if request is not None and request.wire_id == wire_id else None
