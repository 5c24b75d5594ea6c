"""A run that goes on under another plan: from `RunResumed` on every stage keeps to that one."""

from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core import run, tools
from pipeline.core.agent import machine as agent
from pipeline.core.agent import state as agents
from pipeline.core.codec import Entry, decode_entry, encode_entry
from pipeline.core.commands import Ask, Passing, Post, StartTimer
from pipeline.core.events import (
    QuestionAnswered,
    QuestionClosed,
    RunResumed,
    ServerAsked,
    ToolsChanged,
    ToolsListed,
)
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.question_table import Origin, Questions
from pipeline.core.questions import ask, on_answered, on_resumed, on_timer
from pipeline.core.session import machine as sessions
from tests.support.play import URL, a_route, one, only, play

SERVERS = (ServerPlan(name="s", url=URL),)
BEFORE = Plan(servers=SERVERS, max_tools=5, start_timeout=30.0)
FORM = {
    "message": "who?",
    "requestedSchema": {"properties": {"name": {"type": "string", "default": "Ada"}}},
}
LINK = {"mode": "url", "url": "https://a.example/", "message": "go", "elicitationId": "e"}
SAMPLE = {"messages": [{"role": "user", "content": {"type": "text", "text": "hi"}}], "maxTokens": 9}


def resumed(**changes: Any) -> RunResumed:
    return RunResumed(goal="chat", servers=SERVERS, plan=Plan(**changes))


# --- what the event says ------------------------------------------------------------------------


def test_without_a_plan_all_stays_but_for_what_the_event_says_itself() -> None:
    event = RunResumed(goal="prompt", servers=(), interactive=True)
    assert event.plan_after(BEFORE) == replace(BEFORE, goal="prompt", servers=(), interactive=True)


def test_with_a_plan_that_one_holds_but_for_what_the_event_says_itself() -> None:
    plan = resumed(goal="call", servers=(), call_timeout=7.0).plan_after(BEFORE)
    assert plan == Plan(servers=SERVERS, call_timeout=7.0)


def test_it_comes_out_of_a_recording_as_it_went_in() -> None:
    entry = Entry(seq=1, at="2026-01-01T00:00:00Z", session="a", item=resumed(answers={"a": [1]}))
    assert decode_entry(encode_entry(entry)) == entry


# --- each stage ---------------------------------------------------------------------------------


def test_servers_have_the_time_to_start_that_is_told_now() -> None:
    _, out = play(sessions.step, sessions.initial(BEFORE), resumed(start_timeout=3.0))
    assert StartTimer(id="start", seconds=3.0) in out


def test_no_more_tools_are_kept_than_is_told_now() -> None:
    raw = tuple({"name": name, "inputSchema": {"type": "object"}} for name in "abc")
    listed = ToolsListed(server="s", tools=raw)
    _, out = play(tools.step, tools.initial(BEFORE), resumed(max_tools=2), listed)
    assert [tool.name for tool in one(ToolsChanged, out).tools] == ["a", "b"]


def test_calls_questions_requests_and_pins_know_the_plan_of_now() -> None:
    now, _ = play(agent.step, agents.initial(BEFORE), resumed(call_timeout=7.0, max_turns=2))
    plan = Plan(servers=SERVERS, call_timeout=7.0, max_turns=2)
    tables = (now.calls, now.questions, now.requests, now.pins)
    assert [now.plan, *(table.plan for table in tables)] == [plan] * 5


def test_the_end_of_the_run_is_decided_by_the_plan_of_now() -> None:
    now, _ = play(run.step, run.initial(BEFORE), resumed(ignore_tool_error=True))
    assert now.plan.ignore_tool_error


# --- who answers now ----------------------------------------------------------------------------


def open_question(method: str, params: Any) -> tuple[Questions, list[Passing]]:
    """A call needs something, and the person was asked when the run was cut off."""
    table = Questions(Plan(elicitation="ask", sampling="ask", model="claude-x"))
    origin = Origin(server="s", waiter="c1", key="a")
    table, out = ask(table, origin, method, params)
    return table, [*out]


def gone_on(table: Questions, **changes: Any) -> tuple[Questions, list[Passing], list[Passing]]:
    """It goes on: the table, what comes out at once, and what when all has got over the break."""
    table, at_once = on_resumed(replace(table, plan=Plan(model="claude-x", **changes)))
    table, then = on_timer(table, "question:q2")
    return table, [*at_once], [*then]


@pytest.mark.parametrize(
    ("params", "changes", "action", "result"),
    [
        (FORM, {"elicitation": "defaults"}, "accept", {"name": "Ada"}),
        (FORM, {"elicitation": "defaults", "answers": {"name": "Bo"}}, "accept", {"name": "Bo"}),
        (FORM, {"elicitation": "never"}, "decline", None),
        (LINK, {"elicitation": "defaults"}, "decline", None),
    ],
)
def test_where_nobody_is_to_be_asked_any_more_the_answer_is_what_was_said_beforehand(
    params: Any, changes: Any, action: str, result: Any
) -> None:
    table, at_once, then = gone_on(open_question("elicitation/create", params)[0], **changes)
    assert only(Ask, at_once) == []
    assert at_once[-1] == StartTimer(id="question:q2", seconds=0.0)
    assert one(QuestionClosed, then).action == action
    (given,) = table.answers
    assert given.result == {"action": action} | ({} if result is None else {"content": result})
    assert table.open == {}


def test_the_person_is_asked_again_where_one_is_to_be_asked() -> None:
    _, at_once, then = gone_on(
        open_question("elicitation/create", FORM)[0], elicitation="ask", question_timeout=9.0
    )
    assert at_once[-2:] == [StartTimer(id="question:q2", seconds=9.0), Ask(question="q2")]
    assert one(QuestionClosed, then).action == "cancel"


@pytest.mark.parametrize(("policy", "is_asked"), [("always", True), ("never", False)])
def test_so_it_is_with_what_a_server_wants_of_the_model(policy: str, is_asked: bool) -> None:
    table, _, _ = gone_on(open_question("sampling/createMessage", SAMPLE)[0], sampling=policy)
    assert [question.state for question in table.open.values()] == ["sampling"] * is_asked
    assert len(table.answers) == (not is_asked)


def test_nothing_is_spent_on_it_where_the_budget_is_used_up() -> None:
    table, _ = open_question("sampling/createMessage", SAMPLE)
    table, _ = on_resumed(replace(table, plan=Plan(model="claude-x", sampling="always")))
    table, _ = on_timer(table, "question:q2", may_spend=False)
    (given,) = table.answers
    assert "budget is used up" in given.refusal


def test_what_was_refused_before_is_asked_where_somebody_is_there_now() -> None:
    asks = ServerAsked(
        server="s", id=1, method="elicitation/create", params=FORM, route=a_route("s")
    )
    state, out = play(agent.step, agents.initial(BEFORE), asks)
    assert "error" in one(Post, out).message
    state, out = play(agent.step, state, resumed(elicitation="ask"), replace(asks, id=2))
    assert one(Ask, out).question == "q1"
    answer = QuestionAnswered(question="q1", action="accept", content={"name": "Ada"})
    table, _ = on_answered(state.questions, answer)
    assert table.open == {}
