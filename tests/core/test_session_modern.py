"""Stateless servers, since 2026-07-28: what goes with each request, and what comes back."""

from typing import Any

import pytest

from pipeline.core.commands import Get, Passing, Post, Reconnect
from pipeline.core.events import (
    Json,
    Problem,
    ReplyReceived,
    RequestLost,
    RunStarted,
    SessionOffers,
    SessionReady,
    ToolsListed,
)
from pipeline.core.plan import Plan
from pipeline.core.session import wire
from pipeline.core.session.machine import SessionsState, initial, step
from pipeline.core.session.state import Session
from tests.support.play import (
    ADD,
    DISCOVERED,
    a_process_plan,
    an_http_plan,
    answered,
    asked,
    ended,
    frame,
    kinds,
    lost,
    modern_start,
    on_stream,
    one,
    only,
    opened,
    play,
    posted,
    posts,
    refused,
    rejected,
    replied,
    streaming,
    told,
)

CALL = "call:c1"
HEADERS = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
QUIET: Json = {"capabilities": {"tools": {}}}


def after(*items: Passing, plan: Plan | None = None) -> SessionsState:
    return play(step, initial(plan or an_http_plan("s")), RunStarted(), *items)[0]


def ready(**of: Any) -> SessionsState:
    return after(*modern_start(ADD, **{**QUIET, **of}))


def process() -> SessionsState:
    found = answered("discover:s:1.1", {**DISCOVERED, **QUIET})
    tools = answered("list:s:1.1", {"tools": [ADD]})
    return after(opened(), found, tools, plan=a_process_plan("s"))


def session(state: SessionsState) -> Session:
    return state.sessions["s"]


def then(state: SessionsState, *items: Passing) -> list[Passing]:
    """What comes out, without the items themselves."""
    _, out = play(step, state, *items)
    return [o for o in out if o not in items]


# --- ready --------------------------------------------------------------------------------------


def test_discovery_and_a_list_make_a_server_ready() -> None:
    of: Json = {"instructions": "be kind", "capabilities": {"tools": {}, "prompts": {}}}
    _, out = play(step, after(), *modern_start(ADD, **of))
    hello = one(SessionReady, out)
    assert (hello.protocol, hello.server_name, hello.server_version) == (
        "2026-07-28",
        "demo",
        "2.0",
    )
    assert hello.instructions == "be kind"
    assert hello.route.protocol == "2026-07-28"
    assert out[out.index(hello) - 1] == SessionOffers(
        server="s", capabilities={"tools": {}, "prompts": {}}
    )
    assert one(ToolsListed, out).tools == (ADD,)
    # No handshake, no stream of the server's own.
    assert posts(out) == ["discover:s:1.1", "list:s:1.1"]
    assert only(Get, out) == []


@pytest.mark.parametrize("meta", [None, {}, {"io.modelcontextprotocol/serverInfo": "demo"}])
def test_a_server_may_say_nothing_of_itself(meta: Any) -> None:
    hello = one(SessionReady, play(step, after(), *modern_start(ADD, _meta=meta))[1])
    assert (hello.server_name, hello.server_version) == ("", "")


def test_a_server_without_tools_is_ready_at_once() -> None:
    _, out = play(step, after(), *modern_start(capabilities={})[:2])
    assert one(SessionReady, out).protocol == "2026-07-28"
    assert posts(out) == ["discover:s:1.1"]


def test_a_list_has_the_headers_of_its_method() -> None:
    _, out = play(step, after(), *modern_start(ADD)[:2])
    assert only(Post, out)[-1].headers == HEADERS


@pytest.mark.parametrize(
    ("plan", "capabilities"),
    [
        ({}, {}),
        ({"elicitation": "ask"}, {"elicitation": {"form": {}, "url": {}}}),
        ({"sampling": "always"}, {"sampling": {}}),
        ({"roots": ("file:///a",)}, {"roots": {}}),
        ({"tasks": True}, {"extensions": {"io.modelcontextprotocol/tasks": {}}}),
    ],
)
def test_each_request_says_what_the_client_can_do(plan: Any, capabilities: Json) -> None:
    _, out = play(step, after(plan=an_http_plan("s", **plan)), *modern_start(ADD))
    meta = one(SessionReady, out).route.meta
    assert meta["io.modelcontextprotocol/clientCapabilities"] == capabilities
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    said = [post.message["params"]["_meta"] for post in only(Post, out)]
    assert said == [meta] * 3  # discovery, the list, the subscription


def test_the_log_level_goes_with_each_request_and_is_never_set() -> None:
    plan = an_http_plan("s", log_level="warning")
    start = modern_start(ADD, capabilities={"tools": {}, "logging": {}})
    _, out = play(step, after(plan=plan), *start)
    levels = [p.message["params"]["_meta"].get(f"{wire.META}logLevel") for p in only(Post, out)]
    assert levels == ["warning", "warning"]


def test_pages_are_read_to_the_last_one() -> None:
    page = replied("list:s:1.1", {"tools": [ADD], "nextCursor": "", "ttlMs": 0})
    state = after(*modern_start(ADD, **QUIET)[:2])
    state, out = play(step, state, page)
    assert one(Post, out).message["params"]["cursor"] == ""
    out = then(state, replied("list:s:1.2", {"tools": [], "resultType": "complete"}))
    assert one(ToolsListed, out).tools == (ADD,)


# --- results ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        {"content": []},
        {"resultType": "complete", "content": [], "structuredContent": None},
        {"resultType": "complete", "structuredContent": [1, "x"]},
        {"resultType": "input_required", "inputRequests": {"a": {}}, "requestState": "x"},
        {"resultType": "task", "taskId": "t"},
    ],
)
def test_a_result_is_handed_on_untouched(result: Json) -> None:
    assert then(ready(), replied(CALL, result)) == [
        ReplyReceived(server="s", id=CALL, result=result)
    ]


@pytest.mark.parametrize("kind", ["of_tomorrow", "", None, 7, [], {}, True])
@pytest.mark.parametrize("state", [ready(), process()])
def test_a_result_of_an_unknown_type_is_an_error_of_its_request(
    state: SessionsState, kind: Any
) -> None:
    is_http = session(state).transport == "http"
    result: Json = {"resultType": kind, "content": []}
    (reply,) = then(state, replied(CALL, result) if is_http else answered(CALL, result))
    assert isinstance(reply, ReplyReceived)
    assert reply.result is None
    assert reply.error.startswith(f"invalid resultType: found {kind!r}, expected one of complete")


def test_a_tool_list_of_an_unknown_type_is_no_list() -> None:
    state = after(*modern_start(ADD)[:2])
    out = then(state, replied("list:s:1.1", {"resultType": "x", "tools": [ADD]}))
    assert one(ToolsListed, out).tools == ()
    assert "invalid resultType" in one(Problem, out).detail


def test_headers_that_do_not_fit_make_the_tools_be_listed_again() -> None:
    state, out = play(step, ready(), rejected(CALL, 400, -32020))
    assert kinds(out[1:]) == ["ReplyReceived", "Post", "StartTimer"]
    assert one(ReplyReceived, out).code == -32020
    assert posts(out) == ["list:s:1.2"]
    # One list is enough for all whose headers did not fit, and one more for what came since.
    state, out = play(step, state, rejected("call:c2", 400, -32020))
    assert posts(out) == []
    assert posts(then(state, replied("list:s:1.2", {"tools": [ADD]}))) == ["list:s:1.3"]


def test_a_method_that_a_server_does_not_know_is_an_error_of_its_request() -> None:
    (reply,) = then(ready(), rejected("request:r1~1", 404, -32601))
    assert isinstance(reply, ReplyReceived)
    assert (reply.code, reply.error) == (-32601, "no (code -32601)")


@pytest.mark.parametrize("end", [ended(CALL), ended(CALL, last_event_id="1", reason="broke off")])
def test_an_answer_that_breaks_off_is_lost(end: Any) -> None:
    state, _ = play(step, ready(), streaming(CALL))
    (loss,) = then(state, end)
    assert isinstance(loss, RequestLost)
    assert loss.is_sent


def test_a_server_that_is_not_there_is_looked_for() -> None:
    gone = posted(CALL, None, reason="connection refused", is_sent=False)
    out = then(ready(), gone)
    assert kinds(out) == ["RequestLost", "StopTimer", "Reconnect"]
    assert one(Reconnect, out).reason == "connection refused"


def test_404_is_never_a_session_that_has_expired() -> None:
    known = session(ready())
    assert known.session_id == ""
    (reply,) = then(ready(), posted(CALL, 404))
    assert isinstance(reply, ReplyReceived)


# --- what a server may not ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["ping", "sampling/createMessage"])
def test_a_request_of_a_stateless_server_is_told_and_not_answered(method: str) -> None:
    for state in (ready(), process()):
        (problem,) = then(state, asked(1, method))
        assert isinstance(problem, Problem)
        assert problem.detail == f"its request {method!r} is not answered"


def test_a_request_while_the_era_is_unknown_is_not_answered() -> None:
    state = after(opened(), streaming("discover:s:1.1"))
    out = then(state, on_stream("discover:s:1.1", asked(1, "ping")))
    assert kinds(out) == ["Problem"]


# --- processes ----------------------------------------------------------------------------------


def test_a_process_gets_no_headers_and_the_same_metadata() -> None:
    found = answered("discover:s:1.1", {**DISCOVERED, **QUIET})
    _, out = play(step, after(opened(), plan=a_process_plan("s")), found)
    post = one(Post, out)
    assert (post.headers, post.side_by_side, post.seconds) == ({}, False, None)
    assert f"{wire.META}protocolVersion" in post.message["params"]["_meta"]


def test_a_process_that_ends_is_started_again_and_asked_again() -> None:
    state, out = play(step, process(), lost(0.5, reason="it exited with status 1"))
    assert "SessionClosed" in kinds(out)
    assert posts(then(state, opened())) == ["discover:s:2.1"]


def test_an_answer_of_a_process_goes_to_whoever_waits() -> None:
    (reply,) = then(process(), refused(CALL, code=-32602))
    assert reply == ReplyReceived(server="s", id=CALL, error="no (code -32602)", code=-32602)
    state = process()
    assert then(state, frame("message", "")) == []
    (report,) = then(state, told("notifications/progress", progressToken=CALL, progress=1))
    assert kinds([report]) == ["ProgressReported"]
