"""A first list of tools that breaks off: kept as far as it came, told, and read again."""

import pytest

from pipeline.core.commands import Close, Passing, Post, Reconnect, StartTimer
from pipeline.core.events import (
    Json,
    PostAnswered,
    Problem,
    RunStarted,
    ServersSettled,
    ToolsListed,
)
from pipeline.core.session.machine import SessionsState, initial, step
from tests.support.play import (
    ADD,
    a_plan,
    an_http_plan,
    answered,
    fired,
    http_start,
    on_stream,
    one,
    only,
    play,
    posted,
    posts,
    refused,
    rejected,
    replied,
    sse_start,
    streaming,
    told,
)

CHANGED = told("notifications/tools/list_changed")
TIMER = fired("session:s")


def page(number: int, *tools: Json, cursor: str = "") -> Passing:
    more: Json = {"nextCursor": cursor} if cursor else {}
    return answered(f"list:s:1.{number}", {"tools": list(tools), **more})


def listing() -> SessionsState:
    """The first page is asked for."""
    return play(step, initial(a_plan("s")), RunStarted(), *sse_start()[:-1])[0]


def broken() -> SessionsState:
    """The first page came, and the second one did not."""
    return play(step, listing(), page(1, ADD, cursor="x"), refused("list:s:1.2", "no"))[0]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (refused("list:s:1.2", "broken", -32603), "broken (code -32603)"),
        (answered("list:s:1.2", {}), "found NoneType as `tools`, expected a list"),
        (TIMER, "no answer within 10 s (--connect-timeout)"),
        (posted("list:s:1.2", 503), "HTTP 503"),
        (posted("list:s:1.2", None, reason="reset"), "reset"),
    ],
)
def test_a_list_that_breaks_off_is_kept_as_far_as_it_came_and_read_again(
    failure: Passing, words: str
) -> None:
    state, out = play(step, listing(), page(1, ADD, cursor="x"), failure)
    assert one(ToolsListed, out).tools == (ADD,)
    assert one(ServersSettled, out).ready == ("s",)
    problem = one(Problem, out)
    assert problem.detail == f"the tool list is not whole: 1 tool came, and then: {words}"
    assert problem.hint == "it is read again in 1 s"
    assert only(StartTimer, out)[-1] == StartTimer(id="session:s", seconds=1.0)
    state, out = play(step, state, TIMER)
    post = one(Post, out)
    assert (post.id, post.message["params"]) == ("list:s:1.3", {})
    state, out = play(step, state, page(3, ADD, cursor="x"), page(4, ADD))
    assert one(ToolsListed, out).tools == (ADD, ADD)
    assert step(state, TIMER) == (state, (TIMER,))


def test_a_list_that_keeps_breaking_off_is_read_again_a_few_times_only() -> None:
    state, pauses = broken(), list[float]()
    for number in (3, 5, 7):
        failure = refused(f"list:s:1.{number + 1}", "broken")
        state, out = play(step, state, TIMER, page(number, ADD, cursor="x"), failure)
        assert only(ToolsListed, out) == []
        pauses += [each.seconds for each in out[-1:] if isinstance(each, StartTimer)]
        problem = one(Problem, out)
    assert pauses == [2.0, 4.0]
    assert problem.hint.startswith("it is not read again until")
    assert step(state, TIMER) == (state, (TIMER,))
    _, out = play(step, state, CHANGED, refused("list:s:1.9", "no"))
    assert "the old one stays" in one(Problem, out).detail


def test_a_list_that_comes_further_the_next_time_is_told_again() -> None:
    items = TIMER, page(3, ADD, ADD, cursor="x"), refused("list:s:1.4", "no")
    _, out = play(step, broken(), *items)
    assert one(ToolsListed, out).tools == (ADD, ADD)
    assert "2 tools came" in one(Problem, out).detail


def test_a_change_that_is_told_does_not_wait_for_the_pause_and_a_whole_list_ends_it() -> None:
    state, out = play(step, broken(), CHANGED)
    assert posts(out) == ["list:s:1.3"]
    state, out = play(step, state, page(3))
    assert one(ToolsListed, out).tools == ()
    assert step(state, TIMER) == (state, (TIMER,))


def test_a_first_page_that_fails_is_asked_for_again_unless_there_is_no_such_method() -> None:
    state, out = play(step, listing(), refused("list:s:1.1", "busy", -32000))
    assert one(Problem, out).hint == "it is read again in 1 s"
    _, out = play(step, state, TIMER, page(2, ADD))
    assert one(ToolsListed, out).tools == (ADD,)
    state, out = play(step, listing(), refused("list:s:1.1", "no such method", -32601))
    assert (only(StartTimer, out), one(ToolsListed, out).tools) == ([], ())
    assert step(state, TIMER) == (state, (TIMER,))


def test_without_a_first_page_there_is_no_session() -> None:
    for failure in (TIMER, posted("list:s:1.1", 500), posted("list:s:1.1", None, reason="reset")):
        _, out = play(step, listing(), failure)
        assert only(ToolsListed, out) == []
        assert one(Reconnect, out).server == "s"


# --- over Streamable HTTP -------------------------------------------------------------------------


def second_page() -> SessionsState:
    """The second page is asked for."""
    first = replied("list:s:1.1", {"tools": [ADD], "nextCursor": "x"})
    return play(step, initial(an_http_plan("s")), RunStarted(), *http_start()[:-1], first)[0]


@pytest.mark.parametrize(
    "failure",
    [
        rejected("list:s:1.2", 500),
        rejected("list:s:1.2", 404),
        rejected("list:s:1.2", 400, -32602),
        posted("list:s:1.2", 202),
        posted("list:s:1.2", None, reason="reset"),
        TIMER,
    ],
)
def test_so_it_is_whatever_the_answer_was(failure: Passing) -> None:
    state, out = play(step, second_page(), failure)
    assert one(ToolsListed, out).tools == (ADD,)
    assert only(Reconnect, out) == []
    _, out = play(step, state, TIMER)
    assert posts(out) == ["list:s:1.3"]


def test_so_it_is_where_the_answer_breaks_off() -> None:
    ended = on_stream("list:s:1.2", answered("list:s:1.2", {"tools": 5}))
    _, out = play(step, second_page(), streaming("list:s:1.2"), ended)
    assert one(ToolsListed, out).tools == (ADD,)


def test_who_is_shut_out_between_two_pages_is_not_let_in_by_the_first_one() -> None:
    refusal = PostAnswered(server="s", id="list:s:1.2", status=401)
    _, out = play(step, second_page(), refusal)
    assert one(Close, out).status == 401
    assert only(ToolsListed, out) == []
