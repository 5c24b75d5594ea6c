"""Leads the sessions of a run: which server is where, and when all have settled.

(state, item) -> (state, items). What is not a session's business passes through untouched.

    closed --StreamOpened--> opened --endpoint--> deciding --tools----> ready      (seed)
                                                  deciding --silence--> initializing
    closed --StreamOpened--> probing --supported--> listing                        (2026-07-28)
                             probing --anything else--> initializing               (http, stdio)
                             initializing --result--> greeting, listing --last page--> ready
                             initializing --HTTP 4xx--> closed, and an event stream is tried
    any --StreamLost--> closed, or failed when nobody will try again
"""

from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Open, Passing, StartTimer, StopTimer
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    PostAnswered,
    Problem,
    RequestSubmitted,
    Route,
    RunResumed,
    RunStarted,
    ServersSettled,
    SessionClosed,
    SignInEnded,
    SignInStarted,
    StreamLost,
    StreamOpened,
    TimerFired,
)
from pipeline.core.plan import Plan
from pipeline.core.session import handshake, http, lists, messages, modern, seed
from pipeline.core.session.endpoint import EndpointRefusedError, resolve, session_id_in
from pipeline.core.session.state import (
    Move,
    Outputs,
    Session,
    anew,
    await_step,
    first,
    give_up,
    is_accepted,
    start_over,
)

START = "start"
_EARLY = ("closed", "opened", "deciding")
_UNAUTHORIZED = (401, 403)
_NO_STREAM = (400, 404, 405, 406)
_NOT_FOUND = 404


class SessionsState(msgspec.Struct, frozen=True):
    """The sessions of a run by server name."""

    plan: Plan
    sessions: dict[str, Session]
    is_settled: bool = False


Step: TypeAlias = tuple[SessionsState, Outputs]


def initial(plan: Plan) -> SessionsState:
    """No server is connected yet."""
    sessions = {server.name: first(server) for server in plan.servers}
    return SessionsState(plan, sessions)


def step(state: SessionsState, item: Passing) -> Step:
    """Advance by one item."""
    match item:
        case RunStarted():
            opens = tuple(_open(session) for session in state.sessions.values())
            timer = StartTimer(id=START, seconds=state.plan.start_timeout)
            return _settle(state, item, timer, *opens)
        case RunResumed():
            return _on_resumed(state, item)
        case TimerFired(id=id_) if id_ == START:
            return _settle(state, item, is_time_up=True)
        case TimerFired(id=id_) if id_.startswith(http.RESUME):
            return _on_resume(state, item, id_.removeprefix(http.RESUME))
        case TimerFired(id=id_) if id_.startswith(("session:", "grace:", "again:")):
            kind, _, server = id_.partition(":")
            if server in state.sessions:
                return _move(state, server, item, _on_timer(state, server, kind))
            return state, (item,)
        case RequestSubmitted(method="resources/subscribe" | "resources/unsubscribe"):
            return _on_subscribe(state, item)
        case SignInStarted(server=server) | SignInEnded(server=server) if server in state.sessions:
            return state, (item, *_on_sign_in(state, item))
        case AnswerEnded(server=server) if server in state.sessions:
            session, plan = state.sessions[server], state.plan
            return _move(state, server, item, http.on_ended(session, plan, item))
        case StreamOpened(server=server) | StreamLost(server=server) | FrameReceived(server=server):
            if server in state.sessions:
                return _move(state, server, item, _on_stream(state, server, item))
            return state, (item,)
        case PostAnswered(server=server) if server in state.sessions:
            return _move(state, server, item, _on_posted(state, server, item))
        case _:
            return state, (item,)


def _on_resumed(state: SessionsState, resumed: RunResumed) -> Step:
    """No connection is left: each server is connected anew, under its plan of now."""
    plan = replace(state.plan, servers=resumed.servers)
    fresh = initial(plan).sessions
    reason = "the run was cut off"
    closed = tuple(
        SessionClosed(server=name, reason=reason, retry_in=0.0 if name in fresh else None)
        for name, session in state.sessions.items()
        if session.is_told
    )
    sessions = {
        name: replace(
            session,
            generation=state.sessions[name].generation if name in state.sessions else 0,
        )
        for name, session in fresh.items()
    }
    opens = tuple(_open(session) for session in sessions.values())
    timer = StartTimer(id=START, seconds=plan.start_timeout)
    return _settle(SessionsState(plan, sessions), resumed, *closed, timer, *opens)


def _open(session: Session) -> Open:
    return Open(server=session.server, transport=session.transport)


def _move(state: SessionsState, server: str, item: Passing, move: Move) -> Step:
    session, outputs = move
    is_new = state.sessions[server].phase != "ready" and session.phase == "ready"
    if is_new and session.era == "modern":
        session, more = modern.listen(session)
        outputs = (*outputs, *more)
    sessions = {**state.sessions, server: session}
    state = replace(state, sessions=sessions)
    return _settle(state, item, *outputs)


def _settle(state: SessionsState, *outputs: Passing, is_time_up: bool = False) -> Step:
    """Tell once that every server is ready, has failed, or has had its time."""
    if state.is_settled:
        return state, outputs
    phases = {name: session.phase for name, session in state.sessions.items()}
    starting = tuple(n for n, phase in phases.items() if phase not in ("ready", "failed"))
    if starting and not is_time_up:
        return state, outputs
    settled = ServersSettled(
        ready=tuple(n for n, phase in phases.items() if phase == "ready"),
        failed=tuple(n for n, phase in phases.items() if phase == "failed"),
        starting=starting,
    )
    state = replace(state, is_settled=True)
    return state, (*outputs, StopTimer(id=START), settled)


def _on_stream(
    state: SessionsState, server: str, item: StreamOpened | StreamLost | FrameReceived
) -> Move:
    session, plan = state.sessions[server], state.plan
    match item:
        case StreamOpened():
            return _on_opened(anew(session), plan)
        case StreamLost(status=status, retry_in=None) if _may_be_http(session, status):
            moved = replace(session, transport="http", doubts=1)
            return moved, (StopTimer(id=session.timer), _open(moved))
        case StreamLost(reason=reason, retry_in=retry_in):
            stops: Outputs = (StopTimer(id=session.timer), StopTimer(id=session.grace))
            if session.transport != "sse":
                names = (session.again, *(http.RESUME + request for request in session.answers))
                stops = (*stops, *(StopTimer(id=name) for name in names))
            was_told = session.is_told
            session = replace(
                session,
                phase="closed" if retry_in is not None else "failed",
                route=None,
                is_listing=False,
                is_told=False,
                answers={},
                stream_id="",
            )
            closed = SessionClosed(server=server, reason=reason, retry_in=retry_in)
            return session, (*stops, closed) if was_told else stops
        case FrameReceived() if session.transport == "http":
            return http.on_frame(session, plan, item)
        case FrameReceived() if session.transport == "stdio":
            return messages.on_line(session, plan, item.data)
        case FrameReceived(event="endpoint"):
            return _on_endpoint(session, plan, item)
        case FrameReceived(event="tools") if session.wish != "sse":
            if session.phase in ("deciding", "initializing") or _is_seed(session):
                session, outputs = seed.on_tools(session, item)
                return session, (StopTimer(id=session.grace), *outputs)
            return session, (_unexpected(session, item),)
        case FrameReceived(event="result") if _is_seed(session):
            return seed.on_result(session, item.data)
        case FrameReceived(event="error") if _is_seed(session) or session.phase in _EARLY:
            return seed.on_error(session, item.data)
        case FrameReceived() if messages.is_frame_of(item) and _is_sse(session):
            # Empty data is how some servers keep the line open.
            return messages.on_message(session, plan, item.data) if item.data else (session, ())
        case FrameReceived():
            return session, ()


def _on_opened(session: Session, plan: Plan) -> Move:
    if session.transport == "sse":
        session = replace(session, phase="opened")
        return session, (await_step(session, plan),)
    if session.era == "handshake":
        return handshake.initialize(session, plan)
    return modern.discover(session, plan)


def _may_be_http(session: Session, status: int | None) -> bool:
    """An address that looked like an event stream's, and takes no GET."""
    is_first = session.wish == "auto" and session.transport == "sse" and not session.doubts
    return is_first and not session.is_told and status in _NO_STREAM


def _on_resume(state: SessionsState, item: TimerFired, request: str) -> Step:
    for server, session in state.sessions.items():
        if request in session.answers:
            return _move(state, server, item, http.on_timer(session, request))
    return state, (item,)


def _on_sign_in(state: SessionsState, item: SignInStarted | SignInEnded) -> Outputs:
    """While credentials are got, what waits for the server has a person's time, not a server's."""
    plan, session = state.plan, state.sessions[item.server]
    is_begin = isinstance(item, SignInStarted)
    timers: Outputs = ()
    if session.phase not in ("closed", "ready", "failed"):
        seconds = plan.question_timeout if is_begin else plan.connect_timeout
        timers = (StartTimer(id=session.timer, seconds=seconds),)
    if not state.is_settled:
        seconds = plan.question_timeout if is_begin else plan.start_timeout
        timers = (*timers, StartTimer(id=START, seconds=seconds))
    return timers


def _on_subscribe(state: SessionsState, item: RequestSubmitted) -> Step:
    """Since 2026-07-28 a subscription is one request of the session's, not one for each wish."""
    uri = item.params.get("uri")
    outputs: Outputs = (item,)
    for server, known in state.sessions.items():
        is_meant = item.server in ("", server) and "resources" in known.offers
        if is_meant and known.era == "modern" and isinstance(uri, str):
            session, more = modern.subscribe(known, item.method, uri)
            sessions = {**state.sessions, server: session}
            state, outputs = replace(state, sessions=sessions), (*outputs, *more)
    return state, outputs


def _on_endpoint(session: Session, plan: Plan, frame: FrameReceived) -> Move:
    if session.phase != "opened":
        return session, (_unexpected(session, frame),)
    try:
        url = resolve(session.url, frame.data)
    except EndpointRefusedError as exc:
        return give_up(session, str(exc))
    session_id = session_id_in(url)
    route = Route(server=session.server, url=url, dialect="sse", session_id=session_id)
    session = replace(session, route=route, session_id=session_id, phase="deciding")
    match session.wish:
        case "sse":
            return handshake.initialize(session, plan)
        case "seed":
            return session, (await_step(session, plan),)
        case _:
            return session, (StartTimer(id=session.grace, seconds=plan.dialect_grace),)


def _on_timer(state: SessionsState, server: str, kind: str) -> Move:
    session, plan = state.sessions[server], state.plan
    if kind == "again":
        return http.again(session)
    if kind == "grace":
        return handshake.initialize(session, plan) if session.phase == "deciding" else (session, ())
    waited = f"within {plan.connect_timeout:g} s (--connect-timeout)"
    match session.phase:
        case "opened":
            return start_over(session, f"no `endpoint` event came {waited}")
        case "deciding":
            return start_over(session, f"no `tools` event came {waited}")
        case "probing" if session.transport == "stdio" and session.era != "modern":
            # A process that does not know the question may say nothing at all.
            return handshake.initialize(session, plan)
        case "probing":
            return start_over(session, f"`server/discover` was not answered {waited}")
        case "greeting":
            return start_over(session, f"`initialized` was not taken {waited}")
        case "initializing":
            return start_over(session, f"`initialize` was not answered {waited}")
        case "listing":
            return start_over(session, f"`tools/list` was not answered {waited}")
        case "ready" if session.is_listing:
            return lists.give_up(session, f"no answer {waited}")
        case _:
            return session, ()


def _on_posted(state: SessionsState, server: str, item: PostAnswered) -> Move:
    session = state.sessions[server]
    if session.transport == "http":
        return http.on_posted(session, state.plan, item)
    if is_accepted(item.status):
        # Some servers answer a POST with the message itself instead of 202.
        if not item.body or session.route is None or session.transport == "stdio":
            return session, ()
        if _is_seed(session):
            return seed.on_body(session, item)
        return messages.on_body(session, state.plan, item)
    if not messages.owns(session, item.id):
        if item.status == _NOT_FOUND and session.phase == "ready":
            return start_over(session, "the server does not know the session any more (HTTP 404)")
        return session, ()
    if _is_seed(session):
        # Its `tools` came after we had lost patience: how it takes an `initialize` says nothing.
        return session, ()
    what = item.id.partition(":")[0]
    why = item.reason if item.status is None else f"HTTP {item.status} {item.body[:200]}".strip()
    reason = f"the message {what!r} could not be delivered: {why}"
    if item.status in _UNAUTHORIZED:
        return give_up(session, reason, item.status)
    if messages.is_step(session, item.id):
        return start_over(session, reason)
    if session.is_listing and what == "list":
        return lists.give_up(session, why)
    return session, (Problem(where=server, detail=reason),)


def _is_seed(session: Session) -> bool:
    return session.route is not None and session.route.dialect == "seed"


def _is_sse(session: Session) -> bool:
    return session.route is not None and session.route.dialect == "sse"


def _unexpected(session: Session, frame: FrameReceived) -> Problem:
    detail = f"an unexpected {frame.event!r} event is ignored (session is {session.phase})"
    return Problem(where=session.server, detail=detail)
