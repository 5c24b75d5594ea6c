"""When a run is over, and with which exit status."""

from typing import Any

import pytest

from pipeline.core.commands import CallModel, Passing, ReadPrompt
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    InputEnded,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    RequestEnded,
    RequestSubmitted,
    RunEnded,
    RunResumed,
    RunStarted,
    ServersSettled,
    SessionReady,
    Stop,
    StreamLost,
    ToolEnded,
)
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.run import initial, step
from tests.support.play import URL, a_plan, a_route, lost, one, only, play

IDLE = ReadPrompt()
SETTLED = ServersSettled(ready=("s",))
ASK = PromptSubmitted(text="hi")


def run(*items: Passing, plan: Plan | None = None, **changes: Any) -> list[Passing]:
    return play(step, initial(plan or a_plan("s", **changes)), *items)[1]


def code(*items: Passing, **changes: Any) -> int:
    return one(RunEnded, run(*items, **changes)).code


def reason(*items: Passing, **changes: Any) -> str:
    return one(RunEnded, run(*items, **changes)).reason


def done(stop: Stop = "end_turn") -> AnswerCompleted:
    return AnswerCompleted(text="A", turns=1, stop=stop)


def tool_ended(outcome: Any = "answered", *, is_error: bool = False) -> ToolEnded:
    return ToolEnded(
        call="c1", server="s", tool="add", outcome=outcome, is_error=is_error, reason="why"
    )


# --- the end ----------------------------------------------------------------------------------


def test_a_run_ends_where_nobody_will_answer_the_wish_for_a_prompt() -> None:
    out = run(SETTLED, ASK, InputEnded(), done(), IDLE)
    assert out == [SETTLED, ASK, InputEnded(), done(), RunEnded(code=0)]


def test_a_run_that_waits_for_a_prompt_ends_with_the_input() -> None:
    assert run(SETTLED, IDLE, InputEnded()) == [SETTLED, IDLE, InputEnded(), RunEnded(code=0)]


def test_a_run_does_not_end_in_mid_answer() -> None:
    assert only(RunEnded, run(SETTLED, IDLE, ASK, InputEnded())) == []
    assert only(RunEnded, run(SETTLED, IDLE, CallSubmitted(tool="x"), InputEnded())) == []


def test_input_that_ends_before_the_servers_have_settled_waits_for_them() -> None:
    assert only(RunEnded, run(RunStarted(), InputEnded())) == []
    assert code(RunStarted(), InputEnded(), SETTLED, IDLE) == 0


@pytest.mark.parametrize("item", [Problem(where="x", detail="y"), CallModel(call="m", messages=())])
def test_all_else_passes_through(item: Passing) -> None:
    state = initial(a_plan("s"))
    assert step(state, item) == (state, (item,))


def test_nothing_but_inputs_comes_out_after_the_end() -> None:
    ended = [SETTLED, IDLE, InputEnded()]
    late: list[Passing] = [
        lost(None), PromptCancelled(), InputEnded(), ASK, done("model_failed"), IDLE, SETTLED,
        CallModel(call="m", messages=()), Problem(where="x", detail="y"), tool_ended(),
    ]  # fmt: skip
    out = run(*ended, *late)
    assert out == [*ended, RunEnded(code=0), lost(None), PromptCancelled(), InputEnded(), ASK]


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stop", "status"),
    [
        ("end_turn", 0),
        ("cancelled", 0),
        ("refusal", 1),
        ("model_failed", 7),
        ("max_tokens", 8),
        ("max_turns", 8),
        ("max_budget", 8),
        ("context_full", 8),
    ],
)
def test_how_an_answer_ended_is_the_status(stop: Stop, status: int) -> None:
    items = [SETTLED, ASK, InputEnded(), done(stop), IDLE]
    assert code(*items) == status
    assert reason(*items) == (f"the answer ended by {stop}" if status else "")


def test_the_first_failure_counts() -> None:
    items = [SETTLED, done("model_failed"), done("max_turns"), done(), InputEnded(), IDLE]
    assert (code(*items), reason(*items)) == (7, "the answer ended by model_failed")


def test_a_person_at_the_terminal_has_seen_the_failures_and_the_status_is_0() -> None:
    items = [SETTLED, done("model_failed"), IDLE, InputEnded()]
    assert (code(*items, interactive=True), reason(*items, interactive=True)) == (0, "")


# --- servers ----------------------------------------------------------------------------------


def test_a_run_without_any_server_needs_none() -> None:
    out = run(ServersSettled(ready=()), ASK, InputEnded(), done(), IDLE, plan=Plan())
    assert one(RunEnded, out).code == 0


@pytest.mark.parametrize("interactive", [True, False])
def test_a_run_that_reached_no_server_says_which_were_tried_and_ends(interactive: bool) -> None:
    items: list[Passing] = [
        StreamLost(server="a", reason="connection refused"),
        ServersSettled(ready=(), failed=("a",), starting=("b",)),
    ]
    plan = a_plan("a", "b", interactive=interactive)
    end = one(RunEnded, run(*items, plan=plan))
    assert end == RunEnded(
        code=4,
        reason=(
            f"no server could be used: a at {URL}: connection refused; "
            f"b at {URL}: no answer in time (--start-timeout); check --server or MCP_SERVER_URL"
        ),
    )


@pytest.mark.parametrize("interactive", [True, False])
@pytest.mark.parametrize("status", [401, 403])
def test_a_run_that_no_server_lets_in_has_its_own_status(status: int, interactive: bool) -> None:
    items: list[Passing] = [
        StreamLost(server="s", reason=f"HTTP {status}", status=status),
        ServersSettled(ready=(), failed=("s",)),
    ]
    assert code(*items, interactive=interactive) == 3
    assert reason(*items, interactive=interactive).endswith("; check MCP_API_KEY")


def test_refused_by_one_and_unreachable_by_another_is_no_connection() -> None:
    items: list[Passing] = [
        StreamLost(server="a", reason="HTTP 401", status=401),
        StreamLost(server="b", reason="refused"),
        ServersSettled(ready=(), failed=("a", "b")),
    ]
    assert one(RunEnded, run(*items, plan=a_plan("a", "b"))).code == 4


def test_one_server_that_is_ready_is_enough_to_go_on() -> None:
    settled = ServersSettled(ready=("a",), failed=("b",))
    out = run(lost(None, server="b"), settled, IDLE, plan=a_plan("a", "b"))
    assert only(RunEnded, out) == []


def required(name: str, **changes: Any) -> ServerPlan:
    return ServerPlan(name=name, url="" if "program" in changes else URL, required=True, **changes)


@pytest.mark.parametrize("interactive", [True, False])
@pytest.mark.parametrize("goal", ["chat", "tools"])
def test_a_run_ends_where_a_required_server_did_not_start(goal: Any, interactive: bool) -> None:
    servers = (required("a"), required("b", program="npx"), *a_plan("c").servers)
    plan = Plan(servers=servers, interactive=interactive, goal=goal)
    settled = ServersSettled(ready=("c",), failed=("a",), starting=("b",))
    gone = lost(None, server="a", reason="HTTP 404", status=404)
    assert run(gone, settled, IDLE, plan=plan) == [
        gone,
        settled,
        RunEnded(
            code=4,
            reason=(
                f"a required server did not start: a at {URL}: HTTP 404; "
                "b at npx: no answer in time (--start-timeout); check --server or MCP_SERVER_URL"
            ),
        ),
    ]


def test_a_required_server_that_lets_nobody_in_has_its_own_status() -> None:
    plan = Plan(servers=(required("a"), *a_plan("b", "c").servers))
    losses = [lost(None, server="a", status=401), lost(None, server="b", reason="refused")]
    out = run(*losses, ServersSettled(ready=("c",), failed=("a", "b")), plan=plan)
    assert one(RunEnded, out).code == 3


def test_a_program_that_did_not_start_has_a_hint_of_its_own() -> None:
    plan = Plan(servers=(required("a", program="npx"), *a_plan("b").servers))
    out = run(lost(None, server="a"), ServersSettled(ready=("b",), failed=("a",)), plan=plan)
    assert "check the command in the configuration" in one(RunEnded, out).reason


def test_a_required_server_that_is_ready_or_is_lost_later_ends_no_run() -> None:
    plan = Plan(servers=(required("a"), *a_plan("b").servers))
    settled = ServersSettled(ready=("a",), failed=("b",))
    assert only(RunEnded, run(settled, IDLE, lost(None, server="a"), plan=plan)) == []


def test_at_a_terminal_no_failed_answer_hides_that_the_last_server_was_lost() -> None:
    items = [SETTLED, done("refusal"), IDLE, lost(None), InputEnded()]
    assert code(*items, interactive=True) == 4


LATE_LOSS = [SETTLED, ASK, lost(None, reason="HTTP 410"), done(), InputEnded(), IDLE]


@pytest.mark.parametrize("interactive", [True, False])
def test_losing_the_last_server_lets_the_answer_end_and_is_the_status(interactive: bool) -> None:
    out = run(*LATE_LOSS, interactive=interactive)
    assert one(RunEnded, out).code == 4
    assert "HTTP 410" in one(RunEnded, out).reason
    assert out.index(done()) < out.index(one(RunEnded, out))


def test_losing_one_of_two_servers_is_no_failure_of_the_run() -> None:
    items = [SETTLED, lost(None), InputEnded(), IDLE]
    assert one(RunEnded, run(*items, plan=a_plan("s", "t"))).code == 0


def test_a_loss_that_somebody_tries_to_mend_is_no_failure_of_the_run() -> None:
    assert code(SETTLED, lost(5.0), InputEnded(), IDLE) == 0


def test_a_server_that_came_back_counts_as_there() -> None:
    back = SessionReady(server="s", route=a_route())
    items = [SETTLED, lost(None), back, lost(None, server="t"), InputEnded(), IDLE]
    assert one(RunEnded, run(*items, plan=a_plan("s", "t"))).code == 0


# --- what a run is for ------------------------------------------------------------------------


def test_a_run_for_the_list_of_tools_ends_when_the_servers_have_settled() -> None:
    out = run(SETTLED, goal="tools")
    assert out == [SETTLED, RunEnded(code=0)]


CALL = [SETTLED, CallSubmitted(tool="add"), InputEnded()]


@pytest.mark.parametrize(
    ("ended", "status", "words"),
    [
        (tool_ended(), 0, ""),
        (tool_ended(is_error=True), 5, "the tool add answered with an error"),
        (tool_ended("not_sent"), 1, "add: not_sent: why"),
        (tool_ended("unknown"), 1, "add: unknown: why"),
    ],
)
def test_a_run_for_one_call_has_the_status_of_that_call(
    ended: ToolEnded, status: int, words: str
) -> None:
    items = [*CALL, ended, IDLE]
    assert (code(*items, goal="call"), reason(*items, goal="call")) == (status, words)


def test_an_error_of_a_tool_may_be_ignored_but_not_a_lost_call() -> None:
    changes: Any = {"goal": "call", "ignore_tool_error": True}
    assert code(*CALL, tool_ended(is_error=True), IDLE, **changes) == 0
    assert code(*CALL, tool_ended("unknown"), IDLE, **changes) == 1


@pytest.mark.parametrize("ended", [tool_ended(is_error=True), tool_ended("unknown")])
def test_in_a_chat_a_failed_call_is_the_models_business(ended: ToolEnded) -> None:
    assert code(SETTLED, ASK, ended, done(), InputEnded(), IDLE) == 0


def test_a_call_that_cannot_be_made_is_a_mistake_of_usage() -> None:
    rejected = CallRejected(tool="mul", reason="no tool is named 'mul'")
    items = [*CALL, rejected, IDLE]
    assert (code(*items, goal="call"), reason(*items, goal="call")) == (2, "no tool is named 'mul'")


# --- interrupted ------------------------------------------------------------------------------

SIGNALS = [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129), ("SIGSTRANGE", 130)]


@pytest.mark.parametrize(("signal", "status"), SIGNALS)
@pytest.mark.parametrize("interactive", [True, False])
@pytest.mark.parametrize("items", [[], [RunStarted()], [SETTLED, IDLE]])
def test_a_signal_while_nothing_is_under_way_ends_the_run(
    items: list[Passing], signal: str, status: int, interactive: bool
) -> None:
    cancel = PromptCancelled(signal=signal)
    out = run(*items, cancel, interactive=interactive)
    assert out[-2:] == [cancel, RunEnded(code=status, reason="interrupted")]


@pytest.mark.parametrize(("signal", "status"), SIGNALS)
def test_a_signal_in_mid_answer_ends_a_run_once_the_answer_is_cancelled(
    signal: str, status: int
) -> None:
    cancel = PromptCancelled(signal=signal)
    out = run(SETTLED, IDLE, ASK, cancel, done("cancelled"), IDLE)
    assert out[-3:] == [cancel, done("cancelled"), RunEnded(code=status, reason="interrupted")]


def test_at_a_terminal_ctrl_c_ends_the_answer_and_not_the_chat() -> None:
    items = [SETTLED, IDLE, ASK, PromptCancelled(), done("cancelled"), IDLE]
    assert only(RunEnded, run(*items, interactive=True)) == []
    assert code(*items, PromptCancelled(), interactive=True) == 130
    assert code(*items, InputEnded(), interactive=True) == 0


@pytest.mark.parametrize(("signal", "status"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_at_a_terminal_the_other_signals_end_the_chat_too(signal: str, status: int) -> None:
    cancel = PromptCancelled(signal=signal)
    items = [SETTLED, IDLE, ASK, cancel, done("cancelled"), IDLE]
    assert code(*items, interactive=True) == status


def test_an_interruption_is_the_status_whatever_failed_before() -> None:
    items = [SETTLED, done("model_failed"), ASK, PromptCancelled(), done("cancelled"), IDLE]
    assert code(*items) == 130


# --- a run that goes on in another process ------------------------------------------------------


def test_a_resumed_run_starts_with_a_clean_status_and_its_own_purpose() -> None:
    failed = [SETTLED, ASK, done("model_failed"), InputEnded(), IDLE]
    resumed = RunResumed(goal="tools", servers=a_plan("s").servers)
    out = run(*failed, resumed, SETTLED)
    assert [end.code for end in only(RunEnded, out)] == [7, 0]
    assert out[-3:] == [resumed, SETTLED, RunEnded(code=0)]


def test_a_resumed_run_is_interactive_if_a_person_is_there_now() -> None:
    resumed = RunResumed(goal="chat", servers=a_plan("s").servers, interactive=True)
    out = run(SETTLED, resumed, SETTLED, ASK, PromptCancelled(), done("cancelled"), IDLE)
    assert only(RunEnded, out) == []


def test_a_resumed_run_that_reaches_no_server_names_those_of_now() -> None:
    resumed = RunResumed(goal="chat", servers=a_plan("t").servers)
    out = run(SETTLED, resumed, ServersSettled(ready=(), failed=("t",)))
    assert one(RunEnded, out).code == 4
    assert "t at " in one(RunEnded, out).reason


@pytest.mark.parametrize(
    ("before", "is_ended_at_once"),
    [
        ([], True),
        ([SETTLED, IDLE], True),
        ([SETTLED, IDLE, ASK], False),
        ([SETTLED, IDLE, ASK, done(), IDLE], True),
        ([SETTLED, ASK, InputEnded(), done(), IDLE], True),
    ],
)
def test_ctrl_c_right_after_a_resume_first_ends_what_was_under_way(
    before: list[Passing], is_ended_at_once: bool
) -> None:
    resumed = RunResumed(goal="chat", servers=a_plan("s").servers)
    late = [done("cancelled"), IDLE]
    out = play(step, initial(a_plan("s")), *before, resumed, PromptCancelled())[1]
    assert isinstance(out[-1], RunEnded) is is_ended_at_once
    if not is_ended_at_once:
        out = run(*before, resumed, PromptCancelled(), *late)
        assert out[-2:] == [done("cancelled"), RunEnded(code=130, reason="interrupted")]


def test_a_prompt_that_is_answered_before_the_servers_settle_again_can_be_cancelled() -> None:
    resumed = RunResumed(goal="chat", servers=a_plan("s").servers, interactive=True)
    out = run(SETTLED, IDLE, ASK, resumed, done(), IDLE, ASK, PromptCancelled())
    assert only(RunEnded, out) == []


# --- a person's requests ------------------------------------------------------------------------

READ = RequestSubmitted(method="resources/read")


def request_ended(**fields: Any) -> RequestEnded:
    return RequestEnded(request="r1", server="s", method="resources/read", **fields)


@pytest.mark.parametrize(
    ("ended", "status", "words"),
    [
        (request_ended(outcome="answered", result={}), 0, ""),
        (request_ended(outcome="answered", error="gone"), 1, "resources/read at s: gone"),
        (request_ended(outcome="unknown", reason="cut"), 1, "resources/read at s: unknown: cut"),
    ],
)
def test_a_run_for_requests_has_the_status_of_their_answers(
    ended: RequestEnded, status: int, words: str
) -> None:
    items = [SETTLED, READ, InputEnded(), ended, IDLE]
    assert (code(*items, goal="request"), reason(*items, goal="request")) == (status, words)
    assert code(*items, goal="chat") == 0, "in a chat the person has seen it"


def test_a_request_under_way_keeps_the_run_from_ending() -> None:
    assert only(RunEnded, run(SETTLED, IDLE, READ, InputEnded())) == []
