"""The stream that stands: the server's own, or a subscription; and resources that are watched.

2025-11-25, basic/transports, "Listening for Messages from the Server"; 2026-07-28,
basic/patterns/subscriptions.
"""

from typing import Any

import pytest

from pipeline.core.commands import Close, Cut, Get, Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    OffersChanged,
    Problem,
    ReplyReceived,
    RequestSubmitted,
    ResourceUpdated,
    RunResumed,
    RunStarted,
    SessionClosed,
)
from pipeline.core.plan import Plan
from pipeline.core.session import subscriptions
from pipeline.core.session.machine import SessionsState, initial, step
from pipeline.core.session.state import Session
from tests.support.play import (
    ADD,
    DISCOVERED,
    a_process_plan,
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
    opened,
    play,
    posted,
    posts,
    refused,
    rejected,
    replied,
    seed_start,
    sse_start,
    streaming,
    told,
)

AGAIN = fired("again:s")
OWN, LISTEN = "own:s:1.1", "listen:s:1.1"
LASTS = StartTimer(id="again:s", seconds=30.0)
PLAN = an_http_plan("s", max_resumptions=3)
CHANGING: Json = {
    "tools": {"listChanged": True},
    "prompts": {"listChanged": False},
    "resources": {"listChanged": True, "subscribe": True},
}


def pause(seconds: float) -> StartTimer:
    return StartTimer(id="again:s", seconds=seconds)


def after(*items: Passing, plan: Plan = PLAN) -> SessionsState:
    return play(step, initial(plan), RunStarted(), *items)[0]


def session(state: SessionsState) -> Session:
    return state.sessions["s"]


def then(state: SessionsState, *items: Passing) -> list[Passing]:
    """What comes out, without the items themselves."""
    _, out = play(step, state, *items)
    return [o for o in out if o not in items]


# --- the server's own stream --------------------------------------------------------------------


def with_own(**hello: Any) -> SessionsState:
    return after(*http_start(ADD, **hello))


def test_a_stream_that_is_there_has_to_last() -> None:
    start = http_start(ADD)
    assert LASTS in then(after(*start[:4]), start[4])


@pytest.mark.parametrize(
    "none",
    [
        rejected(OWN, 405),
        rejected(OWN, 400),
        rejected(OWN, 404),
        rejected(OWN, 401),
        posted(OWN, 200, body="<html></html>"),
        posted(OWN, 204),
    ],
)
def test_a_server_without_a_stream_of_its_own_is_fine(none: Passing) -> None:
    start = http_start(ADD)
    state, out = play(step, after(*start[:4]), none)
    assert posts(out) == ["list:s:1.1"]
    state, out = play(step, state, start[5])
    assert "SessionReady" in kinds(out)
    assert then(state, AGAIN) == []


def test_404_for_a_stream_that_never_was_says_nothing_of_the_session() -> None:
    start = http_start(ADD)
    state = after(*start[:4], fired("grace:s"), start[5])
    assert session(state).phase == "ready"
    assert then(state, rejected(OWN, 404)) == []


@pytest.mark.parametrize("failure", [{"status": None, "reason": "x"}, {"status": 503}])
def test_a_stream_that_cannot_be_had_now_is_asked_for_again(failure: Any) -> None:
    start = http_start(ADD)
    state = after(*start[:4], posted(OWN, **failure))
    assert one(Get, then(state, AGAIN)).id == "own:s:1.2"  # also before the tools are there
    assert one(Get, then(state, start[5], AGAIN)).id == "own:s:1.2"


def test_a_stream_that_ends_goes_on_after_its_pause_where_it_was() -> None:
    state, out = play(step, with_own(), ended(OWN, last_event_id="e1", retry_ms=250))
    assert out[1:] == [pause(0.25)]
    state, out = play(step, state, AGAIN)
    get = one(Get, out)
    assert (get.id, get.headers["Last-Event-ID"]) == ("own:s:1.2", "e1")
    assert only(Post, out) == []
    # What brings no new event goes on from the last one.
    state, _ = play(step, state, streaming(get.id), ended(get.id))
    assert one(Get, then(state, AGAIN)).headers["Last-Event-ID"] == "e1"


def test_what_changed_while_a_stream_without_ids_was_away_is_looked_up() -> None:
    state = play(step, with_own(), ended(OWN))[0]
    out = then(state, AGAIN)
    assert kinds(out) == ["Get", "Post", "StartTimer"]
    assert posts(out) == ["list:s:1.2"]
    state = play(step, with_own(capabilities={"tools": {}}), ended(OWN))[0]
    assert kinds(then(state, AGAIN)) == ["Get"]


def test_a_stream_that_breaks_off_again_and_again_is_not_asked_for_any_more() -> None:
    state, out = with_own(capabilities={"tools": {}}), []
    pauses: list[float] = []
    for number in range(1, 5):
        state, out = play(step, state, ended(f"own:s:1.{number}", reason="it broke off"))
        pauses += [timer.seconds for timer in only(StartTimer, out)]
        state, _ = play(step, state, AGAIN, streaming(f"own:s:1.{number + 1}"))
    assert pauses == [1.0, 2.0, 4.0]
    assert "broke off 4 times, and is not asked for any more" in one(Problem, out).detail
    assert only(Reconnect, out) + only(Close, out) == []
    assert session(state).phase == "ready"


@pytest.mark.parametrize(
    "proof",
    [
        [on_stream("own:s:1.2", frame("message", ""))],
        [on_stream("own:s:1.2", told("notifications/message", data="x"))],
        [AGAIN],
    ],
)
def test_a_stream_that_brings_something_or_lasts_is_a_good_one(proof: list[Passing]) -> None:
    state = play(step, with_own(), ended(OWN), AGAIN, streaming("own:s:1.2"))[0]
    assert session(state).vain == 1
    state = play(step, state, *proof)[0]
    assert session(state).vain == 0
    assert pause(1.0) in then(state, ended("own:s:1.2"))


@pytest.mark.parametrize(
    "refusal",
    [
        rejected("own:s:1.2", 404),
        rejected("own:s:1.2", 400, -32000, message="Bad Request: No valid session ID provided"),
    ],
)
def test_a_session_that_is_gone_when_its_stream_is_asked_for_again_is_renewed(
    refusal: Passing,
) -> None:
    state = play(step, with_own(), ended(OWN), AGAIN)[0]
    out = then(state, refusal)
    assert posts(out) == ["init:s:2"]
    assert one(SessionClosed, out).retry_in == 0.0
    assert only(Cut, out) == []


def test_sessions_that_are_gone_each_time_are_not_renewed_for_ever() -> None:
    state = with_own(capabilities={"tools": {}})
    for g in range(1, 4):
        state = play(step, state, ended(f"own:s:{g}.1"), AGAIN, rejected(f"own:s:{g}.2", 404))[0]
        start = http_start(ADD, generation=g + 1, capabilities={"tools": {}})[2:]
        state = play(step, state, *start)[0]
    state, out = play(step, state, ended("own:s:4.1"))
    assert "is not asked for any more" in one(Problem, out).detail


def test_a_stream_that_is_cut_when_its_session_is_renewed_says_no_more() -> None:
    state = play(step, with_own(), rejected("call:c1", 404))[0]
    assert then(state, ended(OWN), posted(OWN, None, reason="cut off by us")) == []


def test_a_lost_link_stops_the_pause() -> None:
    out = then(play(step, with_own(), ended(OWN))[0], lost())
    assert StopTimer(id="again:s") in out
    state = play(step, with_own(), ended(OWN), lost())[0]
    assert then(state, AGAIN) == []


# --- subscriptions/listen -----------------------------------------------------------------------


def listening(*more: Passing, **of: Any) -> SessionsState:
    start = modern_start(ADD, capabilities=CHANGING, **of)
    return after(*start, streaming(LISTEN), acknowledged(), *more)


def acknowledged(stream: str = LISTEN, **granted: Any) -> Any:
    return on_stream(stream, about(stream, "subscriptions/acknowledged", notifications=granted))


def about(stream: str, what: str, **params: Any) -> Any:
    meta = {"io.modelcontextprotocol/subscriptionId": stream}
    return told(f"notifications/{what}", _meta=meta, **params)


def changed(stream: str = LISTEN, what: str = "tools/list_changed", **params: Any) -> Any:
    return on_stream(stream, about(stream, what, **params))


def test_a_client_listens_to_what_the_server_says_may_change() -> None:
    start = modern_start(ADD, capabilities=CHANGING)
    out = then(after(*start[:2]), start[2])
    post = one(Post, out)
    assert (post.id, post.message["method"]) == (LISTEN, "subscriptions/listen")
    assert post.message["params"]["notifications"] == {
        "toolsListChanged": True,
        "resourcesListChanged": True,
    }
    assert post.headers["Mcp-Method"] == "subscriptions/listen"
    assert post.seconds is not None
    assert post.seconds >= 86_400
    assert kinds(out).index("SessionReady") < out.index(post)


def test_where_nothing_changes_nobody_listens() -> None:
    start = modern_start(ADD, capabilities={"tools": {}})
    assert posts(then(after(*start[:2]), start[2])) == []


def test_changes_are_told_as_of_any_server() -> None:
    out = then(listening(), changed(), changed(what="resources/list_changed"))
    assert posts(out) == ["list:s:1.2"]
    assert only(OffersChanged, out) == [OffersChanged(server="s", what="resources")]


@pytest.mark.parametrize(
    "none", [rejected(LISTEN, 404, -32601), rejected(LISTEN, 404), rejected(LISTEN, 400, -32602)]
)
def test_a_server_that_tells_nothing_is_fine(none: Passing) -> None:
    start = modern_start(ADD, capabilities=CHANGING)
    state, out = play(step, after(*start), none)
    assert [o for o in out[1:] if not isinstance(o, StopTimer)] == []
    assert then(state, AGAIN) == []
    assert session(state).phase == "ready"


@pytest.mark.parametrize(
    "end",
    [
        [ended(LISTEN)],
        [ended(LISTEN, reason="it broke off", last_event_id="1")],
        [on_stream(LISTEN, answered(LISTEN, {"resultType": "complete"})), ended(LISTEN)],
        [changed(what="cancelled", requestId=LISTEN), ended(LISTEN)],
    ],
)
def test_a_subscription_that_ends_is_made_again_and_the_tools_are_looked_up(end: Any) -> None:
    state, out = play(step, listening(), *end)
    assert only(StartTimer, out) == [pause(1.0)]
    out = then(state, AGAIN)
    assert posts(out) == ["listen:s:1.2", "list:s:1.2"]
    assert "Last-Event-ID" not in only(Post, out)[0].headers


@pytest.mark.parametrize(
    "answer",
    [
        replied(LISTEN, {"resultType": "complete"}),
        posted(LISTEN, 202),
        posted(LISTEN, 200, body="Accepted"),
        posted(LISTEN, None, reason="it broke off"),
        posted(LISTEN, 500),
        posted(LISTEN, 429),
    ],
)
def test_a_subscription_that_is_over_at_once_is_made_again_later(answer: Passing) -> None:
    state = after(*modern_start(ADD, capabilities=CHANGING))
    assert only(StartTimer, then(state, answer)) == [pause(1.0)]


def test_a_subscription_that_never_lasts_is_not_made_for_ever() -> None:
    state, out = listening(), []
    pauses: list[float] = []
    for number in range(1, 5):
        state, out = play(step, state, ended(f"listen:s:1.{number}"))
        pauses += [timer.seconds for timer in only(StartTimer, out)]
        again = f"listen:s:1.{number + 1}"
        state, _ = play(step, state, AGAIN, streaming(again), acknowledged(again))
    assert pauses == [1.0, 2.0, 4.0]
    assert "is not asked for any more" in one(Problem, out).detail


def test_a_subscription_that_brings_a_change_or_lasts_is_a_good_one() -> None:
    for proof in (changed("listen:s:1.2", "prompts/list_changed"), AGAIN):
        again = [ended(LISTEN), AGAIN, streaming("listen:s:1.2"), acknowledged("listen:s:1.2")]
        state = play(step, listening(), *again)[0]
        assert session(state).vain == 1
        assert session(play(step, state, proof)[0]).vain == 0


def test_an_error_without_an_id_on_a_subscription_is_about_it() -> None:
    error = frame("message", {"jsonrpc": "2.0", "error": {"code": -1, "message": "no"}})
    state, out = play(step, listening(), on_stream(LISTEN, error))
    assert kinds(out[1:]) == ["StopTimer"]
    assert session(state).stream_id == ""


# --- resources ----------------------------------------------------------------------------------


def wish(uri: Any = "file:///a", what: str = "subscribe", server: str = "s") -> RequestSubmitted:
    params = {} if uri is None else {"uri": uri}
    return RequestSubmitted(method=f"resources/{what}", params=params, server=server)


def test_a_wish_for_a_resource_makes_a_new_subscription_of_the_old_one() -> None:
    state, out = play(step, listening(), wish())
    assert out[1:3] == [StopTimer(id="again:s"), Cut(server="s", id=LISTEN)]
    assert one(Post, out).message["params"]["notifications"] == {
        "toolsListChanged": True,
        "resourcesListChanged": True,
        "resourceSubscriptions": ["file:///a"],
    }
    state, _ = play(step, state, streaming("listen:s:1.2"))
    (update,) = then(state, changed("listen:s:1.2", "resources/updated", uri="file:///a"))
    assert update == ResourceUpdated(server="s", uri="file:///a")
    # What was under way on the old one comes too late.
    assert then(state, changed(LISTEN, "resources/updated", uri="file:///a")) == []
    assert then(state, changed(LISTEN), acknowledged(LISTEN)) == []


def test_a_wish_that_is_granted_already_changes_nothing() -> None:
    state = play(step, listening(), wish())[0]
    assert step(state, wish()) == (state, (wish(),))
    assert step(state, wish("file:///b", "unsubscribe")) == (
        state,
        (wish("file:///b", "unsubscribe"),),
    )


def test_a_wish_that_is_taken_back_is_not_part_of_the_next_subscription() -> None:
    state = play(step, listening(), wish(), wish("file:///b"), streaming("listen:s:1.3"))[0]
    out = then(state, wish(what="unsubscribe"))
    assert one(Post, out).message["params"]["notifications"]["resourceSubscriptions"] == [
        "file:///b"
    ]


def test_the_last_wish_that_is_taken_back_ends_the_subscription() -> None:
    state = after(*modern_start(ADD, capabilities={"tools": {}, "resources": {}}))
    state, out = play(step, state, wish())
    assert posts(out) == [LISTEN]
    out = then(state, wish(what="unsubscribe"))
    assert kinds(out) == ["StopTimer", "Cut"]


def test_a_subscription_to_resources_alone_looks_up_no_tools_when_it_is_made_again() -> None:
    state = after(*modern_start(ADD, capabilities={"tools": {}, "resources": {}}), wish())
    state = play(step, state, streaming(LISTEN), ended(LISTEN))[0]
    assert posts(then(state, AGAIN)) == ["listen:s:1.2"]


def test_what_a_server_does_not_grant_is_told() -> None:
    state = play(step, listening(), wish(), wish("file:///b"), wish("file:///c"))[0]
    stream = session(state).stream_id
    granted = acknowledged(stream, resourceSubscriptions=["file:///b"])
    problem = one(Problem, then(state, granted))
    assert problem.detail == "it does not tell of changes to 'file:///a' and 1 more"
    assert only(Problem, then(state, acknowledged(stream, resourceSubscriptions=None)))
    all_of_it = acknowledged(stream, resourceSubscriptions=list(session(state).subscriptions))
    assert only(Problem, then(state, all_of_it)) == []


def test_there_are_only_so_many_subscriptions() -> None:
    wishes = [wish(f"file:///{number}") for number in range(subscriptions.MOST)]
    state = play(step, listening(), *wishes)[0]
    state, out = play(step, state, wish("file:///more"))
    assert "256 resources are subscribed to already" in one(Problem, out).detail
    assert len(session(state).subscriptions) == subscriptions.MOST


def test_the_next_connection_subscribes_again() -> None:
    state = play(step, listening(), wish(), lost())[0]
    start = modern_start(ADD, generation=2, capabilities=CHANGING)
    state, out = play(step, state, *start)
    (post,) = [post for post in only(Post, out) if post.id.startswith("listen:")]
    assert post.id == "listen:s:2.1"
    assert post.message["params"]["notifications"]["resourceSubscriptions"] == ["file:///a"]


def test_a_resumed_run_subscribes_again() -> None:
    state = play(step, listening(), wish())[0]
    state = play(step, state, RunResumed(goal="chat", servers=PLAN.servers))[0]
    start = modern_start(ADD, generation=2, capabilities=CHANGING)
    _, out = play(step, state, *start)
    assert only(Post, out)[-1].message["params"]["notifications"]["resourceSubscriptions"] == [
        "file:///a"
    ]


def test_an_older_server_is_subscribed_to_again_one_resource_after_the_other() -> None:
    start = http_start(ADD, capabilities={"tools": {}, "resources": {"subscribe": True}})
    state, out = play(step, after(*start), wish(), wish("file:///b"))
    assert posts(out) == []  # the agent stage asks for it
    state = play(step, state, rejected("call:c1", 404))[0]
    again = http_start(ADD, generation=2, capabilities=CHANGING)[2:]
    state, out = play(step, state, *again)
    wanted = [post for post in only(Post, out) if post.id.startswith("subscribe:")]
    assert [post.message["method"] for post in wanted] == ["resources/subscribe"] * 2
    assert [post.message["params"]["uri"] for post in wanted] == ["file:///a", "file:///b"]
    assert wanted[0].headers["Mcp-Session-Id"] == "S2"
    assert then(state, replied("subscribe:s:2.1", {}), posted("subscribe:s:2.2", 500)) == []
    for refusal in (rejected("subscribe:s:2.1", 400, -32602), refused("subscribe:s:2.1")):
        detail = one(Problem, then(state, refusal)).detail
        assert detail.startswith("could not subscribe to a resource again: no")


def test_an_older_server_that_tells_of_no_resource_is_not_asked_to() -> None:
    some: Json = {"tools": {}, "resources": {"listChanged": True}}
    state = after(*http_start(ADD, capabilities=some), wish(), rejected("call:c1", 404))
    out = then(state, *http_start(ADD, generation=2, capabilities=some)[2:])
    assert "SessionReady" in kinds(out)
    assert not any(id_.startswith("subscribe:") for id_ in posts(out))


@pytest.mark.parametrize("start", [sse_start(ADD), seed_start(ADD)])
def test_the_oldest_dialects_know_nothing_of_it(start: list[Passing]) -> None:
    state = after(*start, plan=Plan(servers=an_http_plan("s", dialect="auto").servers))
    state = play(step, state, wish())[0]
    assert posts(then(state, lost())) == []


def test_a_wish_goes_to_the_server_that_is_named_or_else_to_the_only_one_that_can() -> None:
    plan = Plan(servers=(*an_http_plan("s").servers, *an_http_plan("t").servers))
    both = [*modern_start(ADD, capabilities=CHANGING)]
    other = modern_start(ADD, server="t", capabilities=CHANGING)
    alone = after(*both, plan=plan)
    assert posts(then(alone, wish(server=""))) == ["listen:s:1.2"]
    together = after(*both, *other, plan=plan)
    assert then(together, wish(server="")) == []
    assert posts(then(together, wish(server="t"))) == ["listen:t:1.2"]


@pytest.mark.parametrize("odd", [wish(None), wish(7), wish(server="unknown")])
def test_a_wish_that_names_nothing_passes_untouched(odd: Passing) -> None:
    state = listening()
    assert step(state, odd) == (state, (odd,))


# --- processes ----------------------------------------------------------------------------------


def process(*more: Passing) -> SessionsState:
    found = {**DISCOVERED, "capabilities": CHANGING}
    items = [opened(), answered("discover:s:1.1", found), answered("list:s:1.1", {"tools": []})]
    return after(*items, *more, plan=a_process_plan("s", max_resumptions=3))


def test_a_process_listens_from_its_acknowledgement_on() -> None:
    state = process()
    assert session(state).stream_id == LISTEN
    assert then(state, posted(LISTEN, 202)) == []
    assert then(state, about(LISTEN, "subscriptions/acknowledged", notifications={})) == [LASTS]


def test_a_process_is_told_that_a_subscription_is_over() -> None:
    out = then(process(), wish())
    cancel, listen = only(Post, out)
    assert cancel.message == {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": LISTEN},
    }
    assert listen.id == "listen:s:1.2"
    assert only(Cut, out) == []


def test_a_process_may_end_a_subscription() -> None:
    for end in (
        told("notifications/cancelled", requestId=LISTEN),
        answered(LISTEN, {"resultType": "complete"}),
    ):
        assert pause(1.0) in then(process(), end)


def test_a_process_without_subscriptions_is_fine() -> None:
    state, out = play(step, process(), refused(LISTEN, code=-32601))
    assert [o for o in out[1:] if not isinstance(o, StopTimer)] == []
    assert then(state, told("notifications/tools/list_changed")) != []


def test_what_a_server_cancels_of_its_own_is_handed_on() -> None:
    (cancelled,) = then(with_own(), on_stream(OWN, told("notifications/cancelled", requestId=3)))
    assert kinds([cancelled]) == ["ServerCancelled"]
    assert not isinstance(cancelled, ReplyReceived)
