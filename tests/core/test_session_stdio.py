"""A process: its lines, what is no message among them, and a pipe that takes nothing."""

from typing import Any

import pytest

from pipeline.core.commands import Passing, Post, Reconnect
from pipeline.core.events import Problem, ReplyReceived, RunStarted, ServerAsked, SessionReady
from pipeline.core.session.machine import SessionsState, initial, step
from pipeline.core.session.state import Session
from tests.support.play import (
    ADD,
    a_process_plan,
    answered,
    asked,
    frame,
    greeting,
    kinds,
    lost,
    one,
    only,
    opened,
    play,
    posted,
    posts,
    refused,
    told,
)


def line(text: str) -> Passing:
    return frame("message", text)


START: list[Passing] = [
    opened(),
    refused("discover:s:1.1", code=-32601),
    answered("init:s:1", greeting()),
    answered("list:s:1.1", {"tools": [ADD]}),
]


def after(*items: Passing) -> SessionsState:
    return play(step, initial(a_process_plan("s")), RunStarted(), *items)[0]


def session(state: SessionsState) -> Session:
    return state.sessions["s"]


def then(state: SessionsState, *items: Passing) -> list[Passing]:
    _, out = play(step, state, *items)
    return [o for o in out if o not in items]


def test_a_handshake_over_a_pipe_waits_for_no_202() -> None:
    state, out = play(step, after(*START[:2]), START[2])
    assert posts(out) == ["initialized:s", "list:s:1.1"]
    assert all((post.url, post.headers) == ("", {}) for post in only(Post, out))
    hello = one(SessionReady, then(state, START[3]))
    assert (hello.route.dialect, hello.route.protocol) == ("stdio", "2025-11-25")
    assert hello.route.session_id == ""


@pytest.mark.parametrize("text", ["  {M}", "\t{M}\r", "{M}  "])
def test_space_around_a_message_does_not_matter(text: str) -> None:
    message = '{"jsonrpc":"2.0","id":"call:c1","result":{}}'
    out = then(after(*START), line(text.replace("{M}", message)))
    assert out == [ReplyReceived(server="s", id="call:c1", result={})]


def test_a_batch_is_taken_in_its_order() -> None:
    batch = '[{"jsonrpc":"2.0","id":"call:a","result":{}},{"jsonrpc":"2.0","id":1,"method":"ping"}]'
    assert kinds(then(after(*START), line(batch))) == ["ReplyReceived", "Post"]


def test_the_first_line_that_is_no_message_is_told_also_for_later_connections() -> None:
    state, out = play(step, after(*START), line("\x1b[31mServer running!"), line("again"))
    problem = one(Problem, out)
    assert problem.detail == (
        "it writes more than messages to its output: '\\x1b[31mServer running!'"
    )
    state, out = play(step, state, lost(), opened(), line("Server running!"))
    assert only(Problem, out) == []


@pytest.mark.parametrize("text", ["", " ", "\r", "\t"])
def test_an_empty_line_says_nothing(text: str) -> None:
    assert then(after(*START), line(text)) == []
    assert one(Problem, then(after(*START), line(text), line("x")))


def test_a_torn_message_is_told_each_time() -> None:
    out = then(after(*START), line('{"jsonrpc":'), line('{"id":'))
    assert kinds(out) == ["Problem", "Problem"]


def test_what_a_process_asks_is_handed_on() -> None:
    state = after(*START)
    (question,) = then(state, asked(1, "elicitation/create"))
    assert question == ServerAsked(
        server="s", id=1, method="elicitation/create", route=session(state).route
    )


def test_that_a_pipe_took_a_message_says_nothing() -> None:
    state = after(*START[:2])
    assert step(state, posted("init:s:1")) == (state, (posted("init:s:1"),))


CLOSED: dict[str, Any] = {"status": None, "reason": "the process is gone", "is_sent": False}


@pytest.mark.parametrize(
    ("items", "id_", "expected"),
    [
        (START[:1], "discover:s:1.1", ["StopTimer", "Reconnect"]),
        (START[:2], "init:s:1", ["StopTimer", "Reconnect"]),
        (START[:3], "list:s:1.1", ["StopTimer", "Reconnect"]),
        (START[:3], "initialized:s", ["Problem"]),
        (START, "answer:s:1", ["Problem"]),
        (START, "call:c1", []),
        (START, "cancel:c1", []),
    ],
)
def test_a_pipe_that_takes_nothing_ends_what_cannot_go_on_without(
    items: list[Passing], id_: str, expected: list[str]
) -> None:
    out = then(after(*items), posted(id_, **CLOSED))
    assert kinds(out) == expected
    for problem in only(Problem, out):
        assert problem.detail.endswith("could not be delivered: the process is gone")
    for each in only(Reconnect, out):
        assert each.reason.endswith("could not be delivered: the process is gone")


def test_a_list_that_a_pipe_does_not_take_leaves_the_old_one() -> None:
    state, out = play(step, after(*START), told("notifications/tools/list_changed"))
    assert posts(out) == ["list:s:1.2"]
    out = then(state, posted("list:s:1.2", **CLOSED))
    assert "the process is gone; the old one stays" in one(Problem, out).detail
