"""What a run did for each prompt, read from its items: the core's own, for what it is fed here."""

from collections.abc import Iterable
from typing import Any

import pytest

from pipeline.against.behaviour import Behaviour, Call, Turn
from pipeline.core.commands import CallModel, Passing
from pipeline.core.events import (
    AnswerCompleted,
    CallSubmitted,
    Internal,
    PromptCancelled,
    PromptSubmitted,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    RunResumed,
    ToolEnded,
    ToolStarted,
)
from pipeline.core.plan import Plan, ServerPlan
from tests.support.play import ADD, a_core, a_plan, answered, finished, lost, sse_start, use
from tests.support.sample_session import FIRST, PLAN, entries

SLOW = {"name": "slow", "annotations": {"readOnlyHint": True}, "inputSchema": {"type": "object"}}
TEXT = {"content": [{"type": "text", "text": "5"}]}
FAILED = {**TEXT, "isError": True}


def read(plan: Plan, items: Iterable[Passing]) -> Behaviour:
    behaviour = Behaviour(plan)
    for item in items:
        if not isinstance(item, Internal):
            behaviour.read(item)
    return behaviour


def chat(*items: Passing, **changes: Any) -> Behaviour:
    """A chat on one server with two tools, after `items`."""
    plan = a_plan("s", **changes)
    core = a_core(plan, *sse_start(ADD, SLOW))
    core.feed(*items)
    return read(plan, core.log)


def result(call: str, value: Any) -> Passing:
    return answered(f"call:{call}", value)


def called(call: str, tool: str = "add", server: str = "s", **arguments: Any) -> ToolStarted:
    return ToolStarted(call=call, server=server, tool=tool, arguments=arguments)


def done(call: str, **fields: Any) -> ToolEnded:
    return ToolEnded(call=call, server="s", tool="add", **{"outcome": "answered", **fields})


def test_a_session_is_read_turn_by_turn() -> None:
    found = read(PLAN, (entry.item for entry in entries()))
    first, second = found.turns
    assert [turn.fate for turn in found.turns] == ["done", "cancelled"]
    assert [[call.tool for call in side] for side in first.rounds] == [
        ["search", "tail", "log"],
        ["log", "show"],
        [],
    ]
    assert first.wish == PromptSubmitted(text=FIRST)
    assert (first.stop, first.has_text) == ("end_turn", True)
    assert [call.result for call in first.calls] == [
        *("answered", "answered", "unknown"),
        *("answered", "error"),
    ]
    assert [call.only_reads for call in first.calls] == [True, False, False, False, False]
    assert first.calls[4].words == "no such commit: HEAD"
    assert first.calls[2].words.startswith("the connection to 'git' was lost")
    assert first.calls[0].words == ""
    assert (second.stop, second.calls[0].result) == ("cancelled", "unknown")
    assert [tool.name for tool in found.tools["git"]] == ["log", "show"]
    assert found.ready == {"logs", "git"}


def test_wishes_that_come_early_wait_for_the_one_before() -> None:
    found = chat(
        PromptSubmitted(text="one"),
        CallSubmitted(tool="add", arguments="a=1"),
        PromptSubmitted(text="three"),
        finished(1, use("t1", "mcp__s__slow")),
        result("c1", TEXT),
        finished(2, "ready"),
        result("c2", FAILED),
        finished(3, "  "),
    )
    one, two, three = found.turns
    assert [turn.fate for turn in found.turns] == ["done"] * 3
    assert one.calls == [Call("s", "slow", {}, only_reads=True, result="answered")]
    assert two.calls == [Call("s", "add", {"a": 1}, result="error", words="5")]
    assert (two.stop, two.has_text) == ("", False)
    assert (three.calls, three.stop, three.has_text) == ([], "end_turn", False)


def test_a_call_that_is_rejected_is_a_turn_with_its_reason() -> None:
    (turn,) = chat(CallSubmitted(tool="sub")).turns
    assert (turn.fate, turn.stop, turn.calls) == ("done", "rejected", [])
    assert turn.words == "no tool is named 'sub'"


def test_an_empty_prompt_is_none_and_does_not_shift_those_behind_it() -> None:
    found = chat(PromptSubmitted(text=" "), PromptSubmitted(text="hi"), finished(1, "hello"))
    assert [turn.wish for turn in found.turns] == [PromptSubmitted(text="hi")]
    assert found.turns[0].fate == "done"


def test_one_prompt_too_many_is_never_taken_up() -> None:
    found = chat(
        *(PromptSubmitted(text=text) for text in ("one", "two", "three")),
        *(finished(number, "so") for number in (1, 2)),
        PromptSubmitted(text="four"),
        finished(3, "so"),
        max_queued_prompts=1,
    )
    assert [turn.fate for turn in found.turns] == ["done", "done", "waiting", "done"]


def test_a_cancel_takes_the_turn_under_way_and_those_that_wait() -> None:
    found = chat(
        CallSubmitted(tool="add"),
        PromptSubmitted(text="next"),
        PromptCancelled(),
        PromptSubmitted(text="after that"),
        finished(1, "so"),
        interactive=True,
    )
    first, second, third = found.turns
    assert (first.fate, first.calls[0].result) == ("cancelled", "unknown")
    assert (second.fate, second.calls) == ("cancelled", [])
    assert (third.fate, third.stop) == ("done", "end_turn")


def test_a_cancel_when_nothing_is_under_way_takes_no_turn() -> None:
    found = chat(PromptSubmitted(text="one"), finished(1, "so"), PromptCancelled())
    assert [turn.fate for turn in found.turns] == ["done"]


def test_a_turn_without_an_end_stays_open() -> None:
    found = chat(PromptSubmitted(text="one"), finished(1, use("t1", "mcp__s__add")))
    (turn,) = found.turns
    assert (turn.fate, turn.calls[0].result) == ("open", "open")


def test_a_call_whose_server_is_gone_was_not_sent() -> None:
    found = chat(lost(None), CallSubmitted(tool="add"))
    (call,) = found.turns[0].calls
    assert call.result == "not_sent"
    assert call.words.startswith("the server 's' is gone")


def test_what_is_said_of_a_failure_is_kept_in_short() -> None:
    long = {"type": "text", "text": "no " * 1000}
    behaviour = Behaviour(a_plan("s"))
    wish = CallSubmitted(tool="add")
    for item in (wish, called("c1"), done("c1", is_error=True, content=(long,))):
        behaviour.read(item)
    assert len(behaviour.turns[0].calls[0].words) <= 301


def test_what_nobody_wished_for_is_passed_over() -> None:
    """As in a recording that lacks its beginning."""
    behaviour = read(
        a_plan("s"),
        [
            called("c1"),
            done("c1"),
            done("c9"),
            AnswerCompleted(text="so", turns=1),
            PromptSubmitted(text="hi"),
            AnswerCompleted(text="hello", turns=1),
        ],
    )
    assert [(turn.fate, turn.calls) for turn in behaviour.turns] == [("done", [])]


# --- requests ---------------------------------------------------------------------------------


def started(request: str, method: str, server: str = "s") -> RequestStarted:
    return RequestStarted(request=request, server=server, method=method, params={"x": 1})


def ended(request: str, method: str, **fields: Any) -> RequestEnded:
    fields = {"outcome": "answered", **fields}
    return RequestEnded(request=request, server="s", method=method, **fields)


def requested(*items: Passing, into_chat: bool = False) -> Turn:
    wish = RequestSubmitted(method="m", into_chat=into_chat)
    behaviour = read(a_plan("s"), [wish, *items, PromptSubmitted(text="next")])
    behaviour.read(AnswerCompleted(text="of the next", turns=1, stop="refusal"))
    assert len(behaviour.turns) == 2
    return behaviour.turns[0]


def test_a_request_ends_with_the_last_of_its_answers() -> None:
    one, two = started("r1", "m"), started("r2", "m", "t")
    turn = requested(one, two, ended("r1", "m", result={}), ended("r2", "m", error="no"))
    assert turn.calls == [
        Call("s", "m", {"x": 1}, result="answered"),
        Call("t", "m", {"x": 1}, result="error", words="no"),
    ]
    assert (turn.fate, turn.stop) == ("done", "")


def test_a_request_that_was_answered_by_one_of_two_can_still_be_cancelled() -> None:
    one, two = started("r1", "m"), started("r2", "m", "t")
    turn = requested(one, two, ended("r1", "m", result={}), PromptCancelled())
    assert turn.fate == "cancelled"


def test_a_request_that_goes_into_the_chat_ends_with_the_models_answer() -> None:
    said = AnswerCompleted(text="so", turns=1)
    turn = requested(started("r1", "m"), ended("r1", "m", result={}), said, into_chat=True)
    assert (turn.fate, turn.stop) == ("done", "end_turn")


def test_a_request_that_failed_does_not_go_into_the_chat() -> None:
    lost_one = ended("r1", "m", outcome="unknown", reason="it is gone")
    turn = requested(started("r1", "m"), lost_one, into_chat=True)
    assert (turn.fate, turn.stop, turn.calls[0].words) == ("done", "", "it is gone")


# --- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("port", [37001, 40555])
def test_names_that_are_of_one_run_alone_are_told_alike(port: int) -> None:
    name, url = f"localhost-{port}", f"http://localhost:{port}/sse"
    plan = Plan(servers=(ServerPlan(name=name, url=url),))
    items = [CallSubmitted(tool="get"), called("c1", "get", name, page=f"{url}?of={name}")]
    behaviour = read(plan, items)
    assert behaviour.servers == ("localhost",)
    (call,) = behaviour.turns[0].calls
    assert call.server == "localhost"
    assert call.arguments == {"page": "http://localhost:(port)/sse?of=localhost"}


def test_a_run_that_went_on_has_the_goal_and_the_servers_of_its_last_part() -> None:
    servers = (ServerPlan(name="t", url="http://t.example/sse"),)
    behaviour = read(a_plan("s", goal="call"), [RunResumed(goal="prompt", servers=servers)])
    assert (behaviour.goal, behaviour.planned, behaviour.servers) == ("prompt", servers, ("t",))


def test_the_model_of_a_server_is_no_turn_of_its_own() -> None:
    """A server that samples while nothing is asked begins no turn."""
    behaviour = read(
        a_plan("s"),
        [
            CallModel(call="sample:1", messages=()),
            PromptSubmitted(text="hi"),
            called("c1"),
            done("c1"),
            AnswerCompleted(text="so", turns=1),
        ],
    )
    (turn,) = behaviour.turns
    assert (turn.fate, len(turn.calls)) == ("done", 1)
