"""Tool calls under way: each ends exactly once, with an outcome that is true."""

from typing import Any

import mcp_types
import pytest
from mcp_types import jsonrpc as official
from msgspec.structs import replace

from pipeline.core import call_losses, calls
from pipeline.core.calls import Calls, Move
from pipeline.core.commands import Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    PostAnswered,
    Problem,
    ProgressReported,
    ReplyReceived,
    RequestLost,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolStarted,
)
from pipeline.core.plan import Plan
from tests.support.play import (
    MESSAGES,
    URL,
    a_route,
    a_tool,
    kinds,
    lost,
    one,
    only,
    posted,
    posts,
    text_block,
)

PLAN = Plan(call_timeout=60, call_timeout_max=600)
OK: Json = {"content": [text_block("5")]}


def connected(dialect: Any = "sse", plan: Plan = PLAN) -> Calls:
    return calls.on_session_ready(Calls(plan), a_route(dialect=dialect))[0]


def started(table: Calls, *ids: str, server: str = "s") -> Move:
    """Begin calls one after another; the table, and all that came out."""
    out: list[Passing] = []
    for id_ in ids:
        table, more = calls.start(table, id_, a_tool(server=server), {"n": id_})
        out.extend(more)
    return table, tuple(out)


def reply(id_: str | None, result: Json | None = OK, error: str = "") -> ReplyReceived:
    return ReplyReceived(server="s", id=id_, result=None if error else result, error=error)


def deadline(id_: str) -> StartTimer:
    return StartTimer(id=f"call:{id_}", seconds=60)


def stops(id_: str) -> list[StopTimer]:
    return [StopTimer(id=f"call:{id_}"), StopTimer(id=f"call:{id_}:max")]


def outcomes(items: tuple[Passing, ...]) -> list[tuple[str, str]]:
    return [(ended.call, ended.outcome) for ended in only(ToolEnded, items)]


# --- starting ---------------------------------------------------------------------------------


def test_a_call_is_written_down_given_its_deadlines_and_posted_in_that_order() -> None:
    table, out = started(connected(), "c1")
    assert out == (
        ToolStarted(call="c1", server="s", tool="add", arguments={"n": "c1"}),
        StartTimer(id="call:c1:max", seconds=600),
        deadline("c1"),
        Post(
            server="s",
            url=MESSAGES,
            id="call:c1",
            message={
                "jsonrpc": "2.0",
                "id": "call:c1",
                "method": "tools/call",
                "params": {
                    "name": "add",
                    "arguments": {"n": "c1"},
                    "_meta": {"progressToken": "call:c1"},
                },
            },
        ),
    )
    assert table.open["c1"].is_posted


def test_what_is_sent_for_a_call_is_valid_for_the_official_models() -> None:
    table, out = started(connected(), "c1")
    message = one(Post, out).message
    parsed: Any = official.jsonrpc_message_adapter.validate_python(message)
    assert parsed.model_dump(by_alias=True, exclude_unset=True) == message
    body = {key: message[key] for key in ("method", "params")}
    request = mcp_types.CallToolRequest.model_validate(body, by_name=False)
    assert request.params.name == "add"
    _, out = calls.abandon(table, "c1", "why")
    message = one(Post, out).message
    official.jsonrpc_message_adapter.validate_python(message)
    body = {key: message[key] for key in ("method", "params")}
    cancelled = mcp_types.CancelledNotification.model_validate(body, by_name=False)
    assert (cancelled.params.request_id, cancelled.params.reason) == ("call:c1", "why")


def test_in_the_seed_dialect_a_call_goes_to_the_stream_url_in_its_own_words() -> None:
    _, out = started(connected("seed"), "c1")
    post = one(Post, out)
    assert post.url == URL
    assert post.message == {
        "session_id": "s1",
        "tool": "add",
        "args": {"n": "c1"},
        "id": "call:c1",
    }


def test_a_call_waits_for_its_server_under_both_deadlines() -> None:
    table, out = started(Calls(PLAN), "c1")
    assert kinds(out) == ["ToolStarted", "StartTimer", "StartTimer"]
    assert {timer.id for timer in only(StartTimer, out)} == {"call:c1", "call:c1:max"}
    table, out = calls.on_session_ready(table, a_route())
    assert out[0] == deadline("c1"), "the wait does not count against the server"
    assert posts(out) == ["call:c1"]
    assert calls.on_session_ready(table, a_route())[1] == (), "and it is posted once"


def test_a_ready_server_gets_its_own_calls_only() -> None:
    table, _ = started(Calls(PLAN), "c1", server="other")
    assert calls.on_session_ready(table, a_route())[1] == ()


def test_no_more_calls_than_the_limit_are_under_way() -> None:
    table, _ = started(connected(plan=Plan(max_pending_calls=2)), "c1", "c2")
    after, out = started(table, "c3")
    assert after == table
    assert kinds(out) == ["ToolStarted", "ToolEnded"]
    ended = one(ToolEnded, out)
    assert ended.outcome == "not_sent"
    assert ended.reason == (
        "2 calls are under way already, and that is the limit (--max-pending-calls)"
    )
    table, _ = calls.on_reply(table, reply("call:c1"))
    assert posts(started(table, "c4")[1]) == ["call:c4"]


def test_a_call_to_a_server_that_is_gone_ends_at_once() -> None:
    table, _ = call_losses.on_stream_lost(connected(), lost(None, reason="HTTP 410"))
    after, out = started(table, "c1")
    assert after == table
    assert kinds(out) == ["ToolStarted", "ToolEnded"]
    assert one(ToolEnded, out).outcome == "not_sent"
    assert one(ToolEnded, out).reason == "the server 's' is gone: HTTP 410"


def test_a_server_that_is_ready_again_is_gone_no_more() -> None:
    table, _ = call_losses.on_stream_lost(connected(), lost(None))
    table, _ = calls.on_session_ready(table, a_route())
    assert posts(started(table, "c1")[1]) == ["call:c1"]


# --- side by side, or in turn -----------------------------------------------------------------


def test_calls_in_2024_11_05_go_side_by_side() -> None:
    assert posts(started(connected(), "c1", "c2", "c3")[1]) == ["call:c1", "call:c2", "call:c3"]


def test_calls_in_the_seed_dialect_go_in_turn() -> None:
    table, out = started(connected("seed"), "c1", "c2", "c3")
    assert posts(out) == ["call:c1"]
    table, out = calls.on_reply(table, reply(None))
    assert outcomes(out) == [("c1", "answered")]
    assert posts(out) == ["call:c2"]
    assert deadline("c2") in out, "its time starts when it is sent"
    table, out = calls.on_reply(table, reply(None, error="no"))
    assert outcomes(out) == [("c2", "answered")]
    assert posts(out) == ["call:c3"]
    table, out = calls.on_reply(table, reply(None))
    assert posts(out) == []
    assert table.open == {}


def test_a_server_that_echoes_an_id_gets_calls_side_by_side_from_then_on() -> None:
    table, out = started(connected("seed"), "c1", "c2", "c3")
    table, out = calls.on_reply(table, reply("call:c1"))
    assert posts(out) == ["call:c2", "call:c3"]
    assert posts(started(table, "c4")[1]) == ["call:c4"]


def test_a_new_connection_has_to_show_again_that_it_echoes_ids() -> None:
    table, _ = started(connected("seed"), "c1")
    table, _ = calls.on_reply(table, reply("call:c1"))
    table, _ = call_losses.on_stream_lost(table, lost())
    table, _ = calls.on_session_ready(table, a_route(dialect="seed"))
    assert posts(started(table, "c2", "c3")[1]) == ["call:c2"]


def test_two_seed_servers_do_not_wait_for_each_other() -> None:
    table, _ = calls.on_session_ready(connected("seed"), a_route("other", "seed"))
    table, out = started(table, "c1", "c2")
    table, more = started(table, "c3", "c4", server="other")
    assert posts((*out, *more)) == ["call:c1", "call:c3"]


def test_a_call_that_cannot_be_sent_makes_way_for_the_next() -> None:
    table, _ = started(connected("seed"), "c1", "c2")
    table, out = calls.on_posted(table, posted("call:c1", 400))
    assert outcomes(out) == [("c1", "not_sent")]
    assert posts(out) == ["call:c2"]


def test_it_is_never_guessed_which_of_several_calls_an_answer_is_for() -> None:
    table, _ = started(connected("seed"), "c1")
    table, _ = calls.on_reply(table, reply("call:c1"))
    table, _ = started(table, "c2", "c3")
    after, out = calls.on_reply(table, reply(None, error="no"))
    assert after == table
    assert out == (
        Problem(where="s", detail="error 'no' without an id, which could be for any of 2 calls"),
    )


def test_an_answer_without_an_id_is_for_the_one_call_there_is() -> None:
    table, _ = started(connected("seed"), "c1")
    table, _ = calls.on_reply(table, reply("call:c1"))
    table, _ = started(table, "c2")
    assert outcomes(calls.on_reply(table, reply(None))[1]) == [("c2", "answered")]


# --- answers ----------------------------------------------------------------------------------


def test_an_answer_ends_the_call_and_stops_its_timers() -> None:
    table, _ = started(connected(), "c1")
    result: Json = {**OK, "structuredContent": {"sum": 5}}
    table, out = calls.on_reply(table, reply("call:c1", result))
    assert out == (
        ToolEnded(
            call="c1",
            server="s",
            tool="add",
            outcome="answered",
            content=(text_block("5"),),
            structured={"sum": 5},
        ),
        *stops("c1"),
    )
    assert table.open == {}


@pytest.mark.parametrize(
    ("flag", "is_error"), [(True, True), (False, False), (None, False), ("true", False), (1, False)]
)
def test_only_true_marks_an_error(flag: Any, is_error: bool) -> None:
    table, _ = started(connected(), "c1")
    _, out = calls.on_reply(table, reply("call:c1", {**OK, "isError": flag}))
    assert one(ToolEnded, out).is_error is is_error


def test_a_protocol_error_ends_the_call_as_an_error_in_words() -> None:
    table, _ = started(connected(), "c1")
    _, out = calls.on_reply(table, reply("call:c1", error="no such tool (code -32602)"))
    ended = one(ToolEnded, out)
    assert (ended.outcome, ended.is_error) == ("answered", True)
    assert ended.reason == "no such tool (code -32602)"
    assert ended.content == (text_block("no such tool (code -32602)"),)


@pytest.mark.parametrize(
    ("content", "found"),
    [("text", '"text"'), (None, "null"), ([1], "[1]"), ({"a": 1}, '{"a":1}'), (["x" * 500], "…")],
)
def test_a_malformed_result_is_told_to_the_model_in_words(content: Any, found: str) -> None:
    table, _ = started(connected(), "c1")
    table, out = calls.on_reply(table, reply("call:c1", {"content": content}))
    ended = one(ToolEnded, out)
    assert (ended.outcome, ended.is_error, ended.content) == ("answered", True, ())
    assert ended.reason.startswith("malformed result: found ")
    assert found in ended.reason
    assert len(ended.reason) < 200
    assert table.open == {}


@pytest.mark.parametrize(
    ("late", "detail"),
    [
        (reply("call:c1"), "an answer for unknown id 'call:c1'"),
        (reply("call:c9"), "an answer for unknown id 'call:c9'"),
        (reply("nonsense"), "an answer for unknown id 'nonsense'"),
        (reply("c2"), "an answer for unknown id 'c2'"),
        (reply("call:c1", error="no"), "error 'no' for unknown id 'call:c1'"),
    ],
)
def test_a_late_doubled_or_unknown_answer_is_told_once_and_harms_nobody(
    late: ReplyReceived, detail: str
) -> None:
    table, _ = started(connected(), "c1", "c2")
    table, _ = calls.on_reply(table, reply("call:c1"))
    after, out = calls.on_reply(table, late)
    assert after == table
    assert out == (Problem(where="s", detail=detail),)


def test_an_answer_without_a_call_in_flight_is_a_problem() -> None:
    table, _ = started(Calls(PLAN), "c1")
    for error, what in (("", "an answer"), ("no", "error 'no'")):
        after, out = calls.on_reply(table, reply(None, error=error))
        assert after == table
        assert out == (Problem(where="s", detail=f"{what} without a call in flight"),)


def test_one_server_cannot_answer_for_another() -> None:
    table, _ = started(connected(), "c1")
    foreign = ReplyReceived(server="other", id="call:c1", result=OK)
    after, out = calls.on_reply(table, foreign)
    assert after == table
    assert kinds(out) == ["Problem"]


def test_a_call_that_was_not_posted_cannot_be_answered() -> None:
    table, _ = started(Calls(PLAN), "c1")
    after, out = calls.on_reply(table, reply("call:c1"))
    assert after == table
    assert kinds(out) == ["Problem"]


# --- progress ---------------------------------------------------------------------------------


def test_progress_is_told_and_starts_the_deadline_over_but_not_the_limit() -> None:
    table, _ = started(connected(), "c1")
    report = ProgressReported(server="s", id="call:c1", progress=1, total=4, message="x")
    after, out = calls.on_progress(table, report)
    assert after == table
    assert out == (ToolProgress(call="c1", progress=1, total=4, message="x"), deadline("c1"))


@pytest.mark.parametrize(
    ("server", "id_"), [("s", "call:c9"), ("s", "c1"), ("s", ""), ("other", "call:c1")]
)
def test_progress_of_a_call_that_is_not_the_servers_own_means_nothing(
    server: str, id_: str
) -> None:
    table, _ = started(connected(), "c1")
    report = ProgressReported(server=server, id=id_, progress=1)
    assert calls.on_progress(table, report) == (table, ())


def test_progress_of_a_call_that_was_not_posted_means_nothing() -> None:
    table, _ = started(Calls(PLAN), "c1")
    report = ProgressReported(server="s", id="call:c1", progress=1)
    assert calls.on_progress(table, report) == (table, ())


# --- time -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timer", "words"),
    [
        ("call:c1", "no answer and no progress for 60 s (--call-timeout)"),
        (
            "call:c1:max",
            "no answer within 600 s (--call-timeout-max), however much progress was told",
        ),
    ],
)
def test_a_call_whose_time_is_up_has_an_unknown_outcome(timer: str, words: str) -> None:
    table, _ = started(connected(), "c1", "c2")
    table, out = calls.on_timer(table, timer)
    assert outcomes(out) == [("c1", "unknown")]
    assert one(ToolEnded, out).reason == words
    assert list(table.open) == ["c2"]
    assert calls.on_timer(table, timer) == (table, ()), "and it ends once"


def test_a_call_whose_server_never_came_was_not_sent() -> None:
    table, _ = started(Calls(PLAN), "c1")
    _, out = calls.on_timer(table, "call:c1")
    assert outcomes(out) == [("c1", "not_sent")]
    assert one(ToolEnded, out).reason == "'s' was not connected after 60 s"
    assert posts(out) == []


def test_a_call_that_never_had_its_turn_was_not_sent() -> None:
    table, _ = started(connected("seed"), "c1", "c2")
    table, out = calls.on_timer(table, "call:c2")
    assert outcomes(out) == [("c2", "not_sent")]
    assert one(ToolEnded, out).reason == "'s' was still busy with earlier calls after 60 s"
    assert list(table.open) == ["c1"]


@pytest.mark.parametrize("timer", ["call:c9", "call:c9:max", "call:", "call::max"])
def test_the_timer_of_a_call_that_is_over_does_nothing(timer: str) -> None:
    table, _ = started(connected(), "c1")
    assert calls.on_timer(table, timer) == (table, ())


# --- giving up a call -------------------------------------------------------------------------


def test_in_2024_11_05_the_server_is_told_that_nobody_waits() -> None:
    table, _ = started(connected(), "c1", "c2")
    table, out = calls.abandon(table, "c1", "cancelled by the user")
    assert out == (
        ToolEnded(
            call="c1",
            server="s",
            tool="add",
            outcome="unknown",
            reason="cancelled by the user",
        ),
        *stops("c1"),
        Post(
            server="s",
            url=MESSAGES,
            id="cancel:c1",
            message={
                "jsonrpc": "2.0",
                "method": "notifications/cancelled",
                "params": {"requestId": "call:c1", "reason": "cancelled by the user"},
            },
        ),
    )
    assert list(table.open) == ["c2"]


def test_a_seed_server_that_echoes_ids_needs_not_be_told() -> None:
    table, _ = started(connected("seed"), "c1")
    table, _ = calls.on_reply(table, reply("call:c1"))
    table, _ = started(table, "c2", "c3")
    table, out = calls.abandon(table, "c2", "why")
    assert outcomes(out) == [("c2", "unknown")]
    assert kinds(out) == ["ToolEnded", "StopTimer", "StopTimer"]
    _, out = calls.on_reply(table, reply("call:c2"))
    assert kinds(out) == ["Problem"], "its late answer is nobody else's"


def test_a_seed_server_without_ids_gets_a_new_stream_and_the_next_call_waits_for_it() -> None:
    table, _ = started(connected("seed"), "c1", "c2")
    table, out = calls.abandon(table, "c1", "why")
    assert outcomes(out) == [("c1", "unknown")]
    assert "could be taken for the next call's" in one(Reconnect, out).reason
    assert posts(out) == []
    _, late = calls.on_reply(table, reply(None))
    assert kinds(late) == ["Problem"]
    assert posts(started(table, "c3")[1]) == [], "nothing goes out on the old stream"
    table, out = call_losses.on_stream_lost(table, lost(0.5))
    assert outcomes(out) == []
    table, out = calls.on_session_ready(table, a_route(dialect="seed"))
    assert posts(out) == ["call:c2"]


def test_a_call_that_was_never_posted_is_given_up_as_not_sent() -> None:
    table, _ = started(connected("seed"), "c1", "c2")
    table, out = calls.abandon(table, "c2", "why")
    assert outcomes(out) == [("c2", "not_sent")]
    assert kinds(out) == ["ToolEnded", "StopTimer", "StopTimer"]
    assert list(table.open) == ["c1"]


def test_a_posted_call_whose_route_is_gone_is_unknown_and_nothing_more() -> None:
    table, _ = started(connected(), "c1", "c2")
    table, _ = calls.on_session_ready(table, a_route(dialect="seed"))
    table, _ = calls.abandon(table, "c1", "why")
    _, out = calls.abandon(table, "c2", "why")
    assert outcomes(out) == [("c2", "unknown")]
    assert posts(out) == []


# --- posts ------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_call_that_was_accepted_goes_on(status: int) -> None:
    table, _ = started(connected(), "c1")
    table, out = calls.on_posted(table, posted("call:c1", status))
    assert table.open["c1"].is_posted
    assert out == ()


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (301, "not_sent"),
        (400, "not_sent"),
        (401, "not_sent"),
        (403, "not_sent"),
        (404, "not_sent"),
        (413, "not_sent"),
        (429, "not_sent"),
        (499, "not_sent"),
        (500, "unknown"),
        (501, "not_sent"),
        (502, "unknown"),
        (503, "not_sent"),
        (504, "unknown"),
        (599, "unknown"),
        (600, "unknown"),
    ],
)
def test_the_status_tells_whether_the_call_can_have_run(status: int, outcome: str) -> None:
    table, _ = started(connected(), "c1", "c2")
    table, out = calls.on_posted(table, posted("call:c1", status, body="<b>why</b>"))
    assert outcomes(out) == [("c1", outcome)]
    assert one(ToolEnded, out).reason == f"the server answered HTTP {status} <b>why</b>"
    assert list(table.open) == ["c2"]


def test_a_long_body_is_shortened_in_the_reason() -> None:
    table, _ = started(connected(), "c1")
    _, out = calls.on_posted(table, posted("call:c1", 500, body="x" * 5000))
    assert len(one(ToolEnded, out).reason) < 300


@pytest.mark.parametrize(("is_sent", "outcome"), [(True, "unknown"), (False, "not_sent")])
def test_without_an_answer_it_matters_whether_a_byte_was_sent(is_sent: bool, outcome: str) -> None:
    table, _ = started(connected(), "c1")
    item = posted("call:c1", None, reason="connection reset", is_sent=is_sent)
    _, out = calls.on_posted(table, item)
    assert outcomes(out) == [("c1", outcome)]
    assert one(ToolEnded, out).reason == "connection reset"


@pytest.mark.parametrize("id_", ["call:c9", "cancel:c1", "init:s:1", "c1"])
def test_the_answer_to_another_post_ends_no_call(id_: str) -> None:
    table, _ = started(connected(), "c1")
    assert calls.on_posted(table, posted(id_, 500)) == (table, ())


# --- lost streams -----------------------------------------------------------------------------


@pytest.mark.parametrize("retry_in", [0.0, 5.0, None])
def test_calls_that_were_sent_to_a_lost_server_have_an_unknown_outcome(
    retry_in: float | None,
) -> None:
    table, _ = calls.on_session_ready(connected(), a_route("other"))
    table, _ = started(table, "c1", "c2")
    table, _ = started(table, "c3", server="other")
    table, out = call_losses.on_stream_lost(table, lost(retry_in))
    assert outcomes(out) == [("c1", "unknown"), ("c2", "unknown")]
    assert only(ToolEnded, out)[0].reason == (
        "the connection to 's' was lost before the answer: it went away"
    )
    assert only(StopTimer, out) == stops("c1") + stops("c2")
    assert list(table.open) == ["c3"]
    assert posts(out) == []


def test_calls_that_wait_go_out_when_the_server_is_back() -> None:
    table, _ = started(connected("seed"), "c1", "c2", "c3")
    table, out = call_losses.on_stream_lost(table, lost(1))
    assert outcomes(out) == [("c1", "unknown")]
    table, out = started(table, "c4")
    assert posts(out) == []
    table, out = calls.on_session_ready(table, a_route())
    assert posts(out) == ["call:c2", "call:c3", "call:c4"]


def test_calls_that_wait_for_a_server_that_is_gone_were_not_sent() -> None:
    table, _ = started(connected("seed"), "c1", "c2", "c3")
    table, out = call_losses.on_stream_lost(table, lost(None))
    assert outcomes(out) == [("c1", "unknown"), ("c2", "not_sent"), ("c3", "not_sent")]
    assert only(ToolEnded, out)[1].reason == "'s' is gone: it went away"
    assert table.open == {}


def test_the_loss_of_a_server_without_calls_is_quiet() -> None:
    assert call_losses.on_stream_lost(connected(), lost(1))[1] == ()
    assert call_losses.on_stream_lost(Calls(PLAN), lost(None))[1] == ()


# --- sending again ----------------------------------------------------------------------------

READ = {"readOnlyHint": True}
IDEMPOTENT = {"idempotentHint": True}


def with_hints(hints: Json, *ids: str, plan: Plan = PLAN, dialect: Any = "sse") -> Calls:
    table = connected(dialect, plan)
    for id_ in ids:
        table, _ = calls.start(table, id_, a_tool(annotations=hints), {"n": id_})
    return table


@pytest.mark.parametrize("hints", [READ, IDEMPOTENT, {**READ, "destructiveHint": True}])
def test_a_lost_call_that_does_no_harm_is_sent_again_under_a_new_id(hints: Json) -> None:
    table, out = call_losses.on_stream_lost(with_hints(hints, "c1"), lost(1))
    reason = "the connection to 's' was lost before the answer: it went away"
    assert out == (
        ToolRepeated(call="c1", server="s", tool="add", reason=reason),
        deadline("c1"),
    )
    table, out = calls.on_session_ready(table, a_route())
    post = one(Post, out)
    assert post.id == post.message["id"] == "call:c1~2"
    assert post.message["params"]["_meta"] == {"progressToken": "call:c1~2"}
    table, out = calls.on_reply(table, reply("call:c1~2"))
    assert outcomes(out) == [("c1", "answered")]
    assert only(StopTimer, out) == stops("c1")


@pytest.mark.parametrize(
    ("hints", "wish", "is_repeated"),
    [
        ({}, "safe", False),
        ({"readOnlyHint": "true"}, "safe", False),
        ({"readOnlyHint": False}, "safe", False),
        (READ, "never", False),
        ({}, "always", True),
        (READ, "always", True),
    ],
)
def test_what_is_sent_again_is_for_the_tool_and_the_user_to_say(
    hints: Json, wish: Any, is_repeated: bool
) -> None:
    table = with_hints(hints, "c1", plan=Plan(repeat_calls=wish))
    table, out = call_losses.on_stream_lost(table, lost(1))
    assert (outcomes(out) == []) is is_repeated
    assert ("c1" in table.open) is is_repeated


def test_a_call_is_sent_only_so_often() -> None:
    table = with_hints(READ, "c1", plan=Plan(max_call_sends=2))
    table, _ = call_losses.on_stream_lost(table, lost(1))
    table, out = calls.on_session_ready(table, a_route())
    assert posts(out) == ["call:c1~2"]
    table, out = call_losses.on_stream_lost(table, lost(1))
    assert outcomes(out) == [("c1", "unknown")]


def test_a_call_whose_server_is_gone_for_good_is_not_sent_again() -> None:
    table, out = call_losses.on_stream_lost(with_hints(READ, "c1"), lost(None))
    assert outcomes(out) == [("c1", "unknown")]
    assert table.open == {}


@pytest.mark.parametrize(
    "late",
    [
        posted("call:c1", 500),
        posted("call:c1", 404),
        posted("call:c1", None, reason="connection reset"),
        posted("call:c1", None, reason="connection reset", is_sent=False),
    ],
)
def test_what_became_of_the_lost_message_no_longer_matters(late: PostAnswered) -> None:
    waiting, _ = call_losses.on_stream_lost(with_hints(READ, "c1"), lost(1))
    assert calls.on_posted(waiting, late) == (waiting, ())
    again, _ = calls.on_session_ready(waiting, a_route())
    assert calls.on_posted(again, late) == (again, ())


def test_an_answer_to_the_lost_message_is_none_to_the_new_one() -> None:
    table, _ = call_losses.on_stream_lost(with_hints(READ, "c1"), lost(1))
    table, _ = calls.on_session_ready(table, a_route())
    after, out = calls.on_reply(table, reply("call:c1"))
    assert after == table
    assert kinds(out) == ["Problem"]
    report = ProgressReported(server="s", id="call:c1", progress=1)
    assert calls.on_progress(table, report) == (table, ())


@pytest.mark.parametrize("end", ["timer", "abandon", "loss"])
def test_a_call_that_was_sent_once_is_unknown_however_its_second_wait_ends(end: str) -> None:
    table, _ = call_losses.on_stream_lost(with_hints(READ, "c1"), lost(1))
    match end:
        case "timer":
            table, out = calls.on_timer(table, "call:c1")
        case "abandon":
            table, out = calls.abandon(table, "c1", "why")
        case _:
            table, out = call_losses.on_stream_lost(table, lost(None))
    assert outcomes(out) == [("c1", "unknown")]
    assert table.open == {}


def test_giving_up_a_call_that_was_sent_again_names_its_latest_message() -> None:
    table, _ = call_losses.on_stream_lost(with_hints(READ, "c1"), lost(1))
    table, _ = calls.on_session_ready(table, a_route())
    _, out = calls.abandon(table, "c1", "why")
    assert one(Post, out).message["params"]["requestId"] == "call:c1~2"


def test_seed_calls_that_are_sent_again_keep_their_turn() -> None:
    table = with_hints(READ, "c1", "c2", dialect="seed")
    table, _ = call_losses.on_stream_lost(table, lost(1))
    table, out = calls.on_session_ready(table, a_route(dialect="seed"))
    assert posts(out) == ["call:c1~2"]
    table, out = calls.on_reply(table, reply("call:c1~2"))
    assert posts(out) == ["call:c2"]


# --- a run that goes on in another process ------------------------------------------------------


def limit(id_: str) -> StartTimer:
    return StartTimer(id=f"call:{id_}:max", seconds=600)


def test_in_a_resumed_run_calls_that_were_sent_are_lost_and_others_wait_under_new_timers() -> None:
    table = with_hints({}, "c1", "c2", dialect="seed")
    table, out = call_losses.on_resumed(table, ["s"])
    assert outcomes(out) == [("c1", "unknown")]
    assert one(ToolEnded, out).reason == "the run was cut off before the answer came"
    assert out[-2:] == (deadline("c2"), limit("c2"))
    assert posts(out) == []
    assert posts(calls.on_session_ready(table, a_route())[1]) == ["call:c2"]


def test_in_a_resumed_run_calls_that_do_no_harm_are_sent_again() -> None:
    table, out = call_losses.on_resumed(with_hints(READ, "c1"), ["s"])
    assert kinds(out) == ["ToolRepeated", "StartTimer", "StartTimer"]
    assert posts(calls.on_session_ready(table, a_route())[1]) == ["call:c1~2"]


def test_calls_of_a_server_that_is_no_part_of_the_resumed_run_end() -> None:
    table = with_hints(READ, "c1", "c2", dialect="seed")
    table, out = call_losses.on_resumed(table, ["other"])
    assert outcomes(out) == [("c1", "unknown"), ("c2", "not_sent")]
    assert only(ToolEnded, out)[1].reason == "'s' is not part of the resumed run"
    assert table.open == {}


def test_a_server_that_was_gone_gets_another_chance_in_a_resumed_run() -> None:
    table, _ = call_losses.on_stream_lost(connected(), lost(None))
    table, _ = call_losses.on_resumed(table, ["s"])
    table, out = started(table, "c1")
    assert outcomes(out) == []
    assert posts(calls.on_session_ready(table, a_route())[1]) == ["call:c1"]


# --- results ----------------------------------------------------------------------------------

ROUND: Json = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def of_result(result: Json, output_schema: Json | None = None) -> tuple[Passing, ...]:
    table, _ = calls.start(
        connected(), "c1", replace(a_tool(server="s"), output_schema=output_schema), {}
    )
    return calls.on_reply(table, reply("call:c1", result))[1]


@pytest.mark.parametrize("content", [None, "5", [5], {}])
def test_a_result_of_which_nothing_can_be_made_is_told_as_that(content: Any) -> None:
    end = one(ToolEnded, of_result({"content": content}))
    assert (end.outcome, end.is_error) == ("answered", True)
    assert end.reason.startswith("malformed result: found ")


def test_structured_content_that_keeps_the_promise_of_its_tool_is_handed_on() -> None:
    out = of_result({**OK, "structuredContent": {"n": 5}}, ROUND)
    assert one(ToolEnded, out).structured == {"n": 5}
    assert only(Problem, out) == []


@pytest.mark.parametrize("more", [{}, {"structuredContent": {"n": "5"}}])
def test_structured_content_that_breaks_it_is_dropped_and_told_but_not_the_rest(
    more: Json,
) -> None:
    out = of_result({**OK, **more}, ROUND)
    end = one(ToolEnded, out)
    assert (end.structured, end.is_error, end.content) == (None, False, (text_block("5"),))
    assert "the structured content of 'add' is dropped" in one(Problem, out).detail


def test_a_tool_that_failed_owes_no_structured_content() -> None:
    out = of_result({**OK, "isError": True}, ROUND)
    assert (one(ToolEnded, out).is_error, only(Problem, out)) == (True, [])


# --- over HTTP --------------------------------------------------------------------------------


def test_over_http_the_answer_comes_with_the_message_and_its_status_ends_nothing() -> None:
    table, _ = started(connected(dialect="http"), "c1")
    assert calls.on_posted(table, posted("call:c1", 500)) == (table, ())


def test_a_message_that_never_leaves_is_sent_again_so_often_and_no_more() -> None:
    plan = replace(PLAN, max_call_sends=2)
    table, _ = started(connected(dialect="http", plan=plan), "c1")
    gone = RequestLost(server="s", id="call:c1", reason="refused", is_sent=False)
    table, out = call_losses.on_request_lost(table, gone)
    assert only(ToolEnded, out) == []
    table, out = calls.on_session_ready(table, a_route(dialect="http"))
    again = one(Post, out)
    table, out = call_losses.on_request_lost(table, replace(gone, id=again.id))
    assert (one(ToolEnded, out).outcome, one(ToolEnded, out).reason) == ("not_sent", "refused")
    assert table.open == {}
