"""The seed dialect: events in its own words, as moves of one session."""

from typing import Any

import pytest

from pipeline.core.commands import Passing, Reconnect, StopTimer
from pipeline.core.events import (
    Json,
    Problem,
    ReplyReceived,
    SessionReady,
    ToolsListed,
)
from pipeline.core.session import seed
from pipeline.core.session.state import Session
from tests.support.play import ADD, URL, a_route, frame, one, posted, text_block

OK: Json = {"content": [text_block("5")]}
SESSION = Session(
    server="s", url=URL, phase="deciding", session_id="s1", route=a_route(dialect="sse")
)


def reply(outputs: tuple[Passing, ...]) -> ReplyReceived:
    return one(ReplyReceived, outputs)


def tools(data: Any, session: Session = SESSION) -> tuple[Session, tuple[Passing, ...]]:
    event = frame("tools", data)
    return seed.on_tools(session, event)


def test_a_call_carries_the_session_the_tool_its_arguments_and_an_id() -> None:
    assert seed.call(a_route(dialect="seed"), "call:c1", "add", {"a": 1}) == {
        "session_id": "s1",
        "tool": "add",
        "args": {"a": 1},
        "id": "call:c1",
    }


# --- tools ------------------------------------------------------------------------------------


def test_the_first_tools_event_makes_the_session_ready() -> None:
    session, out = tools([ADD])
    assert session.phase == "ready"
    route = a_route(dialect="seed")
    assert out == (
        SessionReady(server="s", route=route, protocol="seed"),
        StopTimer(id="session:s"),
        ToolsListed(server="s", tools=(ADD,)),
    )


def test_calls_go_to_the_url_of_the_stream_itself() -> None:
    _, out = tools([])
    assert one(SessionReady, out).route.url == URL


def test_later_tools_events_are_a_new_list_and_no_new_session() -> None:
    session, _ = tools([ADD])
    _, out = tools([], session)
    assert out == (StopTimer(id="session:s"), ToolsListed(server="s", tools=()))


def test_an_endpoint_without_a_session_id_is_of_no_use() -> None:
    nameless = Session(server="s", url=URL, phase="deciding", route=a_route())
    session, out = tools([ADD], nameless)
    assert session.phase == "closed"
    assert "names no session_id" in one(Reconnect, out).reason


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("{", "truncated"),
        ('{"tools":[]}', "found a dict, expected a list of tools"),
        ("null", "found a NoneType"),
        ("", "truncated"),
        ("[" * 5000 + "]" * 5000, "nested too deep, expected no more than 100 levels"),
        ("[" * 200 + "]" * 200, "nested too deep"),
    ],
)
def test_a_malformed_first_list_is_told_and_the_session_is_ready_without_tools(
    data: str, found: str
) -> None:
    session, out = tools(data)
    assert session.phase == "ready"
    assert one(ToolsListed, out).tools == ()
    problem = one(Problem, out)
    assert problem.detail.startswith("malformed `tools` event: ")
    assert found in problem.detail


def test_a_malformed_later_list_is_told_and_the_old_one_stays() -> None:
    session, _ = tools([ADD])
    after, out = tools("{", session)
    assert after.phase == "ready"
    assert [type(item) for item in out] == [Problem]


# --- result -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "id_", "result"),
    [
        ({"id": "call:c1", **OK}, "call:c1", OK),
        ({"id": "call:c1", "isError": True, **OK}, "call:c1", {"isError": True, **OK}),
        (OK, None, OK),
        ({"id": "call:c1", "result": OK}, "call:c1", OK),
        ({"result": OK}, None, OK),
        ({"id": "other", "result": OK}, "other", OK),
        ({"id": 7, "result": OK}, None, OK),
        ({"id": None, "result": OK}, None, OK),
        ({"id": "call:c1", "result": 5}, "call:c1", {"content": [text_block("5")]}),
        ({"id": "call:c1", "result": "five"}, "call:c1", {"content": [text_block("five")]}),
        ({"id": "call:c1", "sum": 5}, "call:c1", {"content": [text_block('{"sum":5}')]}),
        ("5", None, {"content": [text_block("5")]}),
        ('"five"', None, {"content": [text_block("five")]}),
        ("[1,2]", None, {"content": [text_block("[1,2]")]}),
        ("null", None, {"content": [text_block("null")]}),
        ({"content": "plain"}, None, {"content": [text_block('{"content":"plain"}')]}),
    ],
)
def test_a_result_in_any_shape_becomes_an_mcp_result(
    data: Any, id_: str | None, result: Json
) -> None:
    event = frame("result", data)
    session, out = seed.on_result(SESSION, event.data)
    assert session is SESSION
    assert reply(out) == ReplyReceived(server="s", id=id_, result=result)


@pytest.mark.parametrize("id_", ["user-17", 17, None])
def test_a_bare_result_with_an_id_of_its_own_is_not_taken_for_an_echo(id_: Any) -> None:
    text = frame("result", {"id": id_, "name": "Bob"}).data
    (_, (found,)) = seed.on_result(SESSION, text)
    assert found == ReplyReceived(server="s", id=None, result={"content": [text_block(text)]})


def test_a_malformed_result_is_the_error_of_the_call_it_answers() -> None:
    _, out = seed.on_result(SESSION, "{oops")
    assert reply(out).id is None
    assert reply(out).result is None
    assert reply(out).error.startswith("malformed `result` event: ")
    assert "'{oops'" in reply(out).error


# --- error ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "id_", "error"),
    [
        ({"id": "call:c1", "error": "no"}, "call:c1", "no"),
        ({"error": "no"}, None, "no"),
        ({"id": "call:c1", "error": {"code": 5, "message": "no"}}, "call:c1", "no (code 5)"),
        ({"message": "no"}, None, "no"),
        ({"id": "call:c1", "why": 1}, "call:c1", '{"why":1}'),
        ('"no"', None, "no"),
        ("not json", None, "not json"),
        ("", None, "the server gave no reason"),
        ({"error": ""}, None, "the server gave no reason"),
        ({"id": 5, "error": "no"}, None, "no"),
    ],
)
def test_an_error_in_any_shape_is_told_in_words(data: Any, id_: str | None, error: str) -> None:
    event = frame("error", data)
    _, out = seed.on_error(SESSION, event.data)
    assert reply(out) == ReplyReceived(server="s", id=id_, error=error)


# --- the body of a POST -----------------------------------------------------------------------

ANSWER = ReplyReceived(server="s", id="call:c1", result=OK)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"content":[{"type":"text","text":"5"}]}', [ANSWER]),
        ('{"result":5}', [ANSWER]),
        ('{"id":"call:c1","result":5}', [ANSWER]),
        (
            '{"id":"call:c9","result":5}',
            [ReplyReceived(server="s", id="call:c9", result=OK)],
        ),
        ('{"error":"no"}', [ReplyReceived(server="s", id="call:c1", error="no")]),
        ("event: result\ndata: 5\n\n", [ANSWER]),
        ("event:result\ndata:5", [ANSWER]),
        ("data: 5\nevent: result", [ANSWER]),
        (": hello\n\nid: 1\nevent: result\ndata: 5\n\n", [ANSWER]),
        ("\nevent: result\r\ndata: 5\r\n\r\n", [ANSWER]),
        ("event: ping\ndata: x\n\nevent: result\ndata: 5\n\n", [ANSWER]),
        (
            "event: error\ndata: no\n\n",
            [ReplyReceived(server="s", id="call:c1", error="no")],
        ),
        ("event: message\ndata: 5\n\n", []),
        ('{"status":"accepted"}', []),
        ('{"id":"call:c1","status":"accepted"}', []),
        ("Accepted", []),
        ('"accepted"', []),
        ("{", []),
        ("[]", []),
        ("<html>", []),
    ],
)
def test_an_answer_in_the_body_of_a_post_is_the_answer_to_what_was_posted(
    body: str, expected: list[ReplyReceived]
) -> None:
    session, out = seed.on_body(SESSION, posted("call:c1", 200, body=body))
    assert session is SESSION
    assert list(out) == expected


def test_a_body_about_anything_but_a_call_says_nothing() -> None:
    assert seed.on_body(SESSION, posted("init:s:1", 200, body='{"error":"no"}')) == (SESSION, ())
