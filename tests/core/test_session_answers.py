"""Answers that are event streams, and those that break off.

2025-11-25, basic/transports, "Resumability and Redelivery".
"""

from typing import Any

import pytest

from pipeline.core.commands import Cut, Get, Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    Problem,
    ReplyReceived,
    RequestLost,
    RunStarted,
    ServerLogged,
    SessionClosed,
)
from pipeline.core.plan import Plan
from pipeline.core.session import answers
from pipeline.core.session.machine import SessionsState, initial, step
from pipeline.core.session.state import Session
from tests.support.play import (
    ADD,
    MCP,
    an_http_plan,
    answered,
    ended,
    fired,
    frame,
    http_start,
    kinds,
    lost,
    modern_start,
    on_stream,
    one,
    only,
    play,
    posted,
    posts,
    rejected,
    replied,
    streaming,
    told,
)

CALL, GET, NEXT_GET = "call:c1", "resume:call:c1:2", "resume:call:c1:3"
PAUSE, LIMIT = fired("resume:call:c1"), fired("limit:call:c1")
STOPS = [StopTimer(id="resume:call:c1"), StopTimer(id="limit:call:c1")]
PLAN = an_http_plan("s", max_resumptions=3, call_timeout_max=90)


def ready(plan: Plan = PLAN) -> SessionsState:
    return play(step, initial(plan), RunStarted(), *http_start(ADD))[0]


def after(*items: Passing, plan: Plan = PLAN) -> SessionsState:
    return play(step, ready(plan), *items)[0]


def session(state: SessionsState) -> Session:
    return state.sessions["s"]


def then(state: SessionsState, *items: Passing) -> list[Passing]:
    """What comes out, without the items themselves."""
    _, out = play(step, state, *items)
    return [o for o in out if o not in items]


def broken(**changes: Any) -> Any:
    wish: Json = {"last_event_id": "7", "retry_ms": 500, **changes}
    return ended(CALL, **wish)


def resuming() -> SessionsState:
    return after(streaming(CALL), broken(), PAUSE)


ANSWER = ReplyReceived(server="s", id=CALL, result={"content": []})
ANSWERED = answered(CALL, {"content": []})


# --- as they should come ------------------------------------------------------------------------


def test_an_answer_comes_on_its_stream_after_what_the_server_tells() -> None:
    state = after(streaming(CALL))
    out = then(
        state,
        on_stream(CALL, frame("message", "")),
        on_stream(CALL, told("notifications/message", data="x")),
        on_stream(CALL, frame("ping", "{}")),
        on_stream(CALL, ANSWERED),
        ended(CALL),
    )
    assert out == [ServerLogged(server="s", level="info", text="x"), ANSWER]


def test_after_its_answer_a_stream_may_end_as_it_likes() -> None:
    state = after(streaming(CALL), on_stream(CALL, ANSWERED))
    assert session(state).answers == {}
    assert then(state, broken(reason="it broke off")) == []


def test_an_error_without_an_id_is_about_the_request_of_its_stream() -> None:
    error = frame("message", {"jsonrpc": "2.0", "error": {"code": -32600, "message": "no"}})
    state = after(streaming(CALL), streaming("call:c2"))
    (reply,) = then(state, on_stream("call:c2", error))
    assert isinstance(reply, ReplyReceived)
    assert reply.id == "call:c2"
    (problem,) = then(state, on_stream("own:s:1.1", error))
    assert isinstance(problem, Problem)


def test_an_answer_may_come_on_the_stream_of_another_request() -> None:
    state = after(streaming(CALL), streaming("call:c2"))
    state, out = play(step, state, on_stream("call:c2", ANSWERED))
    assert ANSWER in out
    assert list(session(state).answers) == ["call:c2"]


# --- that break off -----------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "it broke off"])
def test_an_answer_that_ended_too_early_is_taken_up_after_the_pause_that_the_server_wishes(
    reason: str,
) -> None:
    state, out = play(step, after(streaming(CALL)), broken(reason=reason))
    assert out[1:] == [
        StartTimer(id="resume:call:c1", seconds=0.5),
        StartTimer(id="limit:call:c1", seconds=90),
    ]
    assert then(state, PAUSE) == [
        Get(
            server="s",
            url=MCP,
            id=GET,
            headers={
                "MCP-Protocol-Version": "2025-11-25",
                "Mcp-Session-Id": "S1",
                "Last-Event-ID": "7",
            },
        )
    ]


@pytest.mark.parametrize(
    ("retry_ms", "seconds"),
    [(None, 1.0), (0, 0.1), (1, 0.1), (450, 0.45), (3_600_000, 3600.0), (10**15, 86_400.0)],
)
def test_the_pause_is_never_shorter_than_wished_and_never_none(
    retry_ms: int | None, seconds: float
) -> None:
    out = then(after(streaming(CALL)), broken(retry_ms=retry_ms))
    assert StartTimer(id="resume:call:c1", seconds=seconds) in out


def test_the_rest_of_an_answer_may_answer_it_and_then_nothing_of_it_is_left() -> None:
    state = play(step, resuming(), streaming(GET))[0]
    state, out = play(step, state, on_stream(GET, ANSWERED))
    assert out[1:] == [*STOPS, Cut(server="s", id=GET), ANSWER]
    assert session(state).answers == {}
    assert then(state, PAUSE, LIMIT, ended(GET)) == []


def test_the_rest_may_be_json() -> None:
    body = replied(CALL, {"content": []}).body
    out = then(resuming(), posted(GET, 200, body=body))
    assert ANSWER in out
    assert only(RequestLost, out) == []


def test_an_answer_that_comes_elsewhere_ends_the_wait_for_the_rest() -> None:
    out = then(after(streaming(CALL), broken()), on_stream("own:s:1.1", ANSWERED))
    assert out == [*STOPS, ANSWER]


def test_the_newest_event_is_where_the_next_attempt_begins() -> None:
    state = play(step, resuming(), streaming(GET), ended(GET, last_event_id="9"), PAUSE)[0]
    (answer,) = session(state).answers.values()
    assert (answer.stream, answer.last_event_id, answer.tries) == (NEXT_GET, "9", 1)


def test_attempts_that_bring_nothing_new_have_longer_pauses_and_come_to_an_end() -> None:
    state = after(streaming(CALL))
    pauses: list[float] = []
    state, out = play(step, state, broken())
    for number in range(2, 5):
        timers = [t for t in only(StartTimer, out) if t.id == "resume:call:c1"]
        pauses += [timer.seconds for timer in timers]
        get = f"resume:call:c1:{number}"
        same = ended(get, last_event_id="7", retry_ms=500)
        state, out = play(step, state, PAUSE, streaming(get), same)
    assert pauses == [0.5, 1.0, 2.0]
    loss = one(RequestLost, out)
    assert (loss.id, loss.is_sent) == (CALL, True)
    assert "3 attempts to take it up again brought nothing" in loss.reason
    assert [o for o in out if isinstance(o, StopTimer)] == STOPS


def test_attempts_that_bring_something_new_do_not_count() -> None:
    state = after(streaming(CALL), broken())
    for number in range(2, 12):
        get = f"resume:call:c1:{number}"
        again = ended(get, last_event_id=f"e{number}", retry_ms=200)
        state, out = play(step, state, PAUSE, streaming(get), again)
        assert only(StartTimer, out) == [StartTimer(id="resume:call:c1", seconds=0.2)]
    assert one(RequestLost, then(state, LIMIT)).id == CALL


@pytest.mark.parametrize("is_open", [True, False])
def test_all_attempts_together_have_no_more_time_than_a_call(is_open: bool) -> None:
    state = resuming()
    if is_open:
        state, _ = play(step, state, streaming(GET))
    state, out = play(step, state, LIMIT)
    assert one(RequestLost, out).reason == (
        "the rest of its answer did not come within 90 s (--call-timeout-max)"
    )
    assert Cut(server="s", id=GET) in out
    assert session(state).answers == {}


def test_a_limit_in_a_pause_leaves_nothing_to_close() -> None:
    out = then(after(streaming(CALL), broken()), LIMIT)
    assert kinds(out) == ["StopTimer", "StopTimer", "RequestLost"]


@pytest.mark.parametrize(
    "failure",
    [
        {"status": None, "reason": "connection refused", "is_sent": False},
        {"status": 500},
        {"status": 503},
        {"status": 429},
    ],
)
def test_a_server_that_cannot_now_is_asked_again(failure: Any) -> None:
    state, out = play(step, resuming(), posted(GET, **failure))
    assert only(StartTimer, out) == [StartTimer(id="resume:call:c1", seconds=2.0)]
    assert one(Get, then(state, PAUSE)).id == NEXT_GET


@pytest.mark.parametrize(
    "refusal", [rejected(GET, 400), rejected(GET, 405), rejected(GET, 403), posted(GET, 200)]
)
def test_a_server_that_does_not_keep_the_rest_loses_the_request(refusal: Any) -> None:
    out = then(resuming(), refusal)
    loss = one(RequestLost, out)
    assert loss.reason == f"the answer could not be taken up again: HTTP {refusal.status}"
    assert loss.is_sent
    assert only(Reconnect, out) == []


@pytest.mark.parametrize(
    "refusal",
    [rejected(GET, 404), rejected(GET, 400, -32000, message="No valid session ID provided")],
)
def test_a_session_that_has_expired_loses_the_rest_and_begins_anew(refusal: Passing) -> None:
    out = then(resuming(), refusal)
    assert one(RequestLost, out).is_sent
    assert one(SessionClosed, out).retry_in == 0.0
    assert posts(out) == ["init:s:2"]


def test_a_pause_does_not_outlive_its_session() -> None:
    state, out = play(step, after(streaming(CALL), broken()), rejected("call:c2", 404))
    assert [loss.id for loss in only(RequestLost, out)] == [CALL, "call:c2"]
    assert [loss.is_sent for loss in only(RequestLost, out)] == [True, False]
    assert set(STOPS) <= {o for o in out if isinstance(o, StopTimer)}
    assert then(state, PAUSE, LIMIT) == []


def test_the_rest_that_is_under_way_outlives_its_session() -> None:
    state = play(step, resuming(), streaming(GET), rejected("call:c2", 404))[0]
    out = then(state, on_stream(GET, ANSWERED))
    assert ANSWER in out
    assert one(RequestLost, then(state, ended(GET, last_event_id="9"))).id == CALL


def test_a_list_that_is_read_does_not_outlive_its_session() -> None:
    changed = on_stream("own:s:1.1", told("notifications/tools/list_changed"))
    state = after(changed, streaming("list:s:1.2"))
    out = then(state, rejected("call:c2", 404))
    assert Cut(server="s", id="list:s:1.2") in out
    assert [loss.id for loss in only(RequestLost, out)] == ["call:c2"]


@pytest.mark.parametrize("items", [[], [streaming(GET)]])
def test_a_lost_link_stops_all_timers(items: list[Passing]) -> None:
    out = play(step, resuming(), *items, lost())[1]
    assert [o for o in out if o in STOPS] == STOPS


@pytest.mark.parametrize(
    "end",
    [
        ended(CALL),
        ended(CALL, retry_ms=500),
        ended(CALL, reason="it broke off"),
    ],
)
def test_an_answer_without_an_event_id_is_lost(end: Any) -> None:
    (loss,) = then(after(streaming(CALL)), end)
    assert loss == RequestLost(
        server="s",
        id=CALL,
        reason=end.reason or "the server ended its answer without a result",
    )


def test_a_stateless_server_keeps_no_rest() -> None:
    state = play(step, initial(PLAN), RunStarted(), *modern_start(ADD), streaming(CALL))[0]
    (loss,) = then(state, broken())
    assert isinstance(loss, RequestLost)
    assert loss.is_sent


def test_an_initialize_that_breaks_off_is_not_taken_up() -> None:
    state = play(step, initial(PLAN), RunStarted(), *http_start(ADD)[:2])[0]
    out = then(state, streaming("init:s:1"), ended("init:s:1", last_event_id="1"))
    assert "'init' was not answered" in one(Reconnect, out).reason


def test_a_list_that_breaks_off_is_taken_up() -> None:
    start = http_start(ADD)[:5]
    state = play(step, initial(PLAN), RunStarted(), *start, streaming("list:s:1.1"))[0]
    state, out = play(step, state, ended("list:s:1.1", last_event_id="1"))
    assert StartTimer(id="resume:list:s:1.1", seconds=1.0) in out
    state, out = play(step, state, fired("resume:list:s:1.1"))
    get = one(Get, out).id
    out = then(state, streaming(get), on_stream(get, answered("list:s:1.1", {"tools": []})))
    assert "SessionReady" in kinds(out)


def test_a_probe_that_ends_without_an_answer_leads_to_a_handshake() -> None:
    state = play(step, initial(PLAN), RunStarted(), http_start(ADD)[0])[0]
    out = then(state, streaming("discover:s:1.1"), ended("discover:s:1.1", last_event_id="1"))
    assert one(Post, out).message["method"] == "initialize"


NOBODY: Json = {"status": None, "reason": "connection refused", "is_sent": False}


def test_an_answer_is_given_up_once_nobody_is_there_twice_in_a_row() -> None:
    state, out = play(step, resuming(), posted(GET, **NOBODY), PAUSE, posted(NEXT_GET, **NOBODY))
    assert one(RequestLost, out) == RequestLost(
        server="s",
        id=CALL,
        reason="the answer could not be taken up again: connection refused",
    )
    assert [o for o in out if o in STOPS] == STOPS
    assert session(state).answers == {}


def test_a_server_that_is_there_in_between_is_not_taken_for_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "LONGEST", 99.0)
    third, fourth = "resume:call:c1:4", "resume:call:c1:5"
    items = [posted(GET, **NOBODY), PAUSE, streaming(NEXT_GET), ended(NEXT_GET), PAUSE]
    plan = an_http_plan("s", max_resumptions=9)
    state = after(streaming(CALL), broken(retry_ms=100), PAUSE, *items, plan=plan)
    out = then(state, posted(third, **NOBODY), PAUSE)
    assert only(RequestLost, out) == []
    assert one(Get, out).id == fourth


def test_the_pauses_of_an_answer_that_does_not_come_on_have_an_end() -> None:
    plan = an_http_plan("s", max_resumptions=1000)
    state, out = play(step, after(streaming(CALL), plan=plan), broken(retry_ms=None))
    pauses = [out[1]]
    for number in range(2, 9):
        state, out = play(step, state, PAUSE, posted(f"resume:call:c1:{number}", 503))
        pauses += [timer for timer in only(StartTimer, out) if timer.id == PAUSE.id]
        if only(RequestLost, out):
            break
    assert [timer.seconds for timer in pauses if isinstance(timer, StartTimer)] == [1.0, 2.0, 4.0]
    assert "3 attempts to take it up again brought nothing" in one(RequestLost, out).reason


def test_a_server_that_wishes_for_a_long_pause_gets_it_once() -> None:
    state, out = play(step, after(streaming(CALL)), broken(retry_ms=60_000))
    assert out[1] == StartTimer(id="resume:call:c1", seconds=60.0)
    out = then(state, PAUSE, posted(GET, 503))
    assert one(RequestLost, out).id == CALL


def test_a_new_event_gives_an_answer_all_its_time_again() -> None:
    state = after(streaming(CALL), broken(retry_ms=6000), PAUSE, streaming(GET))
    out = then(state, ended(GET, last_event_id="8", retry_ms=6000))
    assert one(StartTimer, out).seconds == 6.0


# --- bounds -------------------------------------------------------------------------------------


def test_answers_that_nobody_waits_for_do_not_pile_up() -> None:
    state = after(*(streaming(f"call:c{number}") for number in range(answers.MOST)))
    state, _ = play(step, state, streaming("call:last"))
    assert len(session(state).answers) == answers.MOST
    assert "call:c0" not in session(state).answers
    # It is delivered all the same, should it come.
    out = then(state, on_stream("call:c0", answered("call:c0", {})))
    assert out == [ReplyReceived(server="s", id="call:c0", result={})]


def test_the_oldest_of_too_many_answers_leaves_no_timer_behind() -> None:
    items = (streaming(f"call:x{number}") for number in range(answers.MOST))
    _, out = play(step, resuming(), *items)
    assert [o for o in out if o in STOPS] == STOPS


@pytest.mark.parametrize(
    "timer", ["resume:call:zz", "limit:call:zz", "resume:", "limit:", "resume"]
)
def test_a_timer_of_no_answer_passes_untouched(timer: str) -> None:
    state = ready()
    assert step(state, fired(timer)) == (state, (fired(timer),))


@pytest.mark.parametrize("items", [[streaming(CALL)], [streaming(CALL), broken(), PAUSE]])
def test_a_pause_that_is_over_twice_asks_once(items: list[Passing]) -> None:
    assert then(after(*items), PAUSE) == []
