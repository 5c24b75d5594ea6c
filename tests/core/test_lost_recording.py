"""A recording failed without which a run may not go on: it ends, and does nothing more."""

import pytest

from pipeline.core.commands import CallModel, CancelModel, Passing, ReadPrompt
from pipeline.core.events import (
    AnswerCompleted,
    InputEnded,
    Problem,
    PromptCancelled,
    PromptSubmitted,
    RunEnded,
    RunStarted,
    SinkFailed,
    TimerFired,
    ToolEnded,
)
from pipeline.core.plan import Plan, ServerPlan
from tests.support.play import Core, finished, sse_start, use

PLAN = Plan(servers=(ServerPlan(name="s", url="http://s.test/sse"),))
LOST = SinkFailed(sink="jsonl=x", reason="disk full", ends_run=True)
ENDED = RunEnded(code=1, reason="sink jsonl=x: disk full")
ADD = {"name": "add", "inputSchema": {"type": "object"}}


def started(plan: Plan = PLAN) -> Core:
    core = Core(plan)
    core.feed(RunStarted(), *sse_start(ADD))
    return core


def test_a_run_that_waits_for_a_prompt_ends_at_once() -> None:
    assert started().feed(LOST) == [LOST, ENDED]


def test_so_does_one_that_has_just_begun() -> None:
    core = Core(PLAN)
    core.feed(RunStarted())
    assert core.feed(LOST) == [LOST, ENDED]


def test_a_turn_of_the_model_is_given_up_and_what_waited_for_it() -> None:
    core = started()
    core.feed(PromptSubmitted(text="one"), PromptSubmitted(text="two"))
    items = core.feed(LOST)
    assert items[:2] == [LOST, Problem(where="sink jsonl=x", detail="disk full")]
    assert CancelModel(call="model:1") in items
    assert [item.stop for item in items if isinstance(item, AnswerCompleted)] == ["cancelled"]
    assert items[-1] == ENDED
    assert not any(isinstance(item, CallModel | ReadPrompt) for item in items)


def test_calls_that_run_end_as_unknown_and_the_run_with_them() -> None:
    core = started()
    core.feed(PromptSubmitted(text="go"), finished(1, use("t1", "mcp__s__add")))
    items = core.feed(LOST)
    (ended,) = (item for item in items if isinstance(item, ToolEnded))
    assert ended.outcome == "unknown"
    assert items[-1] == ENDED


@pytest.mark.parametrize("after", [PromptCancelled(), InputEnded(), TimerFired(id="x")])
def test_what_comes_after_changes_nothing(after: Passing) -> None:
    core = started(Plan(servers=PLAN.servers, interactive=True))
    core.feed(PromptSubmitted(text="go"))
    items = core.feed(LOST, after)
    assert [item for item in items if isinstance(item, RunEnded)] == [ENDED]


def test_a_sink_without_which_it_may_go_on_is_only_told() -> None:
    other = SinkFailed(sink="x", reason="gone")
    assert started().feed(other) == [other, Problem(where="sink x", detail="gone")]
