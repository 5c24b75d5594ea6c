"""The sessions of a run: who is where, and when all have settled."""

from typing import Any

import pytest

from pipeline.core.commands import (
    Close,
    Open,
    Passing,
    Post,
    Reconnect,
    StartTimer,
    StopTimer,
)
from pipeline.core.events import (
    ModelSpoke,
    Problem,
    ReplyReceived,
    RunResumed,
    RunStarted,
    ServersSettled,
    SessionClosed,
    SessionOffers,
    SessionReady,
    SignInEnded,
    SignInStarted,
    ToolsListed,
)
from pipeline.core.session.machine import SessionsState, initial, step
from pipeline.core.session.state import Session
from tests.support.play import (
    ADD,
    MESSAGES,
    URL,
    a_plan,
    answered,
    asked,
    endpoint,
    fired,
    frame,
    greeting,
    kinds,
    lost,
    one,
    only,
    opened,
    play,
    posted,
    posts,
    refused,
    seed_start,
    sse_start,
    told,
)

GRACE = fired("grace:s")
DEADLINE = fired("session:s")
START = fired("start")


def after(*items: Passing, dialect: Any = "auto", **changes: Any) -> SessionsState:
    return play(step, initial(a_plan("s", dialect=dialect, **changes)), RunStarted(), *items)[0]


def session(state: SessionsState) -> Session:
    return state.sessions["s"]


def then(state: SessionsState, *items: Passing) -> list[Passing]:
    """What comes out, without the items themselves and without settling."""
    _, out = play(step, state, *items)
    return [o for o in out if o not in items and not isinstance(o, ServersSettled)]


# --- starting ---------------------------------------------------------------------------------


def test_a_run_opens_all_servers_under_one_deadline() -> None:
    _, out = play(step, initial(a_plan("a", "b", start_timeout=7)), RunStarted())
    assert out == [
        RunStarted(),
        StartTimer(id="start", seconds=7),
        Open(server="a"),
        Open(server="b"),
    ]


def test_a_run_without_servers_is_settled_at_once() -> None:
    _, out = play(step, initial(a_plan()), RunStarted())
    assert out[-1] == ServersSettled(ready=())


@pytest.mark.parametrize(
    "item",
    [
        ModelSpoke(call="m", text="x"),
        fired("call:c1"),
        fired("session:unknown"),
        fired("grace:unknown"),
        fired(""),
        opened("unknown"),
        lost(server="unknown"),
        frame("tools", [], "unknown"),
        posted("init:unknown:1", 500, server="unknown"),
    ],
)
def test_what_is_about_no_session_of_the_run_passes_untouched(item: Passing) -> None:
    state = after()
    assert step(state, item) == (state, (item,))


@pytest.mark.parametrize("items", [seed_start(ADD), sse_start(ADD), [*seed_start(), lost()]])
def test_every_input_comes_out_once_and_before_what_it_causes(items: list[Passing]) -> None:
    state = after()
    for item in items:
        state, out = step(state, item)
        assert out[0] == item
        assert out.count(item) == 1


# --- which dialect ----------------------------------------------------------------------------


def test_tools_within_the_grace_mean_seed() -> None:
    state = after(opened(), endpoint())
    assert session(state).phase == "deciding"
    out = then(state, frame("tools", [ADD]))
    ready = one(SessionReady, out)
    assert (ready.protocol, ready.route.url, ready.route.session_id) == ("seed", URL, "s1")
    assert StopTimer(id="grace:s") in out
    assert only(Post, out) + only(SessionOffers, out) == []


def test_silence_within_the_grace_means_2024_11_05() -> None:
    state = after(opened(), dialect_grace=0.5)
    out = then(state, endpoint())
    assert out == [StartTimer(id="grace:s", seconds=0.5)]
    out = then(after(opened(), endpoint()), GRACE)
    assert posts(out) == ["init:s:1"]
    assert one(Post, out).url == MESSAGES


def test_tools_that_come_late_turn_an_initializing_session_into_seed() -> None:
    state = after(opened(), endpoint(), GRACE)
    state, out = play(step, state, frame("tools", [ADD]))
    assert one(SessionReady, out).protocol == "seed"
    assert session(state).phase == "ready"


@pytest.mark.parametrize(
    "stray",
    [
        posted("init:s:1", 404),
        posted("init:s:1", 401),
        posted("init:s:1", 500),
        posted("init:s:1", None, reason="it broke off"),
        posted("init:s:1", 200, body='{"error":"no such message"}'),
        refused("init:s:1", "what is that?"),
        answered("init:s:1", greeting()),
        told("notifications/tools/list_changed"),
        asked(1, "ping"),
        DEADLINE,
        GRACE,
    ],
)
def test_what_became_of_the_stray_initialize_does_not_matter_to_a_seed_session(
    stray: Passing,
) -> None:
    state = after(opened(), endpoint(), GRACE, frame("tools", [ADD]))
    assert step(state, stray) == (state, (stray,))


def test_the_wish_for_sse_asks_at_once_and_takes_no_tools_event() -> None:
    state = after(opened(), dialect="sse")
    out = then(state, endpoint())
    assert posts(out) == ["init:s:1"]
    state = after(opened(), endpoint(), dialect="sse")
    assert step(state, frame("tools", [ADD])) == (state, (frame("tools", [ADD]),))


def test_the_wish_for_seed_waits_for_tools_and_never_initializes() -> None:
    state = after(opened(), dialect="seed", connect_timeout=4)
    assert then(state, endpoint()) == [StartTimer(id="session:s", seconds=4)]
    state = after(opened(), endpoint(), dialect="seed")
    assert one(SessionReady, then(state, frame("tools", [ADD]))).protocol == "seed"
    reason = one(Reconnect, then(state, DEADLINE)).reason
    assert reason.startswith("no `tools` event came within")


def test_tools_without_a_session_id_drop_the_connection() -> None:
    state = after(opened(), endpoint("/messages/"))
    out = then(state, frame("tools", [ADD]))
    assert "names no session_id" in one(Reconnect, out).reason


@pytest.mark.parametrize("items", [[opened()], [], sse_start(ADD), sse_start(ADD)[:-1]])
def test_tools_at_the_wrong_time_are_told_and_ignored(items: list[Passing]) -> None:
    state = after(*items)
    (problem,) = then(state, frame("tools", [ADD]))
    assert isinstance(problem, Problem)
    assert problem.detail == (
        f"an unexpected 'tools' event is ignored (session is {session(state).phase})"
    )


# --- endpoint ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", ["http://evil.example/m", "//evil.example/m", "", "/\\x"])
def test_an_endpoint_elsewhere_ends_the_server_for_good(reference: str) -> None:
    state, out = play(step, after(opened()), endpoint(reference))
    assert "as endpoint" in one(Close, out).reason or "empty endpoint" in one(Close, out).reason
    assert session(state).phase == "closed"
    assert only(Post, out) == []
    assert StopTimer(id="session:s") in out


@pytest.mark.parametrize("items", [sse_start(ADD), seed_start(ADD), [opened(), endpoint()]])
def test_a_second_endpoint_is_told_and_ignored(items: list[Passing]) -> None:
    state = after(*items)
    again = endpoint("/elsewhere?session_id=2")
    new, out = step(state, again)
    assert new == state
    (problem,) = [o for o in out if o is not again]
    assert isinstance(problem, Problem)
    assert "unexpected 'endpoint' event" in problem.detail


# --- deadlines --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([opened()], "no `endpoint` event came"),
        ([opened(), endpoint(), GRACE], "`initialize` was not answered"),
        (sse_start()[:-1], "`tools/list` was not answered"),
    ],
)
def test_each_step_of_the_handshake_has_a_deadline(items: list[Passing], words: str) -> None:
    state, out = play(step, after(*items, connect_timeout=3), DEADLINE)
    assert one(Reconnect, out).reason == f"{words} within 3 s (--connect-timeout)"
    assert session(state).phase == "closed"


def test_each_step_of_the_handshake_starts_the_deadline_over() -> None:
    state = after(connect_timeout=3)
    for item in sse_start()[:-1]:
        state, out = step(state, item)
        wanted = {"session:s"} if item != endpoint() else {"grace:s"}
        assert {timer.id for timer in only(StartTimer, out)} == wanted
    _, out = step(state, sse_start()[-1])
    assert StopTimer(id="session:s") in out


def test_a_late_list_that_is_not_answered_leaves_the_old_one() -> None:
    state = after(*sse_start(ADD), told("notifications/tools/list_changed"), connect_timeout=3)
    state, out = play(step, state, DEADLINE)
    assert session(state).phase == "ready"
    problem = one(Problem, out)
    assert problem.detail == (
        "the tool list could not be read again: no answer within 3 s (--connect-timeout);"
        " the old one stays"
    )


@pytest.mark.parametrize(
    "items", [[], sse_start(ADD), seed_start(ADD), [opened(), lost()], [opened(), lost(None)]]
)
@pytest.mark.parametrize("timer", [DEADLINE, GRACE])
def test_a_timer_that_fires_late_does_nothing(items: list[Passing], timer: Passing) -> None:
    state = after(*items)
    assert step(state, timer) == (state, (timer,))


# --- posts ------------------------------------------------------------------------------------

HANDSHAKES: dict[str, list[Passing]] = {
    "init:s:1": [opened(), endpoint(), GRACE],
    "list:s:1.1": sse_start()[:-1],
}


@pytest.mark.parametrize("id_", HANDSHAKES)
@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"status": 404, "body": "nope"}, "HTTP 404 nope"),
        ({"status": 500}, "HTTP 500"),
        ({"status": 302}, "HTTP 302"),
        ({"status": 500, "body": "x" * 900}, "HTTP 500 " + "x" * 200),
        ({"status": None, "reason": "connection reset"}, "connection reset"),
    ],
)
def test_a_handshake_that_cannot_be_delivered_drops_the_connection(
    id_: str, answer: dict[str, Any], why: str
) -> None:
    state, out = play(step, after(*HANDSHAKES[id_]), posted(id_, **answer))
    what = id_.partition(":")[0]
    assert one(Reconnect, out).reason == f"the message {what!r} could not be delivered: {why}"
    assert session(state).phase == "closed"


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("id_", [*HANDSHAKES, "initialized:s"])
def test_a_handshake_that_is_not_authorized_ends_the_server_for_good(id_: str, status: int) -> None:
    items = HANDSHAKES.get(id_, sse_start()[:-1])
    state, out = play(step, after(*items), posted(id_, status, body="bad key"))
    close = one(Close, out)
    assert close.status == status
    assert f"HTTP {status} bad key" in close.reason
    assert session(state).phase == "closed"


def test_nothing_brings_a_server_back_that_was_given_up() -> None:
    state = after(*sse_start()[:-1], posted("initialized:s", 401))
    late = answered("list:s:1.1", {"tools": [ADD]})
    assert step(state, late) == (state, (late,))


@pytest.mark.parametrize(
    "id_", ["init:s:1", "list:s:1.1", "initialized:s", "answer:s:1", "call:c1", "cancel:c1"]
)
@pytest.mark.parametrize("answer", [{"status": 202}, {"status": 200, "body": "Accepted"}])
def test_a_post_that_is_accepted_says_nothing_by_itself(id_: str, answer: dict[str, Any]) -> None:
    for items in (sse_start()[:-1], sse_start(ADD), seed_start(ADD)):
        state = after(*items)
        item = posted(id_, **answer)
        assert step(state, item) == (state, (item,))


@pytest.mark.parametrize("id_", ["initialized:s", "answer:s:1"])
def test_what_nobody_waits_for_and_cannot_be_delivered_is_a_problem(id_: str) -> None:
    (problem,) = then(after(*sse_start(ADD)), posted(id_, 500))
    assert isinstance(problem, Problem)
    assert "could not be delivered: HTTP 500" in problem.detail


def test_a_later_list_that_cannot_be_delivered_leaves_the_old_one() -> None:
    state = after(*sse_start(ADD), told("notifications/tools/list_changed"))
    state, out = play(step, state, posted("list:s:1.2", 500))
    assert session(state).phase == "ready"
    assert "HTTP 500; the old one stays" in one(Problem, out).detail


@pytest.mark.parametrize("items", [sse_start(ADD), seed_start(ADD)])
def test_a_call_answered_404_means_that_the_session_has_expired(items: list[Passing]) -> None:
    state, out = play(step, after(*items), posted("call:c1", 404))
    assert "does not know the session any more (HTTP 404)" in one(Reconnect, out).reason
    _, out = play(step, state, posted("call:c2", 404))
    assert only(Reconnect, out) == [], "once is enough"


@pytest.mark.parametrize("status", [400, 401, 403, 413, 429, 500, 503, None])
def test_any_other_failure_of_a_call_is_the_calls_alone(status: int | None) -> None:
    state = after(*sse_start(ADD))
    item = posted("call:c1", status)
    assert step(state, item) == (state, (item,))


@pytest.mark.parametrize("items", [[], [opened()], [opened(), endpoint(), lost()]])
def test_an_answer_in_a_body_that_comes_after_its_session_is_ignored(
    items: list[Passing],
) -> None:
    state = after(*items)
    item = posted("call:c1", 200, body='{"jsonrpc":"2.0","id":"call:c1","result":{}}')
    assert step(state, item) == (state, (item,))


def test_an_answer_in_a_body_is_read_in_the_dialect_of_the_session() -> None:
    seeds = then(after(*seed_start(ADD)), posted("call:c1", 200, body='{"result":5}'))
    assert one(ReplyReceived, seeds).id == "call:c1"
    body = '{"jsonrpc":"2.0","id":"call:c1","result":{}}'
    sses = then(after(*sse_start(ADD)), posted("call:c1", 200, body=body))
    assert one(ReplyReceived, sses).id == "call:c1"


# --- frames of the two dialects ---------------------------------------------------------------


def test_results_and_errors_of_a_seed_session_become_replies() -> None:
    state = after(*seed_start(ADD))
    assert kinds(then(state, frame("result", 5), frame("error", "no"))) == ["ReplyReceived"] * 2


def test_results_and_errors_mean_nothing_in_2024_11_05() -> None:
    state = after(*sse_start(ADD))
    assert then(state, frame("result", 5), frame("error", "no"), frame("result", "")) == []


@pytest.mark.parametrize(
    "items", [[opened()], [opened(), endpoint()], [opened(), endpoint("//evil.example")]]
)
def test_an_error_before_the_session_is_known_is_not_lost(items: list[Passing]) -> None:
    (reply,) = then(after(*items), frame("error", "too many sessions"))
    assert reply == ReplyReceived(server="s", id=None, error="too many sessions")


def test_empty_data_keeps_the_line_open_and_says_nothing() -> None:
    state = after(*sse_start(ADD))
    assert then(state, frame("message", ""), frame("ping", "x"), frame("message", "")) == []


@pytest.mark.parametrize("items", [[], [opened()], [opened(), lost()]])
def test_messages_before_the_endpoint_are_ignored(items: list[Passing]) -> None:
    assert then(after(*items), asked(1, "ping"), answered("init:s:1", greeting())) == []


# --- losing streams ---------------------------------------------------------------------------

PHASES: list[list[Passing]] = [
    [opened()],
    [opened(), endpoint()],
    [opened(), endpoint(), GRACE],
    sse_start()[:-1],
    sse_start(ADD),
    [*sse_start(ADD), told("notifications/tools/list_changed")],
    seed_start(ADD),
    [*seed_start(ADD), posted("call:c1", 404)],
    [],
]


@pytest.mark.parametrize("items", PHASES)
@pytest.mark.parametrize("retry_in", [1.0, 0.0, None])
def test_a_lost_stream_closes_whatever_there_was(
    items: list[Passing], retry_in: float | None
) -> None:
    state = after(*items)
    was_told = any(isinstance(item, SessionReady) for item in play_outputs(items))
    loss = lost(retry_in)
    state, out = play(step, state, loss)
    stops = [StopTimer(id="session:s"), StopTimer(id="grace:s")]
    closed = SessionClosed(server="s", reason="it went away", retry_in=retry_in)
    wanted = [loss, *stops, *([closed] if was_told else [])]
    assert [o for o in out if not is_settling(o)] == wanted
    assert session(state).phase == ("failed" if retry_in is None else "closed")
    assert session(state).route is None


def play_outputs(items: list[Passing]) -> list[Passing]:
    return play(step, initial(a_plan("s")), RunStarted(), *items)[1]


def is_settling(item: Passing) -> bool:
    return isinstance(item, ServersSettled) or item == StopTimer(id="start")


@pytest.mark.parametrize("items", PHASES)
@pytest.mark.parametrize("start", [seed_start, sse_start])
def test_every_new_connection_is_a_new_session_from_the_start(
    items: list[Passing], start: Any
) -> None:
    state = after(*items, lost())
    generation = session(state).generation + 1
    again = start(ADD) if start is seed_start else sse_start(ADD, generation=generation)
    state, out = play(step, state, *again)
    assert session(state).phase == "ready"
    assert len(only(SessionReady, out)) == 1
    assert one(ToolsListed, out).tools == (ADD,)
    assert session(state).generation == generation


def test_answers_of_an_earlier_connection_do_not_count_in_the_next() -> None:
    state = after(*sse_start()[:-1], lost(), opened(), endpoint(), GRACE)
    state, _ = play(step, state, answered("init:s:1", greeting()))
    assert session(state).phase == "initializing"
    state, _ = play(step, state, answered("list:s:1.1", {"tools": [ADD]}))
    assert session(state).phase == "initializing"


def test_a_loss_is_told_once() -> None:
    state, _ = play(step, after(*seed_start(ADD)), lost())
    assert only(SessionClosed, then(state, lost(None))) == []


# --- settling ---------------------------------------------------------------------------------


def settled(*items: Passing, names: tuple[str, ...] = ("a", "b")) -> list[ServersSettled]:
    return only(ServersSettled, play(step, initial(a_plan(*names)), RunStarted(), *items)[1])


def test_servers_are_settled_when_the_last_is_ready() -> None:
    first, second = seed_start(ADD, server="a"), sse_start(ADD, server="b")
    assert settled(*first) == []
    assert settled(*first, *second) == [ServersSettled(ready=("a", "b"))]


def test_a_server_that_nobody_tries_any_more_counts_as_failed() -> None:
    assert settled(*seed_start(server="a"), lost(server="b")) == []
    assert settled(*seed_start(server="a"), lost(None, server="b")) == [
        ServersSettled(ready=("a",), failed=("b",))
    ]
    assert settled(lost(None, server="a"), lost(None, server="b")) == [
        ServersSettled(ready=(), failed=("a", "b"))
    ]


def test_the_start_timer_ends_the_wait_for_the_rest() -> None:
    assert settled(*seed_start(server="b"), opened("a"), START) == [
        ServersSettled(ready=("b",), starting=("a",))
    ]
    assert settled(START) == [ServersSettled(ready=(), starting=("a", "b"))]


def test_a_server_lost_again_before_the_others_are_ready_is_still_starting() -> None:
    assert settled(*seed_start(server="a"), lost(server="a"), *seed_start(server="b")) == []


def test_servers_settle_once() -> None:
    items = [START, *seed_start(server="a"), *seed_start(server="b"), START, lost(None, server="a")]
    assert len(settled(*items)) == 1


def test_settling_stops_the_start_timer_and_comes_last() -> None:
    _, out = play(step, initial(a_plan("s")), RunStarted(), *seed_start(ADD))
    assert out[-2:] == [StopTimer(id="start"), ServersSettled(ready=("s",))]
    assert out.index(one(ToolsListed, out)) < len(out) - 2


def test_a_server_that_comes_late_is_ready_all_the_same() -> None:
    _, out = play(step, initial(a_plan("s")), RunStarted(), START, *sse_start(ADD))
    assert len(only(SessionReady, out)) == 1
    assert len(only(ServersSettled, out)) == 1


# --- a run that goes on in another process ------------------------------------------------------


def resumed(*names: str) -> RunResumed:
    return RunResumed(goal="chat", servers=a_plan(*names).servers)


def test_a_resumed_run_connects_its_servers_anew_and_settles_again() -> None:
    state = after(*seed_start(ADD), start_timeout=7)
    state, out = play(step, state, resumed("s"))
    assert out == [
        resumed("s"),
        SessionClosed(server="s", reason="the run was cut off", retry_in=0.0),
        StartTimer(id="start", seconds=7),
        Open(server="s"),
    ]
    _, out = play(step, state, *sse_start(ADD, generation=2))
    assert out[-1] == ServersSettled(ready=("s",))


def test_answers_of_before_do_not_count_in_a_resumed_run() -> None:
    state = after(*sse_start()[:-1])
    state, _ = play(step, state, resumed("s"), opened(), endpoint(), GRACE)
    state, _ = play(step, state, answered("init:s:1", greeting()))
    assert session(state).phase == "initializing"


def test_a_resumed_run_has_the_servers_of_now() -> None:
    state = after(*seed_start(ADD))
    state, out = play(step, state, resumed("other"))
    assert [each.server for each in only(Open, out)] == ["other"]
    assert one(SessionClosed, out).retry_in is None
    assert list(state.sessions) == ["other"]


def test_what_was_not_told_as_ready_is_not_told_as_closed() -> None:
    for items in ([], [opened()], [*seed_start(ADD), lost()]):
        assert only(SessionClosed, play(step, after(*items), resumed("s"))[1][1:]) == []


def test_a_resumed_run_without_servers_is_settled_at_once() -> None:
    assert play(step, after(), resumed())[1][-1] == ServersSettled(ready=())


# --- while a person signs in --------------------------------------------------------------------


def test_while_credentials_are_got_a_step_has_a_persons_time_and_then_its_own_again() -> None:
    plan = a_plan("s", "t", question_timeout=300, connect_timeout=4, start_timeout=20)
    state, _ = play(step, initial(plan), RunStarted(), opened())
    begun = [StartTimer(id="session:s", seconds=300), StartTimer(id="start", seconds=300)]
    over = [StartTimer(id="session:s", seconds=4), StartTimer(id="start", seconds=20)]
    assert then(state, SignInStarted(server="s")) == begun
    assert then(state, SignInEnded(server="s")) == over
    # A server whose stream is still being opened has no step yet.
    assert then(state, SignInStarted(server="t")) == begun[1:]


def test_a_sign_in_of_a_session_that_is_ready_stops_no_clock() -> None:
    state = after(*sse_start(ADD))
    assert then(state, SignInStarted(server="s"), SignInEnded(server="s")) == []


def test_a_sign_in_of_an_unknown_server_passes_untouched() -> None:
    item = SignInStarted(server="unknown")
    assert step(after(), item)[1] == (item,)
