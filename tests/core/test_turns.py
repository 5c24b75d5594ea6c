"""One prompt's way to its answer: calls side by side, results in order, limits."""

from itertools import permutations
from typing import Any

import pytest

from pipeline.core.agent.machine import step
from pipeline.core.agent.state import AgentState, initial
from pipeline.core.agent.turns import end_line
from pipeline.core.commands import CallModel, Passing, ReadPrompt
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    CallRejected,
    CallSubmitted,
    Json,
    ModelSpoke,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    ReplyReceived,
    ServersSettled,
    SessionReady,
    ToolEnded,
    ToolsChanged,
    ToolStarted,
)
from pipeline.core.plan import Plan, Price
from tests.support.play import (
    a_route,
    a_tool,
    finished,
    kinds,
    last_messages,
    lost,
    one,
    only,
    play,
    posts,
    text_block,
    use,
)

ADD = a_tool("add", input_schema={"type": "object", "properties": {"a": {"type": "integer"}}})
RM = a_tool("rm")
FAR = a_tool("far", server="other")
READY: list[Passing] = [
    SessionReady(server="s", route=a_route()),
    SessionReady(server="other", route=a_route("other")),
    ToolsChanged(server="s", tools=(ADD, RM)),
    ToolsChanged(server="other", tools=(FAR, a_tool("add", server="other"))),
    ServersSettled(ready=("s", "other")),
]
ASK = PromptSubmitted(text="hi")


def after(*items: Passing, **changes: Any) -> tuple[AgentState, list[Passing]]:
    return play(step, initial(Plan(**changes)), *READY, *items)


def out_of(*items: Passing, **changes: Any) -> list[Passing]:
    """What the last of these items makes come out, without itself."""
    state, _ = after(*items[:-1], **changes)
    return [o for o in step(state, items[-1])[1] if o is not items[-1]]


def reply(number: int, server: str = "s") -> ReplyReceived:
    content = [text_block(f"result {number}")]
    return ReplyReceived(server=server, id=f"call:c{number}", result={"content": content})


def results(out: list[Passing]) -> list[str]:
    return [block["tool_use_id"] for block in last_messages(out)[-1]["content"]]


def texts(out: list[Passing]) -> list[str]:
    return [block["content"][0]["text"] for block in last_messages(out)[-1]["content"]]


# --- acting -----------------------------------------------------------------------------------

THREE = finished(1, use("t1", ADD.alias, a=1), use("t2", FAR.alias), use("t3", ADD.alias, a=3))


def test_all_calls_of_a_message_go_out_at_once() -> None:
    out = out_of(ASK, THREE)
    assert [(s.call, s.server, s.tool, s.arguments) for s in only(ToolStarted, out)] == [
        ("c1", "s", "add", {"a": 1}),
        ("c2", "other", "far", {}),
        ("c3", "s", "add", {"a": 3}),
    ]
    assert posts(out) == ["call:c1", "call:c2", "call:c3"]


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_results_go_back_in_the_order_of_the_calls_whatever_order_they_came_in(
    order: tuple[int, ...],
) -> None:
    replies = [reply(number, "other" if number == 2 else "s") for number in order]
    state, out = after(ASK, THREE, *replies[:-1])
    assert len(only(CallModel, out)) == 1, "the model waits for the last result"
    _, out = play(step, state, replies[-1])
    assert results(out) == ["t1", "t2", "t3"]
    assert texts(out) == ["result 1", "result 2", "result 3"]
    assert last_messages(out)[-2]["role"] == "assistant"


def test_the_message_that_asked_for_calls_is_kept_as_it_came() -> None:
    thinking: Json = {"type": "thinking", "thinking": "hm", "signature": "x"}
    call = use("t1", ADD.alias, a=1)
    _, out = after(ASK, finished(1, thinking, "let me", call), reply(1))
    assert last_messages(out)[1]["content"] == [thinking, text_block("let me"), call]
    assert only(CallModel, out)[-1].since == 1


def test_numbers_of_calls_are_never_used_twice() -> None:
    _, out = after(
        ASK, finished(1, use("t1", ADD.alias)), reply(1), finished(2, use("t1", RM.alias))
    )
    assert [started.call for started in only(ToolStarted, out)] == ["c1", "c2"]


@pytest.mark.parametrize("given", [None, [], "x", 5, {}])
def test_an_input_that_is_no_object_is_an_empty_one(given: Any) -> None:
    block = {**use("t1", ADD.alias), "input": given}
    assert one(ToolStarted, out_of(ASK, finished(1, block))).arguments == {}


@pytest.mark.parametrize("use_id", ["", "toolu_01", "é"])
def test_any_id_of_the_models_is_answered_under_the_same_id(use_id: str) -> None:
    _, out = after(ASK, finished(1, use(use_id, ADD.alias)), reply(1), finished(2, "done"))
    assert results(out) == [use_id]
    assert one(AnswerCompleted, out).text == "done"


# --- tools that are not there -----------------------------------------------------------------


def test_an_unknown_tool_is_answered_in_words_and_not_called() -> None:
    out = out_of(ASK, finished(1, use("t1", "mul")))
    assert only(ToolStarted, out) == []
    assert results(out) == ["t1"]
    assert texts(out)[0].startswith("no tool is named 'mul'; these are: mcp__other__add,")
    assert last_messages(out)[-1]["content"][0]["is_error"] is True
    assert one(Problem, out).where == "model"


def test_a_tool_that_is_not_allowed_is_neither_offered_nor_called_nor_named() -> None:
    changes: Any = {"disallowed_tools": ("rm",)}
    assert RM not in one(CallModel, out_of(ASK, **changes)).tools
    out = out_of(ASK, finished(1, use("t1", RM.alias)), **changes)
    assert only(ToolStarted, out) == []
    assert texts(out)[0].startswith(f"no tool is named {RM.alias!r}")
    assert RM.alias not in texts(out)[0].partition("these are")[2]


def test_only_allowed_tools_are_offered() -> None:
    assert one(CallModel, out_of(ASK, allowed_tools=("s__*",))).tools == (ADD, RM)


def test_unknown_and_known_tools_are_answered_in_one_message() -> None:
    message = finished(1, use("t1", "mul"), use("t2", ADD.alias), use("t3", "div"))
    state, out = after(ASK, message)
    assert len(only(CallModel, out)) == 1
    _, out = play(step, state, reply(2))
    assert results(out) == ["t1", "t2", "t3"]


def test_a_model_without_any_tools_is_told_so() -> None:
    _, out = play(
        step, initial(Plan()), ServersSettled(ready=()), ASK, finished(1, use("t1", "add"))
    )
    assert texts(out) == ["no tool is named 'add'; these are: "]


# --- limits -----------------------------------------------------------------------------------


def test_the_limit_of_turns_keeps_what_was_said_last() -> None:
    _, out = after(
        ASK,
        ModelSpoke(call="model:1", text="first"), finished(1, "first", use("t1", ADD.alias)),
        reply(1),
        ModelSpoke(call="model:2", text="second"), finished(2, "second", use("t2", ADD.alias)),
        reply(2),
        max_turns=2,
    )  # fmt: skip
    done = one(AnswerCompleted, out)
    assert done == AnswerCompleted(text="second", turns=2, stop="max_turns")
    assert len(only(CallModel, out)) == 2
    assert out[-1] == ReadPrompt()


def test_a_prompt_after_the_limit_of_turns_follows_the_results_and_starts_to_count_anew() -> None:
    _, out = after(
        ASK, finished(1, use("t1", ADD.alias)), reply(1), PromptSubmitted(text="go on"), max_turns=1
    )
    last = last_messages(out)[-1]["content"]
    assert [block["type"] for block in last] == ["tool_result", "text"]
    assert only(CallModel, out)[-1].call == "model:2"


PRICE = Price(input=100_000, output=0, cache_read=0, cache_write=0)  # a turn of 10 costs 1 USD


def test_the_budget_ends_an_answer_before_the_next_turn() -> None:
    _, out = after(
        ASK, finished(1, use("t1", ADD.alias)), reply(1), price=PRICE, max_budget_usd=1.0
    )
    assert one(AnswerCompleted, out).stop == "max_budget"
    assert len(only(CallModel, out)) == 1
    assert len(only(ToolEnded, out)) == 1


def test_a_budget_that_is_not_used_up_lets_the_answer_go_on() -> None:
    _, out = after(
        ASK, finished(1, use("t1", ADD.alias)), reply(1), price=PRICE, max_budget_usd=1.01
    )
    assert len(only(CallModel, out)) == 2


def test_prompts_that_wait_when_the_budget_is_used_up_are_all_answered() -> None:
    waiting = [PromptSubmitted(text=str(n)) for n in range(64)]
    out = out_of(ASK, *waiting, finished(1, "A"), price=PRICE, max_budget_usd=1.0)
    stops = [done.stop for done in only(AnswerCompleted, out)]
    assert stops == ["end_turn"] + ["max_budget"] * 64
    assert out[-1] == ReadPrompt()
    assert len(only(ReadPrompt, out)) == 1


# --- lines of text ----------------------------------------------------------------------------


@pytest.mark.parametrize(("spoken", "is_ended"), [("x", True), ("x\n", False), ("", False)])
def test_the_text_of_one_turn_and_of_the_next_do_not_share_a_line(
    spoken: str, is_ended: bool
) -> None:
    items = [ModelSpoke(call="model:1", text=spoken)] if spoken else []
    state, _ = after(ASK, *items)
    assert end_line(state) == (state, (AnswerDelta(text="\n"),) if is_ended else ())
    out = out_of(ASK, *items, finished(1, use("t1", ADD.alias)))
    assert len(only(AnswerDelta, out)) == is_ended


# --- a person's own calls -----------------------------------------------------------------------


def test_a_persons_call_needs_no_model() -> None:
    call = CallSubmitted(tool="rm", arguments='{"a": 1}')
    _, out = after(call, reply(1))
    assert one(ToolStarted, out).arguments == {"a": 1}
    assert one(ToolEnded, out).content == (text_block("result 1"),)
    assert only(CallModel, out) == []
    assert only(AnswerCompleted, out) == []
    assert out[-1] == ReadPrompt()


def test_a_persons_call_leaves_the_conversation_alone() -> None:
    _, out = after(CallSubmitted(tool="rm"), reply(1), ASK)
    assert last_messages(out) == ({"role": "user", "content": [text_block("hi")]},)


@pytest.mark.parametrize("tool", ["s__add", "mcp__s__add"])
def test_arguments_are_read_by_the_tools_own_schema(tool: str) -> None:
    out = out_of(CallSubmitted(tool=tool, arguments="a=2"))
    assert one(ToolStarted, out).arguments == {"a": 2}


def test_a_person_may_call_what_the_model_may_not() -> None:
    out = out_of(CallSubmitted(tool="rm"), disallowed_tools=("*",))
    assert posts(out) == ["call:c1"]


@pytest.mark.parametrize(
    ("tool", "arguments", "reason", "hint"),
    [
        ("mul", "", "no tool is named 'mul'", "the tools are: add, far, rm"),
        ("", "", "no tool is named ''", "the tools are: add, far, rm"),
        ("add", "", "'add' could be any of s__add, other__add", "the tools are: add, far, rm"),
        ("s__add", "a=x", "'a': found 'x', expected a whole number", ""),
    ],
)
def test_a_call_that_cannot_be_made_is_rejected_in_words_and_nothing_is_sent(
    tool: str, arguments: str, reason: str, hint: str
) -> None:
    out = out_of(CallSubmitted(tool=tool, arguments=arguments))
    assert kinds(out) == ["CallRejected", "ReadPrompt"]
    rejected = one(CallRejected, out)
    assert rejected.tool == tool
    assert rejected.reason.startswith(reason)
    assert rejected.hint == hint


def test_without_any_tools_a_rejection_says_none() -> None:
    _, out = play(step, initial(Plan()), ServersSettled(ready=()), CallSubmitted(tool="add"))
    assert one(CallRejected, out).hint == "the tools are: none"


def test_a_persons_call_that_is_cancelled_ends_and_the_next_wish_is_asked_for() -> None:
    out = out_of(CallSubmitted(tool="rm"), PromptCancelled())
    assert one(ToolEnded, out).outcome == "unknown"
    assert out[-1] == ReadPrompt()


def test_a_persons_call_to_a_server_that_is_gone_ends_at_once() -> None:
    out = out_of(lost(None), CallSubmitted(tool="rm"))
    assert kinds(out) == ["ToolStarted", "ToolEnded", "ReadPrompt"]


def test_persons_calls_go_one_after_another() -> None:
    state, out = after(CallSubmitted(tool="rm"), CallSubmitted(tool="far"))
    assert posts(out) == ["call:c1"]
    _, out = play(step, state, reply(1))
    assert posts(out) == ["call:c2"]
