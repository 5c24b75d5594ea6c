"""A list of tools that was read again has a rest: a server cannot have it read for ever."""

from typing import Any

import pytest

from pipeline.core.commands import Passing, Post, StartTimer
from pipeline.core.events import Problem, RunStarted, ToolsListed
from pipeline.core.session.machine import SessionsState, initial, step
from tests.support.play import (
    ADD,
    a_plan,
    answered,
    fired,
    lost,
    one,
    only,
    play,
    refused,
    sse_start,
    told,
)

CHANGED = told("notifications/tools/list_changed")
READ_AGAIN = answered("list:s:1.2", {"tools": [ADD]})
OVER = fired("session:s")
REST = StartTimer(id="session:s", seconds=3.0)


def begun(*items: Passing, **changes: Any) -> tuple[SessionsState, list[Passing]]:
    """A session that stands, and what these items make of it."""
    plan = a_plan("s", **{"list_pause": 3.0, **changes})
    state, _ = play(step, initial(plan), RunStarted(), *sse_start(ADD))
    return play(step, state, *items)


def readings(out: list[Passing]) -> list[str]:
    return [post.id for post in only(Post, out) if post.id.startswith("list:")]


def test_the_first_change_is_read_at_once_and_what_comes_then_waits_for_the_rest() -> None:
    state, out = begun(CHANGED)
    assert readings(out) == ["list:s:1.2"]
    state, out = play(step, state, READ_AGAIN)
    assert one(StartTimer, out) == REST
    state, out = play(step, state, *[CHANGED] * 5)
    assert readings(out) == []
    state, out = play(step, state, OVER)
    assert readings(out) == ["list:s:1.3"]


def test_a_change_that_is_told_while_it_is_read_waits_for_the_rest_too() -> None:
    state, out = begun(CHANGED, CHANGED, READ_AGAIN)
    assert readings(out) == ["list:s:1.2"]
    _, out = play(step, state, OVER)
    assert readings(out) == ["list:s:1.3"]


def test_a_rest_without_a_change_is_over_and_the_next_change_is_read_at_once() -> None:
    state, out = begun(CHANGED, READ_AGAIN, OVER)
    assert readings(out) == ["list:s:1.2"]
    _, out = play(step, state, CHANGED)
    assert readings(out) == ["list:s:1.3"]


def test_a_reading_that_fails_has_its_rest_too_and_forgets_no_change() -> None:
    state, out = begun(CHANGED, CHANGED, refused("list:s:1.2", "no"))
    assert "the old one stays" in one(Problem, out).detail
    assert only(StartTimer, out)[-1] == REST
    _, out = play(step, state, OVER)
    assert readings(out) == ["list:s:1.3"]


def test_a_rest_does_not_outlive_its_session() -> None:
    state, _ = begun(CHANGED, READ_AGAIN, lost())
    _, out = play(step, state, OVER)
    assert readings(out) == []
    state, out = play(step, state, *sse_start(ADD, generation=2))
    assert len(only(ToolsListed, out)) == 1
    _, out = play(step, state, CHANGED)
    assert readings(out) == ["list:s:2.2"]


@pytest.mark.parametrize("answer", [READ_AGAIN, refused("list:s:1.2", "no")])
def test_a_plan_of_a_time_without_a_rest_has_none(answer: Passing) -> None:
    state, out = begun(CHANGED, answer, list_pause=0.0)
    assert REST not in out
    _, out = play(step, state, CHANGED)
    assert readings(out) == ["list:s:1.3"]
