"""Answers that are event streams: which are open, and how those that break off are taken up again.

2025-11-25, basic/transports, "Resumability and Redelivery": with a GET that names the last event,
after the pause that the server wishes, however the stream began. Without an event that had an id,
and since 2026-07-28 in any case, an answer that broke off is lost.

Somebody waits: so that does not go on for long. It is over once the server does not know the answer
or the session any more, where nobody is there twice in a row, and after `LONGEST` seconds of pauses
without a new event.
"""

from msgspec.structs import replace

from pipeline.core.commands import Cut, StartTimer, StopTimer
from pipeline.core.events import AnswerEnded, PostAnswered, RequestLost
from pipeline.core.plan import Plan
from pipeline.core.session import detect, ids, lists, wire
from pipeline.core.session.state import (
    Answer,
    Move,
    Outputs,
    Session,
    is_final,
    pause_before,
    start_over,
)

MOST = 1024
"""Open answers that are kept in mind. Some may be of no use to anybody: a later stage that gives a
request up has its answer closed, and the session does not hear of it."""
LONGEST = 10.0
"""Seconds of pauses in which an answer has to be taken up again, or else is lost; only the first
pause may be longer, if the server wishes that."""
_MOST_ABSENCES = 2


def opened(session: Session, request: str) -> Move:
    """The answer to a request comes as a stream."""
    outputs: Outputs = ()
    if len(session.answers) >= MOST:
        session, outputs = settle(session, next(iter(session.answers)))
    return _with(session, request, Answer(request, session.generation)), outputs


def request_of(session: Session, stream: str) -> str | None:
    """The request whose open answer a stream brings."""
    request = stream
    if stream.startswith(ids.RESUME):
        request = stream.removeprefix(ids.RESUME).rpartition(":")[0]
    answer = session.answers.get(request)
    return request if answer is not None and answer.stream == stream else None


def settle(session: Session, request: str) -> Move:
    """The answer has come, or nobody waits for it: forget it, with all that was begun for it."""
    answer = session.answers[request]
    left = {key: other for key, other in session.answers.items() if key != request}
    session = replace(session, answers=left)
    if answer.stream == request:
        return session, ()  # The server ends it, or else the time that its message has.
    return session, (*_stops(request), *_cut(session, answer))


def on_ended(session: Session, plan: Plan, item: AnswerEnded) -> Move:
    """A stream ended; if its request has no answer yet, it is taken up again, or lost."""
    request = request_of(session, item.id)
    if request is None:
        return session, ()
    answer = replace(session.answers[request], absences=0)
    if item.last_event_id not in ("", answer.last_event_id):
        answer = replace(answer, last_event_id=item.last_event_id, tries=0, waited=0.0)
    session = _with(session, request, answer)
    why = item.reason or "the server ended its answer without a result"
    return _pause(session, plan, request, item.retry_ms, why)


def on_refused(session: Session, plan: Plan, request: str, item: PostAnswered) -> Move:
    """The rest of an answer is not to be had: at all, or not yet."""
    why = item.reason if item.status is None else f"HTTP {item.status}"
    answer = session.answers[request]
    is_there = item.status is not None or item.is_sent
    absences = 0 if is_there else answer.absences + 1
    if is_final(item.status) or absences >= _MOST_ABSENCES:
        return lose(session, plan, request, f"the answer could not be taken up again: {why}")
    session = _with(session, request, replace(answer, absences=absences))
    return _pause(session, plan, request, None, why)


def on_pause_over(session: Session, request: str) -> Move:
    """It is time to take up an answer again."""
    answer, route = session.answers[request], session.route
    if answer.stream or route is None:
        return session, ()
    number = session.streams + 1
    stream = f"{ids.RESUME}{request}:{number}"
    session = _with(replace(session, streams=number), request, replace(answer, stream=stream))
    return session, (wire.get(route, stream, last_event_id=answer.last_event_id),)


def on_limit(session: Session, plan: Plan, request: str) -> Move:
    """An answer that was taken up again has had more time than any request may take."""
    within = f"within {plan.call_timeout_max:g} s (--call-timeout-max)"
    answer = session.answers[request]
    session, outputs = lose(session, plan, request, f"the rest of its answer did not come {within}")
    return session, (*_cut(session, answer), *outputs)


def lose(session: Session, plan: Plan, request: str, why: str) -> Move:
    """No answer will come: whoever waits for it hears so. Its stream is over."""
    answer = session.answers[request]
    session = replace(session, answers={k: v for k, v in session.answers.items() if k != request})
    stops = () if answer.stream == request else _stops(request)
    session, outputs = _tell(session, plan, request, why)
    return session, (*stops, *outputs)


def outlive(session: Session, why: str) -> tuple[dict[str, Answer], Outputs]:
    """What the next session takes over when this one has expired: the streams that are still open.

    They belong to requests that the server took; what waits for its time cannot be taken up by
    another session, and is lost.
    """
    outputs: Outputs = ()
    kept: dict[str, Answer] = {}
    for request, answer in session.answers.items():
        if ids.is_for_others(request) and answer.stream:
            kept[request] = answer
            continue
        stops = () if answer.stream == request else _stops(request)
        outputs = (*outputs, *stops, *_cut(session, answer))
        if ids.is_for_others(request):
            lost = RequestLost(server=session.server, id=request, reason=why)
            outputs = (*outputs, lost)
    return kept, outputs


def stops(session: Session) -> Outputs:
    """The timers of all answers: their streams are gone with the link."""
    resumed = (key for key, answer in session.answers.items() if answer.stream != key)
    return tuple(stop for request in resumed for stop in _stops(request))


def _pause(session: Session, plan: Plan, request: str, retry_ms: int | None, why: str) -> Move:
    answer = session.answers[request]
    is_same = answer.generation == session.generation and session.era == "handshake"
    # There is no session yet that an `initialize` could be taken up in.
    is_early = session.phase in ("probing", "initializing")
    if not is_same or is_early or not answer.last_event_id:
        return lose(session, plan, request, why)
    pause = pause_before(retry_ms, answer.tries)
    is_long = answer.tries > 0 and answer.waited + pause > LONGEST
    if is_long or answer.tries >= plan.max_resumptions:
        why = f"{why}; {answer.tries} attempts to take it up again brought nothing"
        return lose(session, plan, request, why)
    timer = StartTimer(id=ids.RESUME + request, seconds=pause)
    is_first = answer.stream == request
    limit = StartTimer(id=ids.LIMIT + request, seconds=plan.call_timeout_max)
    again = replace(answer, stream="", tries=answer.tries + 1, waited=answer.waited + pause)
    session = _with(session, request, again)
    return session, (timer, limit) if is_first else (timer,)


def _tell(session: Session, plan: Plan, request: str, why: str) -> Move:
    what = f"{request.partition(':')[0]!r} was not answered: {why}"
    if ids.is_step(session, request):
        if session.phase == "probing":
            return detect.on_unanswered(session, plan, what)
        return start_over(session, what)
    if session.is_listing and request == lists.list_id(session):
        return lists.fail(session, plan, why)
    if not ids.is_for_others(request):
        return session, ()
    return session, (RequestLost(server=session.server, id=request, reason=why),)


def _stops(request: str) -> Outputs:
    return StopTimer(id=ids.RESUME + request), StopTimer(id=ids.LIMIT + request)


def _cut(session: Session, answer: Answer) -> Outputs:
    return (Cut(server=session.server, id=answer.stream),) if answer.stream else ()


def _with(session: Session, request: str, answer: Answer) -> Session:
    return replace(session, answers={**session.answers, request: answer})
