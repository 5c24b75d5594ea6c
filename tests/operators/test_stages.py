"""The four stages of the core as operators: each is one step function, with its own fresh state."""

from collections.abc import Callable, Sequence

import pytest
from reactivex import Observable
from reactivex.subject import Subject

from operators.agent_loop import agent_loop
from operators.end_of_run import end_of_run
from operators.extract_session import extract_session
from operators.tool_registry import tool_registry
from pipeline.core import run, tools
from pipeline.core.agent import machine as agent
from pipeline.core.agent import state as agent_state
from pipeline.core.commands import CallModel, Passing, ReadPrompt
from pipeline.core.events import (
    InputEnded,
    PromptSubmitted,
    RunEnded,
    RunStarted,
    ServersSettled,
    SessionReady,
    ToolsChanged,
    ToolsListed,
)
from pipeline.core.plan import Plan
from pipeline.core.session import machine as session
from tests.support.play import ADD, a_plan, finished, only, play, seed_start

Stage = Callable[[Plan], Callable[[Observable[Passing]], Observable[Passing]]]
PLAN = a_plan("s")
SETTLED = ServersSettled(ready=("s",))
LISTED = ToolsListed(server="s", tools=(ADD,))


def through(stage: Stage, *items: Passing) -> list[Passing]:
    source: Subject[Passing] = Subject()
    out: list[Passing] = []
    faults: list[Exception] = []
    with source.pipe(stage(PLAN)).subscribe(out.append, faults.append):
        for item in items:
            source.on_next(item)
    assert faults == []
    return out


def test_extract_session_makes_a_session_of_frames() -> None:
    out = through(extract_session, RunStarted(), *seed_start(ADD))
    assert only(SessionReady, out)[0].protocol == "seed"
    assert only(ToolsListed, out) == [LISTED]


def test_tool_registry_makes_a_registry_of_lists() -> None:
    (changed,) = through(tool_registry, LISTED)
    assert isinstance(changed, ToolsChanged)
    assert changed.added == ("add",)
    assert changed.tools[0].alias == "mcp__s__add"


def test_agent_loop_makes_an_answer_of_a_prompt() -> None:
    prompt = PromptSubmitted(text="hi")
    out = through(agent_loop, SETTLED, prompt, finished(1, "hello"))
    assert only(CallModel, out)[0].messages[0]["role"] == "user"
    assert out[-1] == ReadPrompt()


def test_end_of_run_ends_the_run() -> None:
    out = through(end_of_run, SETTLED, ReadPrompt(), InputEnded())
    assert out[-1] == RunEnded(code=0)


@pytest.mark.parametrize(
    ("stage", "step", "initial", "items"),
    [
        (extract_session, session.step, session.initial, [RunStarted(), *seed_start(ADD)]),
        (tool_registry, tools.step, tools.initial, [LISTED, LISTED]),
        (agent_loop, agent.step, agent_state.initial, [SETTLED, PromptSubmitted(text="hi")]),
        (end_of_run, run.step, run.initial, [SETTLED, ReadPrompt(), InputEnded()]),
    ],
)
def test_a_stage_is_its_step_and_begins_anew_in_each_subscription(
    stage: Stage,
    step: Callable[..., tuple[object, Sequence[Passing]]],
    initial: Callable[[Plan], object],
    items: Sequence[Passing],
) -> None:
    _, expected = play(step, initial(PLAN), *items)
    assert through(stage, *items) == expected
    source: Subject[Passing] = Subject()
    operator = source.pipe(stage(PLAN))
    for _ in range(2):
        out: list[Passing] = []
        with operator.subscribe(out.append):
            for item in items:
                source.on_next(item)
        assert out == expected
