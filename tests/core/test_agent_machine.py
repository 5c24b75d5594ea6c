"""The agent loop: prompts in, one answer each, whatever happens in between."""

from typing import Any

import pytest

from pipeline.core.agent.machine import step
from pipeline.core.agent.state import AgentState, initial
from pipeline.core.commands import (
    CallModel,
    CancelModel,
    Passing,
    Post,
    ReadPrompt,
)
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    CallSubmitted,
    FrameReceived,
    Json,
    ModelFailed,
    ModelSpoke,
    ModelThought,
    Problem,
    ProgressReported,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    ReplyReceived,
    RunResumed,
    RunStarted,
    ServersSettled,
    SessionReady,
    SinkFailed,
    Tokens,
    ToolEnded,
    ToolProgress,
    ToolsChanged,
    ToolStarted,
    Usage,
)
from pipeline.core.plan import Plan, Price, ServerPlan
from tests.support.play import (
    a_route,
    a_tool,
    finished,
    fired,
    kinds,
    last_messages,
    lost,
    one,
    only,
    play,
    posted,
    posts,
    text_block,
    use,
)

ADD = a_tool("add")
SUB = a_tool("sub")
READY: list[Passing] = [
    SessionReady(server="s", route=a_route()),
    ToolsChanged(server="s", tools=(ADD, SUB)),
    ServersSettled(ready=("s",)),
]
CANCEL = PromptCancelled()


def ask(text: str = "hi") -> PromptSubmitted:
    return PromptSubmitted(text=text)


def spoke(call: int, text: str) -> ModelSpoke:
    return ModelSpoke(call=f"model:{call}", text=text)


def failed(call: int, *, may_retry: bool = False) -> ModelFailed:
    return ModelFailed(call=f"model:{call}", reason="HTTP 529", may_retry=may_retry)


def reply(number: int, text: str = "5") -> ReplyReceived:
    return ReplyReceived(server="s", id=f"call:c{number}", result={"content": [text_block(text)]})


def after(*items: Passing, **changes: Any) -> tuple[AgentState, list[Passing]]:
    return play(step, initial(Plan(**changes)), *READY, *items)


def out_of(*items: Passing, **changes: Any) -> list[Passing]:
    """What the last of these items makes come out, without itself."""
    state, _ = after(*items[:-1], **changes)
    return [o for o in step(state, items[-1])[1] if o is not items[-1]]


def user(*content: Json | str) -> Json:
    blocks = [text_block(each) if isinstance(each, str) else each for each in content]
    return {"role": "user", "content": blocks}


def assistant(*content: Json | str) -> Json:
    return {**user(*content), "role": "assistant"}


def result(use_id: str, text: str = "5") -> Json:
    return {"type": "tool_result", "tool_use_id": use_id, "content": [text_block(text)]}


# --- from prompt to answer --------------------------------------------------------------------


def test_once_the_servers_have_settled_the_first_prompt_is_asked_for() -> None:
    _, out = after()
    assert out[-1] == ReadPrompt()
    assert len(only(ReadPrompt, out)) == 1


def test_a_prompt_is_put_to_the_model_with_the_tools() -> None:
    (command,) = out_of(ask("hi"))
    assert command == CallModel(call="model:1", messages=(user("hi"),), tools=(ADD, SUB))


def test_what_the_model_says_is_shown_as_it_comes_and_told_whole_in_the_end() -> None:
    _, out = after(ask(), spoke(1, "Hel"), spoke(1, "lo"), finished(1, "Hello"))
    assert [delta.text for delta in only(AnswerDelta, out)] == ["Hel", "lo"]
    assert one(AnswerCompleted, out) == AnswerCompleted(text="Hello", turns=1)
    assert out[-1] == ReadPrompt()


def test_thinking_is_no_answer() -> None:
    assert out_of(ask(), ModelThought(call="model:1", text="hm")) == []


def test_the_answer_stays_in_the_conversation() -> None:
    _, out = after(ask("a"), finished(1, "A"), ask("b"))
    assert last_messages(out) == (user("a"), assistant("A"), user("b"))
    assert only(CallModel, out)[-1].since == 1
    assert only(CallModel, out)[-1].tools_changed is False


def test_tools_that_changed_are_sent_again() -> None:
    changed = ToolsChanged(server="s", tools=(ADD,))
    _, out = after(ask("a"), finished(1, "A"), changed, ask("b"))
    command = only(CallModel, out)[-1]
    assert (command.tools, command.tools_changed) == ((ADD,), True)


def test_usage_is_told_with_its_price_where_that_is_known() -> None:
    price = Price(input=1_000_000, output=0, cache_read=0, cache_write=0)
    _, out = after(ask(), finished(1, "A"), price=price)
    assert one(Usage, out) == Usage(
        model="claude-x", tokens=Tokens(input=10, output=5), cost_usd=10.0, total_usd=10.0
    )
    assert out.index(one(Usage, out)) < out.index(one(AnswerCompleted, out))


# --- prompts that wait or are none --------------------------------------------------------------


def test_prompts_before_the_servers_have_settled_wait() -> None:
    _, out = play(step, initial(Plan()), ask("a"), ask("b"))
    assert kinds(out) == ["PromptSubmitted", "PromptSubmitted"]
    _, out = play(step, initial(Plan()), ask("a"), ask("b"), ServersSettled(ready=()))
    assert last_messages(out) == (user("a"),)
    assert only(ReadPrompt, out) == []


def test_a_second_prompt_waits_for_the_first_answer() -> None:
    _, out = after(ask("a"), ask("b"), finished(1, "A"), finished(2, "B"))
    assert [done.text for done in only(AnswerCompleted, out)] == ["A", "B"]
    assert kinds(out)[-2:] == ["AnswerCompleted", "ReadPrompt"]
    assert last_messages(out) == (user("a"), assistant("A"), user("b"))


def test_only_so_many_prompts_wait() -> None:
    out = out_of(ask("a"), ask("b"), ask("c"), ask("d"), max_queued_prompts=2)
    problem = one(Problem, out)
    assert problem.detail == "2 prompts are waiting already, and that is the limit"
    assert kinds(out) == ["Problem"]


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_an_empty_prompt_is_told_and_the_next_one_asked_for(text: str) -> None:
    out = out_of(ask(text))
    assert kinds(out) == ["Problem", "ReadPrompt"]
    assert "found an empty prompt" in one(Problem, out).detail


def test_an_empty_prompt_in_mid_answer_asks_for_nothing() -> None:
    assert kinds(out_of(ask(), ask(" "))) == ["Problem"]


def test_a_repaired_prompt_is_taken_and_that_it_was_repaired_is_told() -> None:
    out = out_of(PromptSubmitted(text="h\ufffd", repaired=True))
    assert kinds(out) == ["Problem", "CallModel"]
    assert "not valid UTF-8" in one(Problem, out).detail
    assert last_messages(out) == (user("h\ufffd"),)


def test_a_rejected_prompt_is_told_and_the_next_one_asked_for() -> None:
    rejected = PromptRejected(reason="too long")
    assert out_of(rejected) == [Problem(where="prompt", detail="too long"), ReadPrompt()]
    assert out_of(ask(), rejected) == [Problem(where="prompt", detail="too long")]


# --- how a turn ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", "end_turn"),
        ("stop_sequence", "end_turn"),
        ("of_tomorrow", "end_turn"),
        ("max_tokens", "max_tokens"),
        ("model_context_window_exceeded", "context_full"),
    ],
)
def test_the_stop_reason_is_told_and_the_text_kept(reason: str, stop: str) -> None:
    _, out = after(ask("a"), finished(1, "A", stop=reason), ask("b"))
    assert one(AnswerCompleted, out) == AnswerCompleted(text="A", turns=1, stop=stop)  # type: ignore[arg-type]  # checked above
    assert last_messages(out) == (user("a"), assistant("A"), user("b"))


@pytest.mark.parametrize("reason", ["max_tokens", "end_turn", "model_context_window_exceeded"])
def test_a_call_in_an_unfinished_message_is_neither_run_nor_kept(reason: str) -> None:
    cut = finished(1, "let me", use("t1", ADD.alias), stop=reason)
    _, out = after(ask("a"), cut, ask("b"))
    assert only(ToolStarted, out) == []
    assert only(Post, out) == []
    assert last_messages(out) == (user("a"), assistant("let me"), user("b"))


def test_an_unfinished_message_of_nothing_but_thinking_and_a_call_leaves_no_trace() -> None:
    thinking: Json = {"type": "thinking", "thinking": "hm", "signature": "x"}
    cut = finished(1, thinking, use("t1", ADD.alias), stop="max_tokens")
    _, out = after(ask("a"), cut, ask("b"))
    assert last_messages(out) == (user("a", "b"),)


def test_tool_use_without_a_call_is_the_end_of_the_turn() -> None:
    _, out = after(ask("a"), finished(1, "A", stop="tool_use"))
    assert one(AnswerCompleted, out).stop == "end_turn"


def test_a_refusal_takes_back_the_prompt_and_all_that_followed() -> None:
    _, out = after(
        ask("a"), finished(1, "A"),
        ask("bad"), finished(2, use("t1", ADD.alias)), reply(1), finished(3, "no", stop="refusal"),
        ask("c"),
    )  # fmt: skip
    assert only(AnswerCompleted, out)[-1].stop == "refusal"
    assert last_messages(out) == (user("a"), assistant("A"), user("c"))


def test_a_paused_turn_goes_on_where_it_was() -> None:
    _, out = after(ask("a"), finished(1, "so", stop="pause_turn"))
    assert last_messages(out) == (user("a"), assistant("so"))
    _, out = after(ask("a"), finished(1, "so", stop="pause_turn"), finished(2, " far"), ask("b"))
    assert one(AnswerCompleted, out).turns == 2
    assert last_messages(out) == (user("a"), assistant("so", " far"), user("b"))


def test_a_call_in_a_paused_turn_is_neither_run_nor_kept() -> None:
    paused = finished(1, "so", use("t1", ADD.alias), stop="pause_turn")
    _, out = after(ask("a"), paused)
    assert only(ToolStarted, out) == []
    assert last_messages(out) == (user("a"), assistant("so"))


def test_a_turn_that_pauses_for_ever_ends_at_the_limit() -> None:
    pauses = [finished(n, "so", stop="pause_turn") for n in (1, 2, 3)]
    _, out = after(ask("a"), *pauses, max_turns=2)
    assert one(AnswerCompleted, out).stop == "max_turns"
    assert len(only(CallModel, out)) == 2


# --- models that fail -------------------------------------------------------------------------


def test_a_model_that_failed_is_asked_once_more_where_nothing_speaks_against_it() -> None:
    _, out = after(ask("a"), failed(1, may_retry=True), failed(2, may_retry=True))
    first, second = only(CallModel, out)
    assert (second.call, second.messages) == ("model:2", first.messages)
    assert second.since == 1
    hints = [(problem.detail, problem.hint) for problem in only(Problem, out)]
    assert hints == [("HTTP 529", "asking it again"), ("HTTP 529", "")]
    assert one(AnswerCompleted, out) == AnswerCompleted(text="", turns=1, stop="model_failed")


def test_a_model_that_failed_for_good_is_not_asked_again() -> None:
    out = out_of(ask("a"), failed(1))
    assert kinds(out) == ["Problem", "AnswerCompleted", "ReadPrompt"]


def test_each_turn_has_its_own_second_chance() -> None:
    _, out = after(
        ask("a"), failed(1, may_retry=True), finished(2, use("t1", ADD.alias)), reply(1),
        failed(3, may_retry=True), finished(4, "A"),
    )  # fmt: skip
    assert one(AnswerCompleted, out) == AnswerCompleted(text="A", turns=2)


def test_a_failure_in_one_prompt_costs_the_next_no_chance() -> None:
    _, out = after(
        ask("a"), failed(1, may_retry=True), failed(2, may_retry=True),
        ask("b"), failed(3, may_retry=True),
    )  # fmt: skip
    assert only(CallModel, out)[-1].call == "model:4"


def test_what_a_failed_model_had_said_ends_its_line_before_it_is_asked_again() -> None:
    out = out_of(ask("a"), spoke(1, "Hel"), failed(1, may_retry=True))
    assert kinds(out) == ["AnswerDelta", "Problem", "CallModel"]
    assert one(AnswerDelta, out).text == "\n"


def test_after_a_failure_the_prompt_still_stands_in_the_conversation() -> None:
    _, out = after(ask("a"), spoke(1, "Hel"), failed(1), ask("b"))
    assert one(AnswerCompleted, out).text == "Hel"
    assert last_messages(out) == (user("a", "b"),)
    assert only(CallModel, out)[-1].since == 0


@pytest.mark.parametrize(
    "late",
    [
        spoke(1, "late"),
        ModelThought(call="model:1", text="late"),
        finished(1, "late"),
        finished(1, use("t9", ADD.alias)),
        failed(1, may_retry=True),
        spoke(7, "of nobody"),
        finished(7, "of nobody"),
    ],
)
@pytest.mark.parametrize(
    "items",
    [
        [],
        [ask("a"), finished(1, "A")],
        [ask("a"), CANCEL],
        [ask("a"), CANCEL, ask("b")],
        [ask("a"), failed(1, may_retry=True)],
        [ask("a"), finished(1, use("t1", ADD.alias))],
        [ask("a"), finished(1, use("t1", ADD.alias)), reply(1)],
    ],
)
def test_what_comes_from_a_model_call_that_is_over_is_dropped(
    items: list[Passing], late: Passing
) -> None:
    state, _ = after(*items)
    assert step(state, late) == (state, (late,))


# --- cancelling -------------------------------------------------------------------------------


def test_cancelling_while_it_thinks_stops_the_model() -> None:
    out = out_of(ask("a"), spoke(1, "Hel"), CANCEL)
    assert out == [
        CancelModel(call="model:1"),
        AnswerCompleted(text="Hel", turns=1, stop="cancelled"),
        ReadPrompt(),
    ]
    _, out = after(ask("a"), spoke(1, "Hel"), CANCEL, ask("b"))
    assert last_messages(out) == (user("a", "b"),)


def test_cancelling_while_it_acts_ends_the_calls_that_are_under_way() -> None:
    acting = [ask("a"), finished(1, use("t1", ADD.alias), use("t2", SUB.alias)), reply(1)]
    out = out_of(*acting, CANCEL)
    ended = one(ToolEnded, out)
    assert (ended.call, ended.outcome, ended.reason) == ("c2", "unknown", "cancelled by the user")
    assert posts(out) == ["cancel:c2"]
    assert kinds(out)[-2:] == ["AnswerCompleted", "ReadPrompt"]
    assert one(AnswerCompleted, out).stop == "cancelled"
    assert only(CallModel, out) == []


def test_a_prompt_after_cancelled_calls_follows_their_results() -> None:
    acting = [ask("a"), finished(1, use("t1", ADD.alias), use("t2", SUB.alias)), reply(1)]
    _, out = after(*acting, CANCEL, ask("b"))
    last = last_messages(out)[-1]["content"]
    assert [block.get("tool_use_id", block.get("text")) for block in last] == ["t1", "t2", "b"]
    assert last[0] == result("t1")
    assert last[1]["is_error"] is True


def test_cancelling_drops_the_prompts_that_wait() -> None:
    state, _ = after(ask("a"), ask("b"), ask("c"))
    _, out = play(step, state, CANCEL)
    assert one(Problem, out).detail == "2 waiting prompt(s) dropped"
    assert out[-1] == ReadPrompt()


def test_cancelling_while_servers_start_drops_the_prompts_that_wait() -> None:
    _, out = play(step, initial(Plan()), ask("a"), CANCEL, *READY, ask("b"))
    assert one(Problem, out).detail == "1 waiting prompt(s) dropped"
    assert last_messages(out) == (user("b"),)


def test_cancelling_when_nothing_is_under_way_does_nothing() -> None:
    assert out_of(CANCEL) == []


def test_an_answer_that_comes_after_the_call_was_cancelled_is_told_and_changes_nothing() -> None:
    items = [ask("a"), finished(1, use("t1", ADD.alias)), CANCEL]
    out = out_of(*items, reply(1))
    assert kinds(out) == ["Problem"]
    _, out = after(*items, reply(1), ask("b"))
    content = last_messages(out)[-1]["content"]
    assert content[0]["is_error"] is True


# --- what passes, and what does not -----------------------------------------------------------


def test_replies_and_progress_are_consumed() -> None:
    state, _ = after(ask("a"), finished(1, use("t1", ADD.alias)))
    progress = ProgressReported(server="s", id="call:c1", progress=1)
    _, out = step(state, progress)
    assert kinds(out) == ["ToolProgress", "StartTimer"]
    assert isinstance(out[0], ToolProgress)
    _, out = step(state, reply(1))
    assert kinds(out) == ["ToolEnded", "StopTimer", "StopTimer", "CallModel"]


@pytest.mark.parametrize(
    "item",
    [
        RunStarted(),
        FrameReceived(server="s", event="x", data=""),
        fired("session:s"),
        fired("call:c9"),
        posted("init:s:1", 500),
        Problem(where="s", detail="x"),
    ],
)
def test_what_is_not_its_business_passes_untouched(item: Passing) -> None:
    state, _ = after()
    assert step(state, item) == (state, (item,))


@pytest.mark.parametrize("is_final", [True, False])
def test_a_sink_that_fails_is_a_problem_of_the_run(is_final: bool) -> None:
    failure = SinkFailed(sink="jsonl=x", reason="disk full", is_final=is_final)
    assert out_of(ask(), failure) == [Problem(where="sink jsonl=x", detail="disk full")]


# --- calls under way ----------------------------------------------------------------------------


def test_a_lost_server_answers_its_calls_and_the_model_hears_of_it() -> None:
    out = out_of(ask("a"), finished(1, use("t1", ADD.alias)), lost(1.0))
    assert one(ToolEnded, out).outcome == "unknown"
    (block,) = last_messages(out)[-1]["content"]
    assert block["is_error"] is True
    assert "was lost before the answer" in block["content"][0]["text"]


def test_a_server_that_is_gone_for_good_ends_the_calls_that_wait_for_it() -> None:
    two = [
        ask("a"),
        finished(1, use("t1", ADD.alias)),
        lost(1.0),
        finished(2, use("t2", ADD.alias)),
    ]
    out = out_of(*two, lost(None))
    assert one(ToolEnded, out).outcome == "not_sent"
    assert one(CallModel, out).call == "model:3"


def test_a_call_waits_for_a_server_that_comes_back() -> None:
    _, out = after(
        ask("a"), lost(1.0), finished(1, use("t1", ADD.alias)),
        SessionReady(server="s", route=a_route()), reply(1), finished(2, "A"),
    )  # fmt: skip
    assert posts(out) == ["call:c1"]
    assert one(AnswerCompleted, out).text == "A"


@pytest.mark.parametrize(
    "end", [fired("call:c1"), fired("call:c1:max"), posted("call:c1", 500), posted("call:c1", None)]
)
def test_however_a_call_ends_the_model_goes_on(end: Passing) -> None:
    out = out_of(ask("a"), finished(1, use("t1", ADD.alias)), end)
    assert one(ToolEnded, out).call == "c1"
    assert one(CallModel, out).call == "model:2"


def test_a_person_may_call_a_tool_in_between() -> None:
    _, out = after(ask("a"), CallSubmitted(tool="add"), finished(1, "A"), reply(1))
    assert posts(out) == ["call:c1"]
    assert kinds(out)[-1] == "ReadPrompt"


# --- a run that goes on in another process ------------------------------------------------------

SERVER = ServerPlan(name="s", url="http://x/sse")
RESUMED = RunResumed(goal="chat", servers=(SERVER,))
AGAIN: list[Passing] = [
    SessionReady(server="s", route=a_route()),
    ServersSettled(ready=("s",)),
]


def test_a_resumed_run_that_was_idle_asks_for_a_prompt_once_its_servers_have_settled() -> None:
    state, _ = after(ask("a"), finished(1, "A"))
    state, out = play(step, state, RESUMED)
    assert out == [RESUMED]
    _, out = play(step, state, *AGAIN)
    assert len(only(ReadPrompt, out)) == 1


def test_a_resumed_run_asks_the_model_again_and_the_turn_does_not_count_twice() -> None:
    state, _ = after(ask("a"))
    state, out = play(step, state, RESUMED, *AGAIN)
    command = one(CallModel, out)
    assert (command.call, command.messages, command.tools_changed) == (
        "model:2",
        (user("a"),),
        True,
    )
    _, out = play(step, state, finished(2, "A"))
    assert one(AnswerCompleted, out).turns == 1
    assert len(only(ReadPrompt, out)) == 1


def test_a_resumed_run_tells_the_model_of_the_calls_that_were_cut_off() -> None:
    state, _ = after(ask("a"), finished(1, use("t1", ADD.alias)))
    _, out = play(step, state, RESUMED)
    assert one(ToolEnded, out).outcome == "unknown"
    assert len(only(CallModel, out)) == 1
    (block,) = last_messages(out)[-1]["content"]
    assert "the run was cut off" in block["content"][0]["text"]


def test_a_resumed_run_waits_for_the_calls_that_are_sent_again() -> None:
    reader = a_tool("read", annotations={"readOnlyHint": True})
    state, _ = after(
        ToolsChanged(server="s", tools=(reader,)), ask("a"), finished(1, use("t1", reader.alias))
    )
    state, out = play(step, state, RESUMED, *AGAIN)
    assert only(CallModel, out) == []
    assert posts(out) == ["call:c1~2"]
    answer = ReplyReceived(server="s", id="call:c1~2", result={"content": [text_block("5")]})
    _, out = play(step, state, answer)
    assert last_messages(out)[-1]["content"] == [result("t1")]


@pytest.mark.parametrize(
    "items", [[CallSubmitted(tool="add")], [ask("a"), finished(1, use("t1", ADD.alias))]]
)
def test_a_wish_that_ends_with_its_cut_off_call_asks_for_the_next_one_once(
    items: list[Passing],
) -> None:
    state, _ = after(*items, max_turns=1)
    _, out = play(step, state, RESUMED, *AGAIN)
    assert one(ToolEnded, out).outcome == "unknown"
    assert len(only(ReadPrompt, out)) == 1


def test_prompts_that_wait_go_on_waiting_in_a_resumed_run() -> None:
    state, _ = play(step, initial(Plan()), ask("a"))
    _, out = play(step, state, RESUMED, *AGAIN)
    assert last_messages(out) == (user("a"),)


def test_the_tools_of_a_server_that_is_no_part_of_the_resumed_run_are_gone() -> None:
    state, _ = after(ask("a"))
    other = RunResumed(goal="chat", servers=())
    _, out = play(step, state, other)
    assert one(CallModel, out).tools == ()


@pytest.mark.parametrize(("status", "kept"), [(400, 0), (413, 0), (529, 1)])
def test_a_prompt_that_the_api_refuses_does_not_spoil_the_next_one(status: int, kept: int) -> None:
    failed = ModelFailed(call="model:1", reason="no", status=status)
    (asked,) = only(CallModel, out_of(ask("a"), failed, ask("b")))
    assert len(asked.messages[0]["content"]) == 1 + kept
