"""The table of a person's requests: what is in it, what goes out, and how a request leaves it."""

from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core import jsonrpc, skills
from pipeline.core.commands import Passing, StartTimer, StopTimer
from pipeline.core.events import CallOutcome, Json, RequestEnded, Route
from pipeline.core.inputs import Round, Want, wants_of
from pipeline.core.plan import Plan
from pipeline.core.session import wire

PREFIX = "request:"
CACHE = "cache:"
LISTS = {
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
    "prompts/list": "prompts",
    skills.LIST: "skills",
}
"""The lists that a person may ask for, and where the items stand in a page of it."""

_CACHEABLE = (*LISTS, "resources/read")
_MOST_KEPT = 64
_MOST_BYTES = 256 * 1024
LONGEST_KEPT = 86_400.0  # seconds
_SLACK = 10.0  # seconds more than the core's own limit until the shell ends an answer by itself

State: TypeAlias = Literal[
    "waiting",  # for its server
    "posted",  # its latest message is on the way
    "asking",  # the server wants something first, and somebody is asked for it
]


class Request(msgspec.Struct, frozen=True):
    """One request to one server, for which `messages` were sent and `losses` of them lost.

    Of a list, `items` are those of the pages so far, `cursor` is that of the page which is asked
    for, `cursors` are all that were. `fresh` is how many seconds all of it may be kept at most.
    `is_pausing`: the server is busy, and is asked again after a pause.
    """

    id: str
    server: str
    method: str
    params: Json
    state: State = "waiting"
    messages: int = 0
    losses: int = 0
    items: tuple[Json, ...] = ()
    cursors: tuple[str, ...] = ()
    cursor: str | None = None
    fresh: float = LONGEST_KEPT
    round: Round = Round()
    is_pausing: bool = False

    @property
    def wire_id(self) -> str:
        """The id of its latest message."""
        return f"{PREFIX}{self.id}~{self.messages}"


class Requests(msgspec.Struct, frozen=True):
    """The table.

    `routes` holds the servers that are connected, `offers` the capabilities that they said, `lost`
    why others never will be. `kept` holds answers that need not be asked for again, each with the
    name of the request that brought it. `wants` is what has to be asked for now: whoever uses the
    table takes it out. `files` are those of skills, by server and URI, `distrusted` says by server
    and skill why nothing of it is read any more.
    """

    plan: Plan
    open: dict[str, Request] = {}
    routes: dict[str, Route] = {}
    offers: dict[str, Json] = {}
    lost: dict[str, str] = {}
    kept: dict[str, tuple[str, Json]] = {}
    numbers: int = 0
    wants: tuple[Want, ...] = ()
    files: dict[str, skills.File] = {}
    distrusted: dict[str, str] = {}


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Requests, Outputs]


def requests_of(table: Requests, server: str) -> list[Request]:
    """A server's open requests, the oldest first."""
    return [request for request in table.open.values() if request.server == server]


def request_of(table: Requests, server: str, wire_id: str | None) -> Request | None:
    """The open request whose latest message has this id, and is on the way to this server."""
    request = table.open.get((wire_id or "").removeprefix(PREFIX).partition("~")[0])
    if request is None or (request.wire_id, request.server) != (wire_id, server):
        return None
    return request if request.state == "posted" else None


def with_request(table: Requests, request: Request) -> Requests:
    """The table with this state of a request."""
    return replace(table, open={**table.open, request.id: request})


def patience(table: Requests, request: Request) -> float:
    """Seconds that one message may go without an answer."""
    own = table.plan.call_timeout_of(request.server)
    return table.plan.call_timeout if own is None else own


def deadline(table: Requests, request: Request) -> StartTimer:
    """The time until an answer, or until there is a server to ask; it starts over."""
    return StartTimer(id=PREFIX + request.id, seconds=patience(table, request))


def post(table: Requests, request: Request) -> Move:
    """Send the next message of a request, or have it wait for its server."""
    route = table.routes.get(request.server)
    if route is None:
        request = replace(request, state="waiting")
        return with_request(table, request), (deadline(table, request),)
    messages = request.messages + 1
    request = replace(request, state="posted", messages=messages, is_pausing=False)
    cursor: Json = {} if request.cursor is None else {"cursor": request.cursor}
    params = {**request.params, **cursor, **request.round.params}
    message = jsonrpc.request(request.wire_id, request.method, params)
    seconds = patience(table, request) + _SLACK
    sent = wire.post(route, request.wire_id, message, seconds=seconds)
    return with_request(table, request), (deadline(table, request), sent)


def ask_for(table: Requests, request: Request, requests: Json) -> Move:
    """Have a request wait for what its round wants; the time is that of the questions."""
    wants = wants_of(request.id, request.server, requests)
    table = with_request(table, replace(request, state="asking"))
    return replace(table, wants=(*table.wants, *wants)), (StopTimer(id=PREFIX + request.id),)


def end(table: Requests, request: Request, ended: RequestEnded) -> Move:
    """A request leaves the table, in these words."""
    left = {id_: other for id_, other in table.open.items() if id_ != request.id}
    return replace(table, open=left), (ended, StopTimer(id=PREFIX + request.id))


def succeed(table: Requests, request: Request, result: Json, reason: str = "") -> Move:
    """A request leaves the table with its result, which may be kept (`ttlMs`).

    What was brought about by inputs may not (2026-07-28, server/utilities/caching, "Cache Key").
    A file of a skill must be what the list of skills promises, else there is no result.
    """
    if request.method == skills.LIST:
        mine = {_place(request, uri): file for uri, file in skills.files_of(result).items()}
        table = replace(table, files={**table.files, **mine})
    elif (file := file_of(table, request)) is not None:
        why = skills.problem_with(file, request.params["uri"], result)
        if why:
            skill = _place(request, file.skill)
            table = replace(table, distrusted={**table.distrusted, skill: why})
            return fail(table, request, f"the skill is not what it promises: {why}")
    table, outputs = end(table, request, ended(request, "answered", result=result, reason=reason))
    seconds = fresh(request, result)
    is_whole = request.method in _CACHEABLE and not request.round.number and not reason
    if not (is_whole and seconds and len(table.kept) < _MOST_KEPT):
        return table, outputs
    if len(msgspec.json.encode(result)) > _MOST_BYTES:
        return table, outputs
    timer = StartTimer(id=CACHE + request.id, seconds=seconds)
    kept = {**table.kept, key_of(request): (request.id, result)}
    return replace(table, kept=kept), (*outputs, timer)


def fail(table: Requests, request: Request, error: str) -> Move:
    """A request leaves the table without a result, though the server has answered."""
    return end(table, request, ended(request, "answered", error=error))


def file_of(table: Requests, request: Request) -> skills.File | None:
    """The file of a skill that a request reads, if it is one."""
    uri = request.params.get("uri")
    is_read = request.method == "resources/read" and isinstance(uri, str)
    return table.files.get(_place(request, str(uri))) if is_read else None


def distrust_of(table: Requests, request: Request) -> str:
    """Why a file is not to be read: its skill was found to be another than promised."""
    file = file_of(table, request)
    return "" if file is None else table.distrusted.get(_place(request, file.skill), "")


def _place(request: Request, uri: str) -> str:
    return f"{request.server}\n{uri}"


def unanswered(request: Request) -> CallOutcome:
    """How a request ends that is given up."""
    return "unknown" if request.messages else "not_sent"


def ended(
    request: Request,
    outcome: CallOutcome,
    *,
    result: Json | None = None,
    error: str = "",
    reason: str = "",
) -> RequestEnded:
    """How a request ended, in the words of an event."""
    return RequestEnded(
        request=request.id,
        server=request.server,
        method=request.method,
        outcome=outcome,
        result=result,
        error=error,
        reason=reason,
    )


def fresh(request: Request, result: Json) -> float:
    """Seconds that a result may be kept, with those before it: 0 where it does not say."""
    ttl = result.get("ttlMs")
    if not isinstance(ttl, int | float) or isinstance(ttl, bool) or ttl <= 0:
        return 0.0
    return min(request.fresh, ttl / 1000)


def key_of(request: Request) -> str:
    """What tells a kept answer from all others."""
    params = msgspec.json.encode(request.params, order="sorted").decode()
    return f"{request.server}\n{request.method}\n{params}"


def forget(table: Requests, server: str) -> Requests:
    """A server's answers may be out of date: those that are kept, and those that are under way."""
    prefix = f"{server}\n"
    kept = {key: value for key, value in table.kept.items() if not key.startswith(prefix)}
    under_way = (each for each in requests_of(table, server) if each.state == "posted")
    stale = {each.id: replace(each, fresh=0.0) for each in under_way}
    return replace(table, kept=kept, open={**table.open, **stale})
