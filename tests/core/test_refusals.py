"""Messages that a server refused to take: told alike in every dialect, and sent again a few times.

RFC 9110, 15.6.4; RFC 6585, 4.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core import call_losses, calls
from pipeline.core.call_table import Task
from pipeline.core.calls import Calls
from pipeline.core.commands import Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.events import (
    CallSubmitted,
    PostAnswered,
    ReplyReceived,
    RequestEnded,
    RequestLost,
    RequestSubmitted,
    RunStarted,
    ToolDelayed,
    ToolEnded,
)
from pipeline.core.plan import Plan
from pipeline.core.session import machine as session
from pipeline.core.session.refusals import is_not_now, is_not_run
from tests.support.play import (
    ADD,
    Core,
    a_core,
    a_plan,
    a_route,
    a_tool,
    an_http_plan,
    answered,
    endpoint,
    fired,
    greeting,
    http_start,
    lost,
    modern_start,
    one,
    only,
    opened,
    play,
    posted,
    posts,
    rejected,
    seed_start,
    sse_start,
)

PLAN = Plan(max_refusals=2, retry_max_wish=20, call_timeout=30)
MESH = "upstream connect error or disconnect/reset before headers. reset reason: "

STARTS: dict[str, tuple[Plan, list[Passing]]] = {
    "seed": (a_plan("s", max_refusals=2, retry_max_wish=20), seed_start(ADD)),
    "sse": (a_plan("s", max_refusals=2, retry_max_wish=20), sse_start(ADD)),
    "http": (an_http_plan("s", max_refusals=2, retry_max_wish=20), http_start(ADD)),
    "modern": (an_http_plan("s", max_refusals=2, retry_max_wish=20), modern_start(ADD)),
}


def told(name: str, item: PostAnswered, **changes: Any) -> list[Passing]:
    """What the session makes of it."""
    plan, start = STARTS[name]
    plan = Plan(servers=plan.servers, **{"max_refusals": 2, "retry_max_wish": 20, **changes})
    state = play(session.step, session.initial(plan), RunStarted(), *start)[0]
    return [each for each in session.step(state, item)[1] if each != item]


# --- what a refusal means -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "is_certain"),
    [
        (posted("x", 429), True),
        (posted("x", 503), True),
        (posted("x", 503, body=f"{MESH}connection failure"), True),
        (posted("x", 503, body=f"{MESH}connection termination"), False),
        (posted("x", 404), True),
        (posted("x", 302), True),
        (posted("x", 501), True),
        (posted("x", 500), False),
        (posted("x", 502), False),
        (posted("x", 200), False),
        (posted("x", None, is_sent=False), True),
        (posted("x", None, is_sent=True), False),
    ],
)
def test_what_was_not_carried_out_is_told_from_what_may_have_been(
    item: PostAnswered, is_certain: bool
) -> None:
    assert is_not_run(item) is is_certain
    assert is_not_now(item) is (is_certain and item.status in (429, 503))


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("name", STARTS)
def test_a_busy_server_means_the_same_in_every_dialect(name: str, status: int) -> None:
    item = posted("call:c1", status, body="no", retry_after=3.0)
    assert told(name, item) == [
        RequestLost(
            server="s",
            id="call:c1",
            reason=f"the server refused to take it: HTTP {status} no",
            is_sent=False,
            is_refused=True,
            retry_in=3.0,
        )
    ]


def test_so_it_does_with_an_error_in_its_body() -> None:
    assert one(RequestLost, told("http", rejected("call:c1", 429, -32000))).is_refused


def test_a_wish_is_kept_up_to_the_longest_one_that_is_allowed_and_none_is_none() -> None:
    item = posted("call:c1", 503, retry_after=999.0)
    assert one(RequestLost, told("sse", item)).retry_in == 20
    assert one(RequestLost, told("sse", posted("call:c1", 503))).retry_in is None


@pytest.mark.parametrize("name", ["seed", "sse", "http"])
def test_an_unknown_session_means_the_same_where_there_is_one(name: str) -> None:
    out = told(name, posted("call:c1", 404))
    lost = one(RequestLost, out)
    assert (lost.is_sent, lost.is_refused) == (False, False)
    assert "does not know the session any more" in lost.reason
    assert only(Reconnect, out) or posts(out) == ["init:s:2"]


def test_where_there_is_none_it_is_an_answer() -> None:
    assert "HTTP 404" in one(ReplyReceived, told("modern", posted("call:c1", 404))).error


@pytest.mark.parametrize("id_", ["initialized:s", "cancel:c1", "answer:s:1"])
@pytest.mark.parametrize("name", ["seed", "sse"])
def test_nobody_is_told_of_a_message_that_nobody_waits_for(name: str, id_: str) -> None:
    assert only(RequestLost, told(name, posted(id_, 503))) == []


def test_a_plan_of_before_leaves_it_to_each_transport_as_it_was_recorded() -> None:
    item = posted("call:c1", 503)
    assert told("sse", item, max_refusals=0) == []
    assert one(RequestLost, told("http", item, max_refusals=0)).is_sent
    assert only(ReplyReceived, told("http", posted("call:c1", 429), max_refusals=0))


# --- calls --------------------------------------------------------------------------------------


def refused(retry_in: float | None = None, id_: str = "call:c1", **changes: Any) -> RequestLost:
    return RequestLost(
        server="s",
        id=id_,
        reason="busy",
        is_sent=False,
        is_refused=True,
        retry_in=retry_in,
        **changes,
    )


def under_way(*ids: str, dialect: Any = "sse", plan: Plan = PLAN) -> Calls:
    table = calls.on_session_ready(Calls(plan), a_route(dialect=dialect))[0]
    for id_ in ids or ("c1",):
        table, _ = calls.start(table, id_, a_tool(), {})
    return table


def again(number: int = 0) -> StartTimer:
    return StartTimer(id="call:c1:again", seconds=0.25 * 2**number)


def test_a_call_that_is_refused_waits_as_long_as_the_server_wishes_and_says_so() -> None:
    table, out = call_losses.on_request_lost(under_way(), refused(3.0))
    delayed = ToolDelayed(call="c1", server="s", tool="add", reason="busy", retry_in=3.0)
    pause = StartTimer(id="call:c1:again", seconds=3.0)
    assert out == (delayed, StartTimer(id="call:c1", seconds=30), pause)
    table, out = calls.on_timer(table, "call:c1:again")
    assert posts(out) == ["call:c1~2"]
    assert calls.on_timer(table, "call:c1:again") == (table, ())


def test_it_is_sent_again_a_few_times_and_then_was_not_sent() -> None:
    table, pauses = under_way(), list[StartTimer]()
    for number in range(2):
        wire_id = table.open["c1"].wire_id
        table, out = call_losses.on_request_lost(table, refused(id_=wire_id))
        pauses += [timer for timer in only(StartTimer, out) if timer.id.endswith(":again")]
        table, out = calls.on_timer(table, "call:c1:again")
        assert posts(out) == [f"call:c1~{number + 2}"]
    assert pauses == [again(0), again(1)]
    table, out = call_losses.on_request_lost(table, refused(id_="call:c1~3"))
    ended = one(ToolEnded, out)
    assert (ended.outcome, ended.reason) == ("not_sent", "busy; it was asked 3 times")
    assert table.open == {}


def test_a_wish_that_is_longer_than_the_call_may_take_ends_it_at_once() -> None:
    _, out = call_losses.on_request_lost(under_way(), refused(30.0))
    ended = one(ToolEnded, out)
    assert (ended.outcome, ended.reason) == (
        "not_sent",
        "busy; it asks for 30 s, and a call has 30 s",
    )
    assert only(ToolDelayed, out) == []


def test_a_wish_for_no_pause_gets_a_short_one() -> None:
    _, out = call_losses.on_request_lost(under_way(), refused(0.0))
    assert one(ToolDelayed, out).retry_in == 0.05


def test_others_do_not_wait_with_it_not_even_where_they_go_one_at_a_time() -> None:
    _, out = call_losses.on_request_lost(under_way("c1", "c2", dialect="seed"), refused())
    assert posts(out) == ["call:c2"]


def test_a_pause_outlives_the_connection_and_then_the_next_one_is_waited_for() -> None:
    table, _ = call_losses.on_request_lost(under_way(), refused())
    table, out = call_losses.on_stream_lost(table, lost())
    assert out == ()
    table, out = calls.on_timer(table, "call:c1:again")
    assert out == (StartTimer(id="call:c1", seconds=30),)
    assert posts(calls.on_session_ready(table, a_route())[1]) == ["call:c1~2"]


def test_a_call_that_is_given_up_in_its_pause_was_not_sent_and_its_timer_is_stopped() -> None:
    table, _ = call_losses.on_request_lost(under_way(), refused())
    _, out = calls.abandon(table, "c1", "cancelled by the user")
    assert one(ToolEnded, out).outcome == "not_sent"
    assert StopTimer(id="call:c1:again") in out


def test_what_may_have_run_before_stays_unknown() -> None:
    table = under_way()
    call = replace(table.open["c1"], may_have_run=True, refusals=2)
    table = replace(table, open={"c1": call})
    _, out = call_losses.on_request_lost(table, refused())
    assert one(ToolEnded, out).outcome == "unknown"


def test_a_task_is_asked_for_again_as_often_as_it_takes() -> None:
    """The question about it was refused, not the call."""
    table = under_way(dialect="http")
    task = Task(id="t", poll=2.0, is_extension=True, token="x")
    table = replace(table, open={"c1": replace(table.open["c1"], task=task)})
    table, out = call_losses.on_request_lost(table, refused())
    assert StartTimer(id="call:c1:poll", seconds=2.0) in out
    assert table.open["c1"].state == "polling"


@pytest.mark.parametrize("name", STARTS)
def test_the_whole_core_sends_it_again_under_a_new_id(name: str) -> None:
    plan, start = STARTS[name]
    core = a_core(plan, *start)
    core.feed(CallSubmitted(tool="add"))
    out = core.feed(posted("call:c1", 503, retry_after=2.0))
    assert one(ToolDelayed, out).retry_in == 2.0
    assert only(ToolEnded, out) == []
    out = core.feed(fired("call:c1:again"))
    assert one(Post, out).id == "call:c1~2"


# --- a person's requests ------------------------------------------------------------------------


def reading(**changes: Any) -> Core:
    plan, _ = STARTS["http"]
    plan = Plan(servers=plan.servers, max_refusals=2, call_timeout=30, **changes)
    start = http_start(ADD, capabilities={"resources": {}})
    return a_core(plan, *start, RequestSubmitted(method="resources/read", params={"uri": "x"}))


def test_a_request_that_is_refused_goes_out_again_after_a_pause_a_few_times() -> None:
    core = reading()
    for number in (1, 2):
        out = core.feed(posted(f"request:r1~{number}", 503))
        pause = 0.25 * 2.0 ** (number - 1)
        assert one(StartTimer, out) == StartTimer(id="request:r1", seconds=pause)
        out = core.feed(fired("request:r1"))
        assert posts(out) == [f"request:r1~{number + 1}"]
    ended = one(RequestEnded, core.feed(posted("request:r1~3", 503)))
    assert (ended.outcome, "HTTP 503" in ended.reason) == ("not_sent", True)


def test_a_request_does_not_wait_longer_than_it_may_take() -> None:
    out = reading().feed(posted("request:r1~1", 429, retry_after=31.0))
    assert one(RequestEnded, out).outcome == "not_sent"


def test_over_sse_a_request_is_judged_by_the_session_too() -> None:
    plan, _ = STARTS["sse"]
    start = sse_start(ADD)
    start[3] = answered("init:s:1", greeting(capabilities={"resources": {}}))
    wish = RequestSubmitted(method="resources/read", params={"uri": "x"})
    core = a_core(plan, *start[:4], wish)
    out = core.feed(posted("request:r1~1", 503))
    assert only(RequestEnded, out) == []
    assert posts(core.feed(fired("request:r1"))) == ["request:r1~2"]
    core.feed(posted("request:r1~2", 404), lost())
    assert posts(core.feed(opened(), endpoint(), fired("grace:s"))) == ["init:s:2"]
