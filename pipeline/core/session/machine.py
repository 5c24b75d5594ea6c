"""Leads the sessions of a run: which server is where, and when all have settled.

(state, item) -> (state, items). What is not a session's business passes through untouched.

    closed --StreamOpened--> opened --endpoint--> deciding --tools----> ready      (seed)
                                                  deciding --silence--> initializing
    closed --StreamOpened--> probing --supported--> listing                        (2026-07-28)
                             probing --anything else--> initializing               (http, stdio)
                             initializing --result--> greeting, attending, listing --> ready
                             initializing --HTTP 4xx--> closed, and an event stream is tried
    any --StreamLost--> closed, or failed when nobody will try again
"""

from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import Passing, StartTimer, StopTimer
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    PostAnswered,
    RequestSubmitted,
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
from pipeline.core.session import (
    answers,
    deadlines,
    detect,
    http,
    ids,
    own_stream,
    sse,
    standing,
    stdio,
    subscriptions,
)
from pipeline.core.session.state import Move, Outputs, Session, anew

START = "start"
_TIMERS = ("session:", "grace:", "again:")
_ANSWER_TIMERS = (ids.RESUME, ids.LIMIT)


class SessionsState(msgspec.Struct, frozen=True):
    """The sessions of a run by server name."""

    plan: Plan
    sessions: dict[str, Session]
    is_settled: bool = False


Step: TypeAlias = tuple[SessionsState, Outputs]


def initial(plan: Plan) -> SessionsState:
    """No server is connected yet."""
    sessions = {server.name: detect.first(server) for server in plan.servers}
    return SessionsState(plan, sessions)


def step(state: SessionsState, item: Passing) -> Step:
    """Advance by one item."""
    match item:
        case FrameReceived(server=server) | AnswerEnded(server=server):
            if server in state.sessions:
                return _move(state, server, item, _on_stream(state, server, item))
            return state, (item,)
        case StreamOpened(server=server) | StreamLost(server=server):
            if server in state.sessions:
                return _move(state, server, item, _on_link(state, server, item))
            return state, (item,)
        case PostAnswered(server=server):
            if server in state.sessions:
                return _move(state, server, item, _on_posted(state, server, item))
            return state, (item,)
        case TimerFired(id=id_):
            return _on_timer(state, item, id_)
        case RunStarted():
            opens = tuple(detect.open_link(session) for session in state.sessions.values())
            timer = StartTimer(id=START, seconds=state.plan.start_timeout)
            return _settle(state, item, timer, *opens)
        case RunResumed():
            return _on_resumed(state, item)
        case RequestSubmitted(method="resources/subscribe" | "resources/unsubscribe"):
            return _on_wish(state, item)
        case SignInStarted(server=server) | SignInEnded(server=server) if server in state.sessions:
            return state, (item, *_on_sign_in(state, item))
        case _:
            return state, (item,)


def _on_resumed(state: SessionsState, resumed: RunResumed) -> Step:
    """No connection is left: each server is connected anew, under its plan of now."""
    plan = resumed.plan_after(state.plan)
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
            subscriptions=state.sessions[name].subscriptions if name in state.sessions else (),
        )
        for name, session in fresh.items()
    }
    opens = tuple(detect.open_link(session) for session in sessions.values())
    timer = StartTimer(id=START, seconds=plan.start_timeout)
    return _settle(SessionsState(plan, sessions), resumed, *closed, timer, *opens)


def _move(state: SessionsState, server: str, item: Passing, move: Move) -> Step:
    session, outputs = move
    if session.phase == "ready" and state.sessions[server].phase != "ready":
        session, more = subscriptions.renew(session, state.plan)
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


# --- one server -----------------------------------------------------------------------------


def _on_link(state: SessionsState, server: str, item: StreamOpened | StreamLost) -> Move:
    session, plan = state.sessions[server], state.plan
    match item:
        case StreamOpened():
            return detect.begin(anew(session), plan)
        case StreamLost():
            return detect.another(session, item) or _on_lost(session, item)


def _on_lost(session: Session, lost: StreamLost) -> Move:
    stops: Outputs = (StopTimer(id=session.timer), StopTimer(id=session.grace))
    if session.transport != "sse":
        stops = (*stops, StopTimer(id=session.again), *answers.stops(session))
    closed = SessionClosed(server=session.server, reason=lost.reason, retry_in=lost.retry_in)
    told = (closed,) if session.is_told else ()
    outputs = (*stops, *told, *detect.explain(session, lost))
    session = replace(
        session,
        phase="closed" if lost.retry_in is not None else "failed",
        route=None,
        is_listing=False,
        is_told=False,
        answers={},
        stream_id="",
        is_pausing=False,
    )
    return session, outputs


def _on_stream(state: SessionsState, server: str, item: FrameReceived | AnswerEnded) -> Move:
    session, plan = state.sessions[server], state.plan
    match item:
        case FrameReceived() if session.transport == "sse":
            return sse.on_frame(session, plan, item)
        case FrameReceived() if session.transport == "http":
            return http.on_frame(session, plan, item)
        case FrameReceived():
            return stdio.on_line(session, plan, item.data)
        case AnswerEnded():
            return http.on_ended(session, plan, item)


def _on_posted(state: SessionsState, server: str, item: PostAnswered) -> Move:
    session, plan = state.sessions[server], state.plan
    match session.transport:
        case "sse":
            return sse.on_posted(session, plan, item)
        case "http":
            return http.on_posted(session, plan, item)
        case "stdio":
            return stdio.on_posted(session, plan, item)


def _on_wish(state: SessionsState, item: RequestSubmitted) -> Step:
    """A subscription concerns the one server that is named, or else could be meant."""
    able = [
        name
        for name, session in state.sessions.items()
        if item.server == name
        or (not item.server and session.phase == "ready" and subscriptions.may_watch(session))
    ]
    uri = item.params.get("uri")
    if len(able) != 1 or not isinstance(uri, str):
        return state, (item,)
    session = state.sessions[able[0]]
    return _move(state, able[0], item, subscriptions.wish(session, item.method, uri))


# --- timers ---------------------------------------------------------------------------------


def _on_timer(state: SessionsState, item: TimerFired, id_: str) -> Step:
    if id_ == START:
        return _settle(state, item, is_time_up=True)
    if id_.startswith(_ANSWER_TIMERS):
        return _on_answer_timer(state, item, id_)
    kind, _, server = id_.partition(":")
    if not id_.startswith(_TIMERS) or server not in state.sessions:
        return state, (item,)
    session, plan = state.sessions[server], state.plan
    match kind:
        case "grace":
            is_http = session.transport == "http"
            move = (http if is_http else sse).on_grace_over(session, plan)
        case "again":
            move = _on_again(session, plan)
        case _:
            move = deadlines.on_deadline(session, plan)
    return _move(state, server, item, move)


def _on_answer_timer(state: SessionsState, item: TimerFired, id_: str) -> Step:
    kind, request = id_[: id_.index(":") + 1], id_.partition(":")[2]
    for server, session in state.sessions.items():
        if request in session.answers:
            if kind == ids.LIMIT:
                return _move(state, server, item, answers.on_limit(session, state.plan, request))
            return _move(state, server, item, answers.on_pause_over(session, request))
    return state, (item,)


def _on_again(session: Session, plan: Plan) -> Move:
    """The stream that stands has lasted; or its pause is over."""
    if session.stream_id:
        return standing.proved(session), ()
    if not session.is_pausing or session.route is None:
        return session, ()
    if session.era == "modern":
        return subscriptions.again(session, plan)
    return own_stream.again(session, plan)


def _on_sign_in(state: SessionsState, item: SignInStarted | SignInEnded) -> Outputs:
    """While credentials are got, what waits for the server has a person's time, not a server's."""
    plan, is_begin = state.plan, isinstance(item, SignInStarted)
    timers = deadlines.while_signing_in(state.sessions[item.server], plan, is_begin=is_begin)
    if state.is_settled:
        return timers
    seconds = plan.question_timeout if is_begin else plan.start_timeout
    return (*timers, StartTimer(id=START, seconds=seconds))
