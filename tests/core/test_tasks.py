"""Calls that their server makes a task of: asked for until it is done, in two forms."""

from typing import Any

import pytest

from pipeline.core import call_losses, calls, rounds
from pipeline.core.call_table import Calls, Move
from pipeline.core.commands import Cut, Passing, Post, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    ProgressReported,
    ReplyReceived,
    RequestLost,
    Route,
    ToolEnded,
    ToolProgress,
)
from pipeline.core.plan import Plan
from tests.support.play import MESSAGES, a_route, a_tool, kinds, lost, one, only, text_block

MODERN = Route(server="s", url=MESSAGES, dialect="http", protocol="2026-07-28")
LEGACY = Route(server="s", url=MESSAGES, dialect="http", protocol="2025-11-25")
OFFER: Json = {"tasks": {"requests": {"tools": {"call": {}}}, "cancel": {}}}
OK: Json = {"content": [text_block("5")]}
ELICIT: Json = {"method": "elicitation/create", "params": {}}
ACCEPT: Json = {"action": "accept"}
MADE: Json = {"resultType": "task", "taskId": "t1", "status": "working", "pollIntervalMs": 500}
MADE_THEN: Json = {"task": {"taskId": "t1", "status": "working", "pollInterval": 500}}
POLL = "call:c1:poll"


def started(route: Route = MODERN, *, tasks: bool = True, **changes: Any) -> Calls:
    table = calls.on_offers(Calls(Plan(tasks=tasks, **changes)), "s", OFFER)
    table, _ = calls.on_session_ready(table, route)
    support = "" if route is MODERN else "required"
    return calls.start(table, "c1", a_tool(task_support=support), {})[0]


def answer(table: Calls, result: Json | None = None, **error: Any) -> Move:
    """The server answers the latest message."""
    wire_id = table.open["c1"].wire_id
    return calls.on_reply(table, ReplyReceived(server="s", id=wire_id, result=result, **error))


def polled(table: Calls, *answers: Json) -> Move:
    """The server is asked and answers, again and again."""
    out: Any = ()
    for each in answers:
        table, _ = calls.on_timer(table, POLL)
        table, out = answer(table, each)
    return table, out


def status(status_: str, **more: Any) -> Json:
    return {"resultType": "complete", "taskId": "t1", "status": status_, **more}


def made(**changes: Any) -> Calls:
    return answer(started(**changes), MADE)[0]


def made_then(**changes: Any) -> Calls:
    return answer(started(LEGACY, **changes), MADE_THEN)[0]


def sent(out: tuple[Passing, ...]) -> tuple[str, Json]:
    """The method and parameters of the one message, without what each has."""
    message = one(Post, out).message
    return message["method"], {key: v for key, v in message["params"].items() if key != "_meta"}


# --- the extension of 2026-07-28 ----------------------------------------------------------------


def test_a_task_is_asked_for_after_a_pause_in_which_no_deadline_runs() -> None:
    table, out = answer(started(), MADE)
    assert out == (StopTimer(id="call:c1"), StartTimer(id=POLL, seconds=0.5))
    table, out = calls.on_timer(table, POLL)
    assert kinds(out) == ["StartTimer", "Post"]
    assert sent(out) == ("tasks/get", {"taskId": "t1"})
    assert one(Post, out).id == "call:c1~2"
    assert one(Post, out).headers["Mcp-Name"] == "t1"


def test_a_task_that_is_done_is_the_end_of_its_call() -> None:
    table, _ = polled(made(), status("working"), status("working", pollIntervalMs=2000))
    table, out = polled(table, status("completed", result=OK))
    ended = one(ToolEnded, out)
    assert (ended.outcome, ended.is_error, ended.content) == ("answered", False, (text_block("5"),))
    assert table.open == {}


def test_the_pause_is_the_servers_within_bounds() -> None:
    pauses = [
        one(StartTimer, polled(made(), status("working", pollIntervalMs=value))[1]).seconds
        for value in (2000, 0, 10**9, "soon", True)
    ]
    assert pauses == [2.0, 0.05, 60.0, 0.5, 0.5], "and where it says nothing, the one of before"
    assert one(StartTimer, answer(started(), {**MADE, "pollIntervalMs": None})[1]).seconds == 1.0


@pytest.mark.parametrize(
    ("answered", "words"),
    [
        (status("failed", error={"code": -32603, "message": "rate"}), "the task failed: rate"),
        (status("failed", statusMessage="no luck"), "the task failed: no luck"),
        (status("failed"), "the task failed"),
        (status("cancelled", statusMessage="too old"), "the server cancelled the task: too old"),
        (status("cancelled"), "the server cancelled the task"),
        (status("completed"), "found NoneType as `result`, expected an object"),
        (status("melted"), "found 'melted' as `status`"),
        ({"resultType": "complete"}, "found 'None' as `status`"),
    ],
)
def test_a_task_that_comes_to_nothing_is_an_error_of_its_call(answered: Json, words: str) -> None:
    ended = one(ToolEnded, polled(made(), answered)[1])
    assert (ended.outcome, ended.is_error) == ("answered", True)
    assert words in ended.reason


@pytest.mark.parametrize("id_", [None, "", 5])
def test_a_task_without_a_name_is_malformed_and_no_success(id_: Any) -> None:
    ended = one(ToolEnded, answer(started(), {**MADE, "taskId": id_})[1])
    assert (ended.is_error, "malformed task" in ended.reason) == (True, True)


def test_a_task_that_nobody_agreed_to_is_no_result() -> None:
    ended = one(ToolEnded, answer(started(tasks=False), MADE)[1])
    assert "'task', which was not agreed on" in ended.reason


def test_a_task_may_come_of_a_round() -> None:
    table, _ = answer(started(), {"resultType": "input_required", "requestState": "S"})
    _, out = answer(table, MADE)
    assert StartTimer(id=POLL, seconds=0.5) in out


# --- what a task wants ------------------------------------------------------------------------


def test_what_a_task_wants_is_given_to_it_and_it_is_asked_for_again() -> None:
    table, out = polled(made(), status("input_required", inputRequests={"a": ELICIT}))
    assert [(want.waiter, want.key) for want in table.wants] == [("c1", "a")]
    assert out == (StopTimer(id="call:c1"),)
    table, out = rounds.on_input(table, "c1", "a", ACCEPT)
    update = {"taskId": "t1", "inputResponses": {"a": ACCEPT}}
    assert sent(out) == ("tasks/update", update)
    table, out = answer(table, {"resultType": "complete"})
    assert StartTimer(id=POLL, seconds=0.5) in out
    assert sent(calls.on_timer(table, POLL)[1]) == ("tasks/get", {"taskId": "t1"})


def test_what_it_got_is_not_asked_for_again_and_what_is_new_is() -> None:
    table, _ = polled(made(), status("input_required", inputRequests={"a": ELICIT}))
    table, _ = rounds.on_input(table, "c1", "a", ACCEPT)
    table, _ = answer(table, {})
    before = len(table.wants)
    table, out = polled(table, status("input_required", inputRequests={"a": ELICIT}))
    assert (len(table.wants), one(StartTimer, out).id) == (before, POLL), "it has not noticed yet"
    both = status("input_required", inputRequests={"a": ELICIT, "b": ELICIT})
    table, _ = polled(table, both)
    assert [want.key for want in table.wants[before:]] == ["b"]
    _, out = rounds.on_input(table, "c1", "b", ACCEPT)
    assert sent(out)[1]["inputResponses"] == {"b": ACCEPT}


@pytest.mark.parametrize("requests", [None, {}, "a"])
def test_a_task_that_wants_nothing_is_just_asked_for_again(requests: Any) -> None:
    _, out = polled(made(), status("input_required", inputRequests=requests))
    assert one(StartTimer, out).id == POLL


def test_a_task_that_does_not_get_what_it_wants_is_cancelled() -> None:
    table, _ = polled(made(), status("input_required", inputRequests={"a": ELICIT}))
    _, out = rounds.on_input(table, "c1", "a", None, "nobody is there")
    assert one(ToolEnded, out).is_error
    assert sent(out) == ("tasks/cancel", {"taskId": "t1"})
    assert one(Post, out).id == "cancel:c1"


def test_a_task_that_wants_too_much_is_cancelled_as_well() -> None:
    wanted = status("input_required", inputRequests={str(n): ELICIT for n in range(17)})
    _, out = polled(made(), wanted)
    assert "17 things" in one(ToolEnded, out).reason
    assert sent(out)[0] == "tasks/cancel"


# --- the form of 2025-11-25 ---------------------------------------------------------------------


def test_a_tool_that_wants_it_is_called_as_a_task_where_the_server_takes_that() -> None:
    def task_of(capabilities: Json, support: str, route: Route = LEGACY) -> Any:
        table = calls.on_offers(Calls(Plan(tasks=True)), "s", capabilities)
        table, _ = calls.on_session_ready(table, route)
        out = calls.start(table, "c1", a_tool(task_support=support), {})[1]
        return one(Post, out).message["params"].get("task")

    assert task_of(OFFER, "required") == {}
    assert task_of(OFFER, "optional") is None
    assert task_of({"tasks": {}}, "required") is None
    assert task_of(OFFER, "required", MODERN) is None, "there the server decides"


def test_its_result_is_asked_for_once_it_is_done() -> None:
    table, out = answer(started(LEGACY), MADE_THEN)
    assert StartTimer(id=POLL, seconds=0.5) in out
    table, out = polled(table, {"taskId": "t1", "status": "completed"})
    assert sent(out) == ("tasks/result", {"taskId": "t1"})
    assert one(ToolEnded, answer(table, OK)[1]).content == (text_block("5"),)


@pytest.mark.parametrize("before", ["failed", "input_required"])
def test_the_result_is_where_a_failure_and_the_servers_questions_come_from(before: str) -> None:
    table, out = polled(made_then(), {"status": before})
    assert sent(out)[0] == "tasks/result"
    _, out = answer(table, error="it broke", code=-32000)
    ended = one(ToolEnded, out)
    assert (ended.outcome, ended.is_error, ended.reason) == ("answered", True, "it broke")


def test_a_result_that_waits_for_its_task_is_not_given_up_for_its_silence() -> None:
    table, _ = polled(made_then(), {"status": "input_required"})
    table, out = calls.on_timer(table, "call:c1")
    assert out == (StartTimer(id="call:c1", seconds=60),)
    table, out = calls.on_timer(table, "call:c1:max")
    assert one(ToolEnded, out).outcome == "unknown"
    assert [each for each in out if isinstance(each, Cut)] == [Cut(server="s", id="call:c1~3")]
    assert sent(out)[0] == "tasks/cancel"


def test_a_result_that_only_looks_like_a_task_is_one_where_none_was_asked_for() -> None:
    table = calls.on_session_ready(Calls(Plan(tasks=True)), LEGACY)[0]
    table, _ = calls.start(table, "c1", a_tool(), {})
    assert one(ToolEnded, answer(table, {**OK, **MADE_THEN})[1]).content == (text_block("5"),)


# --- progress ---------------------------------------------------------------------------------


def test_progress_is_told_under_the_token_of_the_call_for_as_long_as_the_task_lives() -> None:
    table = made()
    report = ProgressReported(server="s", id="call:c1", progress=1)
    assert calls.on_progress(table, report)[1] == (ToolProgress(call="c1", progress=1),)
    table, _ = calls.on_timer(table, POLL)
    _, out = calls.on_progress(table, report)
    assert kinds(out) == ["ToolProgress", "StartTimer"]
    for other in ("call:c1~9", "call:c2", "call:c1:poll"):
        stray = ProgressReported(server="s", id=other, progress=1)
        assert calls.on_progress(table, stray) == (table, ())


# --- trouble ----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [{"code": -32603}, {"code": None}])
def test_trouble_of_the_moment_is_no_end(error: Json) -> None:
    table, _ = calls.on_timer(made(), POLL)
    _, out = answer(table, error="busy", **error)
    assert one(StartTimer, out).id == POLL


@pytest.mark.parametrize("code", [-32602, -32601])
def test_a_task_that_is_not_known_any_more_has_an_unknown_outcome(code: int) -> None:
    table, _ = calls.on_timer(made(), POLL)
    ended = one(ToolEnded, answer(table, error="Task not found", code=code)[1])
    assert ended.outcome == "unknown"
    assert ended.reason == "its task cannot be asked for any more: Task not found"


def test_an_answer_that_is_lost_is_asked_for_again_after_the_pause() -> None:
    table, _ = calls.on_timer(made(), POLL)
    gone = RequestLost(server="s", id="call:c1~2", reason="why")
    table, out = call_losses.on_request_lost(table, gone)
    assert out == (StopTimer(id="call:c1"), StartTimer(id=POLL, seconds=0.5))
    assert one(Post, calls.on_timer(table, POLL)[1]).id == "call:c1~3"


def test_a_task_outlives_its_connection() -> None:
    table, _ = calls.on_timer(made(), POLL)
    table, out = call_losses.on_stream_lost(table, lost())
    assert out == (StopTimer(id="call:c1"), StartTimer(id=POLL, seconds=0.5))
    table, out = calls.on_timer(table, POLL)
    assert out == (StartTimer(id="call:c1", seconds=60),), "its server has its time to come back"
    _, out = calls.on_session_ready(table, MODERN)
    assert sent(out) == ("tasks/get", {"taskId": "t1"})


def test_a_task_whose_server_is_gone_for_good_has_an_unknown_outcome() -> None:
    ended = one(ToolEnded, call_losses.on_stream_lost(made(), lost(None))[1])
    assert ended.outcome == "unknown"


def test_a_task_is_asked_for_by_the_process_that_goes_on() -> None:
    table, out = call_losses.on_resumed(made(), ["s"])
    assert [timer.id for timer in only(StartTimer, out)] == [POLL, "call:c1:max"]
    table, _ = calls.on_timer(table, POLL)
    _, out = calls.on_session_ready(table, MODERN)
    assert sent(out) == ("tasks/get", {"taskId": "t1"})


@pytest.mark.parametrize("is_posted", [True, False])
def test_a_task_that_nobody_waits_for_is_cancelled_by_name(is_posted: bool) -> None:
    table = calls.on_timer(made(), POLL)[0] if is_posted else made()
    _, out = calls.abandon(table, "c1", "why")
    assert one(ToolEnded, out).outcome == "unknown"
    assert sent(out) == ("tasks/cancel", {"taskId": "t1"})
    assert len(only(Cut, out)) == is_posted
    assert (StopTimer(id=POLL) in out) is not is_posted


def test_a_task_of_a_server_that_is_not_there_is_only_forgotten() -> None:
    table, _ = call_losses.on_stream_lost(made(), lost())
    _, out = calls.abandon(table, "c1", "why")
    assert only(Post, out) == []


def test_a_pause_that_nobody_waits_for_is_passed_over() -> None:
    table = started()
    assert calls.on_timer(table, POLL) == (table, ())
    assert calls.on_timer(table, "call:c9:poll") == (table, ())


def test_over_other_transports_nothing_is_cut() -> None:
    route = a_route(dialect="stdio")
    table = calls.on_offers(Calls(Plan(tasks=True)), "s", OFFER)
    table, _ = calls.on_session_ready(table, route)
    table, _ = calls.start(table, "c1", a_tool(task_support="required"), {})
    table, _ = answer(table, MADE_THEN)
    table, _ = calls.on_timer(table, POLL)
    assert only(Cut, calls.abandon(table, "c1", "why")[1]) == []
