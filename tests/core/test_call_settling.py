"""Calls that are given up or lost while nobody knows yet whether their message had left."""

from typing import Any

import pytest

from pipeline.core import call_losses, calls
from pipeline.core.calls import Calls, Move
from pipeline.core.commands import CallModel, Cut, Passing, Post, Reconnect, StartTimer
from pipeline.core.events import (
    AnswerCompleted,
    PostAnswered,
    PromptCancelled,
    PromptSubmitted,
    RunResumed,
    SinkFailed,
    ToolEnded,
    ToolRepeated,
)
from pipeline.core.plan import Plan
from tests.support.play import (
    ADD,
    Core,
    a_core,
    a_plan,
    a_route,
    a_tool,
    finished,
    fired,
    last_messages,
    lost,
    one,
    only,
    posted,
    posts,
    sse_start,
    use,
)

PLAN = Plan(await_posts=True, max_refusals=2)
CUT = Cut(server="s", id="call:c1")
PATIENCE = StartTimer(id="call:c1", seconds=1.0)
SAFE = {"readOnlyHint": True}


def under_way(dialect: Any = "sse", *ids: str, plan: Plan = PLAN, **tool: Any) -> Calls:
    """Calls that are posted, and not answered by HTTP yet."""
    table = calls.on_session_ready(Calls(plan), a_route(dialect=dialect))[0]
    for id_ in ids or ("c1",):
        table, _ = calls.start(table, id_, a_tool(**tool), {})
    return table


def closed(is_sent: bool, id_: str = "call:c1") -> PostAnswered:
    return posted(id_, None, reason="cut off by us", is_sent=is_sent)


def given_up(table: Calls) -> Move:
    return calls.on_timer(table, "call:c1")


# --- given up ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", ["seed", "sse", "http"])
def test_a_call_that_is_given_up_is_cut_and_ends_when_it_is_known_how_far_it_came(
    dialect: Any,
) -> None:
    table, out = given_up(under_way(dialect))
    assert out == (CUT, PATIENCE)
    table, out = calls.on_posted(table, closed(is_sent=False))
    ended = one(ToolEnded, out)
    assert (ended.outcome, "--call-timeout" in ended.reason) == ("not_sent", True)
    assert only(Post, out) == []  # there is nothing that the server could cancel
    assert table.open == {}


def test_one_that_may_have_left_is_unknown_and_the_server_is_told() -> None:
    table, _ = given_up(under_way())
    table, out = calls.on_posted(table, closed(is_sent=True))
    assert one(ToolEnded, out).outcome == "unknown"
    assert one(Post, out).message["method"] == "notifications/cancelled"
    assert table.open == {}


@pytest.mark.parametrize("status", [404, 413, 429, 503])
def test_one_that_was_refused_at_that_very_moment_was_not_sent(status: int) -> None:
    table, _ = given_up(under_way())
    _, out = calls.on_posted(table, posted("call:c1", status))
    assert one(ToolEnded, out).outcome == "not_sent"


def test_one_that_the_server_took_ends_at_once() -> None:
    table, _ = calls.on_posted(under_way(), posted("call:c1"))
    _, out = given_up(table)
    assert one(ToolEnded, out).outcome == "unknown"
    assert only(Cut, out) == []


def test_one_that_was_sent_before_ends_at_once_for_it_may_have_run_then() -> None:
    table, _ = calls.on_posted(under_way(annotations=SAFE), posted("call:c1"))
    table, _ = call_losses.on_stream_lost(table, lost())
    table, _ = calls.on_session_ready(table, a_route())
    _, out = given_up(table)
    assert one(ToolEnded, out).outcome == "unknown"


def test_a_post_that_says_nothing_even_then_may_have_left() -> None:
    table, _ = given_up(under_way())
    table, out = given_up(table)
    assert one(ToolEnded, out).outcome == "unknown"
    assert table.open == {}
    assert calls.on_posted(table, closed(is_sent=False)) == (table, ())


def test_other_timers_and_a_second_wish_change_nothing_while_it_is_waited_for() -> None:
    table, _ = given_up(under_way())
    assert calls.on_timer(table, "call:c1:max") == (table, ())
    assert calls.abandon(table, "c1", "again") == (table, ())
    _, out = calls.abandon(table, "c1", "now", at_once=True)
    assert (one(ToolEnded, out).outcome, one(ToolEnded, out).reason) == ("unknown", "now")


def test_without_ids_the_next_call_leaves_when_the_one_before_is_settled() -> None:
    table, out = given_up(under_way("seed", "c1", "c2"))
    assert posts(out) == []
    table, out = calls.start(table, "c3", a_tool(), {})
    assert posts(out) == []
    left, out = calls.on_posted(table, closed(is_sent=False))
    assert posts(out) == ["call:c2"]
    left, out = calls.on_posted(table, closed(is_sent=True))
    assert posts(out) == []
    assert one(Reconnect, out).server == "s"  # its answer could be taken for the next one's
    assert left.open["c2"].state == "waiting"


def test_a_plan_of_before_ends_it_at_once_as_it_was_recorded() -> None:
    _, out = given_up(under_way(plan=Plan()))
    assert one(ToolEnded, out).outcome == "unknown"
    assert only(Cut, out) == []


# --- lost ---------------------------------------------------------------------------------------


def after_loss(*items: PostAnswered, retry_in: float | None = 1.0, **tool: Any) -> Move:
    """The connection is lost, then the POST says what became of it."""
    table, _ = call_losses.on_stream_lost(under_way(**tool), lost(retry_in))
    out: list[Passing] = []
    for item in items:
        table, more = calls.on_posted(table, item)
        out.extend(more)
    return table, tuple(out)


def test_a_call_whose_connection_is_lost_waits_for_what_its_post_says() -> None:
    table, out = call_losses.on_stream_lost(under_way(), lost())
    assert out == (PATIENCE,)
    table, out = given_up(table)
    assert out == (CUT, PATIENCE)
    table, out = given_up(table)
    assert one(ToolEnded, out).outcome == "unknown"
    assert "the connection to 's' was lost" in one(ToolEnded, out).reason


@pytest.mark.parametrize("refusal", [closed(is_sent=False), posted("call:c1", 503)])
def test_one_that_did_not_get_there_goes_out_over_the_next_connection_whatever_it_does(
    refusal: PostAnswered,
) -> None:
    table, out = after_loss(refusal)
    assert out == (StartTimer(id="call:c1", seconds=60.0),)
    _, out = calls.on_session_ready(table, a_route())
    assert posts(out) == ["call:c1~2"]


def test_and_at_once_if_that_is_there_already() -> None:
    table, _ = call_losses.on_stream_lost(under_way(), lost())
    table, out = calls.on_session_ready(table, a_route())
    assert posts(out) == []
    _, out = calls.on_posted(table, closed(is_sent=False))
    assert posts(out) == ["call:c1~2"]


@pytest.mark.parametrize("taken", [closed(is_sent=True), posted("call:c1"), posted("call:c1", 500)])
def test_one_that_may_have_run_is_unknown_or_made_again_where_that_does_no_harm(
    taken: PostAnswered,
) -> None:
    _, out = after_loss(taken)
    assert one(ToolEnded, out).outcome == "unknown"
    table, out = after_loss(taken, annotations=SAFE)
    assert one(ToolRepeated, out).call == "c1"
    assert table.open["c1"].may_have_run


def test_nobody_waits_for_a_server_that_will_not_come_back() -> None:
    for is_sent, outcome in ((False, "not_sent"), (True, "unknown")):
        _, out = after_loss(closed(is_sent=is_sent), retry_in=None, annotations=SAFE)
        assert one(ToolEnded, out).outcome == outcome


def test_it_is_not_sent_more_often_than_any_call() -> None:
    table = under_way(plan=Plan(await_posts=True, max_call_sends=1))
    table, _ = call_losses.on_stream_lost(table, lost())
    _, out = calls.on_posted(table, closed(is_sent=False))
    assert one(ToolEnded, out).outcome == "not_sent"


def test_a_second_loss_does_not_judge_what_is_still_to_be_heard() -> None:
    table, _ = call_losses.on_stream_lost(under_way(), lost())
    assert call_losses.on_stream_lost(table, lost())[1] == ()


def test_a_call_that_is_given_up_while_it_is_waited_for_is_cut_and_not_made_again() -> None:
    table, _ = call_losses.on_stream_lost(under_way(), lost())
    table, out = calls.abandon(table, "c1", "cancelled by the user")
    assert out == (CUT, PATIENCE)
    table, out = calls.on_posted(table, closed(is_sent=False))
    assert (one(ToolEnded, out).outcome, table.open) == ("not_sent", {})


def test_one_that_the_server_took_is_judged_at_once() -> None:
    table, _ = calls.on_posted(under_way(), posted("call:c1"))
    _, out = call_losses.on_stream_lost(table, lost())
    assert one(ToolEnded, out).outcome == "unknown"


@pytest.mark.parametrize("is_given_up", [True, False])
def test_in_another_process_nothing_is_heard_any_more(is_given_up: bool) -> None:
    begin = given_up if is_given_up else lambda table: call_losses.on_stream_lost(table, lost())
    table, _ = begin(under_way(annotations=SAFE))
    table, out = call_losses.on_resumed(table, ["s"])
    assert bool(only(ToolEnded, out)) is is_given_up
    assert bool(only(ToolRepeated, out)) is not is_given_up


# --- a turn that is stopped ---------------------------------------------------------------------


def acting() -> Core:
    """The model asked for two tools; one call was taken, of the other nothing is heard."""
    plan = a_plan("s", dialect="sse", await_posts=True, interactive=True)
    start = [item for item in sse_start(ADD) if item != fired("grace:s")]
    core = a_core(plan, *start, PromptSubmitted(text="go"))
    core.feed(finished(1, use("u1", "mcp__s__add"), use("u2", "mcp__s__add")))
    core.feed(posted("call:c1"))
    return core


def test_a_turn_that_is_stopped_ends_with_its_last_call() -> None:
    core = acting()
    out = core.feed(PromptCancelled())
    assert [each.call for each in only(ToolEnded, out)] == ["c1"]
    assert Cut(server="s", id="call:c2") in out
    assert only(AnswerCompleted, out) == []
    assert core.feed(PromptCancelled())[1:] == []
    out = core.feed(closed(is_sent=False, id_="call:c2"))
    assert one(ToolEnded, out).outcome == "not_sent"
    assert one(AnswerCompleted, out).stop == "cancelled"
    assert only(CallModel, out) == []


def test_and_the_next_one_is_not_stopped_with_it() -> None:
    core = acting()
    core.feed(PromptCancelled(), closed(is_sent=True, id_="call:c2"), PromptSubmitted(text="more"))
    blocks = [block["type"] for m in last_messages(core.log) for block in m["content"]]
    assert blocks == ["text", "tool_use", "tool_use", "tool_result", "tool_result", "text"]
    out = core.feed(finished(2, use("u3", "mcp__s__add")))
    assert posts(out) == ["call:c3"]
    out = core.feed(posted("call:c3", 413))
    assert len(only(CallModel, out)) == 1


def test_what_may_not_be_recorded_is_not_waited_for() -> None:
    """A run that has to write all down can wait for nothing: no command is carried out there."""
    out = acting().feed(SinkFailed(sink="jsonl", reason="full", ends_run=True))
    assert [each.outcome for each in only(ToolEnded, out)] == ["unknown", "unknown"]


def test_a_stopped_turn_is_stopped_in_the_next_process_too() -> None:
    core = acting()
    core.feed(PromptCancelled())
    out = core.feed(RunResumed(goal="chat", servers=core.plan.servers))
    assert one(AnswerCompleted, out).stop == "cancelled"
