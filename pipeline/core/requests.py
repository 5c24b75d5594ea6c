"""A person's own requests to servers: resources, prompts, completion. Each ends exactly once.

Pure moves over a table, used by the agent stage. Lists are read to their last page (MCP:
server/utilities, "Pagination"); what may be kept (`ttlMs`, 2026-07-28) is not asked for twice. All
of it only reads, or says the same twice: what is lost is sent again.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pipeline.core.cancelling import cancel
from pipeline.core.events import (
    CallRejected,
    Json,
    PostAnswered,
    ReplyReceived,
    RequestLost,
    RequestStarted,
    RequestSubmitted,
    SessionReady,
    StreamLost,
)
from pipeline.core.inputs import RoundError, next_round, visits, with_input
from pipeline.core.request_lists import from_the_first_page, on_list_error, on_page
from pipeline.core.request_losses import after_loss, after_refusal
from pipeline.core.request_table import (
    CACHE,
    LISTS,
    PREFIX,
    Move,
    Outputs,
    Request,
    Requests,
    ask_for,
    deadline,
    distrust_of,
    end,
    ended,
    fail,
    forget,
    key_of,
    patience,
    post,
    request_of,
    requests_of,
    succeed,
    unanswered,
    with_request,
)
from pipeline.core.request_targets import SUBSCRIBE, is_offered, not_offered, servers_for, what_of
from pipeline.core.session import refusals, wire
from pipeline.core.session.state import is_accepted
from pipeline.core.shapes import is_object

_WITH_ROUNDS = ("prompts/get", "resources/read")
_WITHOUT_COMPLETIONS = "2024-11-05"


def start(table: Requests, wish: RequestSubmitted) -> Move:
    """Begin what a person asked for, at each server that it is for."""
    servers = servers_for(table, wish)
    if isinstance(servers, str):
        return table, (CallRejected(tool=wish.method, reason=servers),)
    outputs: Outputs = ()
    for server in servers:
        id_ = f"r{table.numbers + 1}"
        table = replace(table, numbers=table.numbers + 1)
        started = RequestStarted(request=id_, server=server, method=wish.method, params=wish.params)
        request = Request(id_, server, wish.method, wish.params)
        if (kept := table.kept.get(key_of(request))) is not None:
            outputs = (*outputs, started, ended(request, "answered", result=kept[1]))
            continue
        table, more = _send(table, request)
        outputs = (*outputs, started, *more)
    return table, outputs


def on_offers(table: Requests, server: str, capabilities: Json) -> Requests:
    """What a server says it can do, just before it is ready."""
    return replace(table, offers={**table.offers, server: capabilities})


def on_session_ready(table: Requests, ready: SessionReady) -> Move:
    """A server may be used (again): what waited for it goes out."""
    server = ready.server
    lost = {name: why for name, why in table.lost.items() if name != server}
    table = replace(table, routes={**table.routes, server: ready.route}, lost=lost)
    if ready.protocol == _WITHOUT_COMPLETIONS:
        # That revision has them, but no capability that says so.
        offered: Json = {"completions": {}, **table.offers.get(server, {})}
        table = replace(table, offers={**table.offers, server: offered})
    outputs: Outputs = ()
    for request in requests_of(table, server):
        if request.state == "waiting":
            table, more = _send(table, request)
            outputs = (*outputs, *more)
    return table, outputs


def on_stream_lost(table: Requests, lost: StreamLost) -> Move:
    """All that was posted is lost with its connection, and asked again with the next one."""
    is_final = lost.retry_in is None
    table = _without_route(table, lost.server)
    if is_final:
        table = replace(table, lost={**table.lost, lost.server: lost.reason})
    outputs: Outputs = ()
    for request in requests_of(table, lost.server):
        if is_final:
            why = ended(request, unanswered(request), reason=lost.reason)
            table, more = end(table, request, why)
        elif request.state == "posted":
            table, more = after_loss(table, request, lost.reason)
        else:
            continue
        outputs = (*outputs, *more)
    return table, outputs


def on_lost(table: Requests, lost: RequestLost) -> Move:
    """No answer will come to one message; over this connection or the next it goes out again."""
    request = request_of(table, lost.server, lost.id)
    if request is None:
        return table, ()
    if lost.is_refused:
        return after_refusal(table, request, lost)
    if not lost.is_sent:
        table = _without_route(table, lost.server)
    table, outputs = after_loss(table, request, lost.reason)
    if request.id not in table.open or not lost.is_sent:
        return table, outputs
    table, more = post(table, table.open[request.id])
    return table, (*outputs, *more)


def on_posted(table: Requests, posted: PostAnswered) -> Move:
    """The server took the message, or did not.

    The session reads what was answered over HTTP, and refusals that mean the same everywhere.
    """
    request = request_of(table, posted.server, posted.id)
    route = table.routes.get(posted.server)
    is_read = route is not None and route.dialect == "http"
    is_read = is_read or refusals.is_told(table.plan, posted)
    if request is None or is_read or is_accepted(posted.status):
        return table, ()
    if posted.status is not None:
        return fail(table, request, f"the server answered HTTP {posted.status}")
    outcome = "unknown" if posted.is_sent else "not_sent"
    return end(table, request, ended(request, outcome, reason=posted.reason))


def is_ours(id_: str | None) -> bool:
    """Is a message with this id one of a request?"""
    return id_ is not None and id_.startswith(PREFIX)


def on_reply(table: Requests, reply: ReplyReceived) -> Move:
    """The answer to a request; one that comes too late is passed over."""
    request = request_of(table, reply.server, reply.id)
    if request is None:
        return table, ()
    if reply.result is None:
        return _on_error(table, request, reply)
    kind = reply.result.get("resultType") or "complete"
    if kind == "input_required" and request.method in _WITH_ROUNDS:
        requests, state = reply.result.get("inputRequests"), reply.result.get("requestState")
        return _ask(table, request, requests, state)
    if kind != "complete":
        words = f"the result is of type {kind!r}, which {request.method} may not have"
        return fail(table, request, words)
    if request.method in LISTS:
        return on_page(table, request, reply.result)
    return succeed(table, request, reply.result)


def on_input(table: Requests, id_: str, key: str, result: Json | None, refusal: str = "") -> Move:
    """What a server wanted is there (`result`), or it does not get it (`refusal` says why)."""
    request = table.open.get(id_)
    if request is None or request.state != "asking":
        return table, ()
    try:
        given = with_input(request.round, key, result, refusal)
    except RoundError as exc:
        return fail(table, request, str(exc))
    request = replace(request, round=given)
    return (with_request(table, request), ()) if given.is_open else post(table, request)


def on_timer(table: Requests, timer: str) -> Move:
    """A request's time is up, or that of a kept answer."""
    if timer.startswith(CACHE):
        name = timer.removeprefix(CACHE)
        kept = {key: value for key, value in table.kept.items() if value[0] != name}
        return replace(table, kept=kept), ()
    request = table.open.get(timer.removeprefix(PREFIX))
    if request is None or request.state == "asking":
        return table, ()  # the time of a question is its own
    seconds = f"{patience(table, request):g} s (--call-timeout)"
    if request.is_pausing:
        return post(table, replace(request, is_pausing=False))
    if request.state == "waiting":
        return _abandon(table, request, f"{request.server!r} was not connected after {seconds}")
    return _abandon(table, request, f"no answer for {seconds}")


def on_resumed(table: Requests, servers: Sequence[str]) -> Move:
    """All connections and timers of before are gone; `servers` are those that come back."""
    table = replace(table, routes={}, offers={}, lost={}, kept={})
    outputs: Outputs = ()
    for request in tuple(table.open.values()):
        if request.server not in servers:
            reason = f"{request.server!r} is not part of the resumed run"
            table, more = end(table, request, ended(request, unanswered(request), reason=reason))
        elif request.state == "asking":
            continue  # the time is that of the questions
        else:
            waiting = from_the_first_page(replace(request, state="waiting"))
            table, more = with_request(table, waiting), (deadline(table, waiting),)
        outputs = (*outputs, *more)
    return table, outputs


def cancel_all(table: Requests, reason: str) -> Move:
    """The person does not want to wait any longer."""
    outputs: Outputs = ()
    for request in tuple(table.open.values()):
        table, more = _abandon(table, request, reason)
        outputs = (*outputs, *more)
    return table, outputs


def _send(table: Requests, request: Request) -> Move:
    """Send a request, or have it wait; what its server does not offer needs no message."""
    server, method = request.server, request.method
    route = table.routes.get(server)
    if route is None:
        return post(table, request)
    if not is_offered(table, server, method):
        if method in LISTS:
            none: Json = {LISTS[method]: []}
            return succeed(table, request, none, "the server does not offer any")
        why = not_offered(server, what_of(method))
        return end(table, request, ended(request, unanswered(request), reason=why))
    if why := distrust_of(table, request):
        return fail(table, request, f"nothing of this skill is read: {why}")
    if method in SUBSCRIBE and wire.is_modern(route):
        # There it is a part of the one subscription that the session has.
        return succeed(table, request, {})
    return post(table, request)


def _on_error(table: Requests, request: Request, reply: ReplyReceived) -> Move:
    if request.method in LISTS:
        return on_list_error(table, request, reply)
    wanted = None if table.plan.elicitation == "never" else visits(reply.code, reply.data)
    if wanted is not None:
        return _ask(table, request, wanted, None, is_visit=True)
    return fail(table, request, reply.error)


def _ask(
    table: Requests, request: Request, requests: object, state: object, *, is_visit: bool = False
) -> Move:
    try:
        wanted = next_round(request.round, requests, state, table.plan.max_rounds)
    except RoundError as exc:
        return fail(table, request, str(exc))
    request = replace(request, round=replace(wanted, is_visit=is_visit))
    if is_object(requests) and wanted.inputs:
        return ask_for(table, request, requests)
    return post(table, request)


def _abandon(table: Requests, request: Request, reason: str) -> Move:
    route = table.routes.get(request.server)
    table, outputs = end(table, request, ended(request, unanswered(request), reason=reason))
    if route is None or request.state != "posted":
        return table, outputs
    return table, (*outputs, *cancel(route, f"cancel:{request.id}", request.wire_id, reason))


def _without_route(table: Requests, server: str) -> Requests:
    routes = {name: route for name, route in table.routes.items() if name != server}
    offers = {name: each for name, each in table.offers.items() if name != server}
    return forget(replace(table, routes=routes, offers=offers), server)
