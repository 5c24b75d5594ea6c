"""Streamable HTTP with a handshake: sessions, bodies, refusals, and sessions that expire.

2025-11-25, basic/transports, "Streamable HTTP"; basic/lifecycle.
"""

from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core.commands import Close, Cut, Get, Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    OffersChanged,
    PostAnswered,
    Problem,
    ReplyReceived,
    RequestLost,
    ResourceUpdated,
    RunStarted,
    ServerAsked,
    SessionClosed,
    SessionOffers,
    SessionReady,
    ToolsListed,
)
from pipeline.core.plan import Plan
from pipeline.core.session.machine import SessionsState, initial, step
from pipeline.core.session.state import Session
from tests.support.play import (
    ADD,
    MCP,
    an_http_plan,
    answered,
    asked,
    ended,
    fired,
    frame,
    greeting,
    http_start,
    kinds,
    lost,
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

PLAN = an_http_plan("s")
INIT, HELLO, LIST, OWN = "init:s:1", "initialized:s", "list:s:1.1", "own:s:1.1"
HEADERS = {"MCP-Protocol-Version": "2025-11-25", "Mcp-Session-Id": "S1"}
GRACE = fired("grace:s")
NO_ID: Json = {"jsonrpc": "2.0", "id": "server-error", "error": {"code": -32600, "message": "no"}}


def after(*items: Passing, plan: Plan = PLAN) -> SessionsState:
    return play(step, initial(plan), RunStarted(), *items)[0]


def ready(**hello: Any) -> SessionsState:
    return after(*http_start(ADD, **hello))


def session(state: SessionsState) -> Session:
    return state.sessions["s"]


def then(state: SessionsState, *items: Passing) -> list[Passing]:
    """What comes out, without the items themselves."""
    _, out = play(step, state, *items)
    return [o for o in out if o not in items]


def greeted(**changes: Any) -> list[Passing]:
    return [opened(), rejected("discover:s:1.1", 400), replied(INIT, greeting(), **changes)]


def offers(**capabilities: Any) -> SessionsState:
    return ready(capabilities={"tools": {"listChanged": True}, **capabilities})


# --- the handshake ------------------------------------------------------------------------------


def test_nothing_is_sent_until_the_server_has_taken_initialized() -> None:
    state, out = play(step, after(*greeted(session_id="S1")[:2]), greeted(session_id="S1")[2])
    hello = one(Post, out)
    assert (hello.id, hello.headers, hello.side_by_side) == (HELLO, HEADERS, True)
    assert hello.message == {"jsonrpc": "2.0", "method": "notifications/initialized"}
    state, out = play(step, state, posted(HELLO, 202))
    assert posts(out) == []
    assert one(Get, out) == Get(server="s", url=MCP, id=OWN, headers=HEADERS)
    out = then(state, streaming(OWN))
    assert posts(out) == [LIST]
    assert one(Post, out).headers == HEADERS


def test_a_server_that_does_not_say_whether_it_has_a_stream_is_not_waited_for() -> None:
    state = after(*greeted(), posted(HELLO))
    state, out = play(step, state, fired("grace:s"))
    assert posts(out) == [LIST]
    assert posts(then(state, streaming(OWN))) == []
    assert posts(then(state, fired("grace:s"))) == []


@pytest.mark.parametrize("code", [-32022, -32603])
def test_a_second_answer_to_initialize_is_told_and_ignored(code: int) -> None:
    state, out = play(step, after(*greeted()), on_stream("", refused(INIT, code=code)))
    assert one(Problem, out).detail == "a second answer to `initialize` is ignored"
    assert session(state).phase == "greeting"


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_2xx_takes_initialized(status: int) -> None:
    state, out = play(step, after(*greeted()), posted(HELLO, status))
    assert one(Get, out).id == OWN
    assert then(state, posted(HELLO, status)) == []


def test_offers_are_told_just_before_the_session_is_ready() -> None:
    _, out = play(step, after(), *http_start(ADD))
    at = kinds(out).index("SessionReady")
    hello: Any = out[at]
    assert out[at - 1] == SessionOffers(server="s", capabilities={"tools": {"listChanged": True}})
    assert (hello.route.session_id, hello.route.protocol) == ("S1", "2025-11-25")
    assert (hello.route.dialect, hello.route.url) == ("http", MCP)
    assert out[at + 1 :][1] == ToolsListed(server="s", tools=(ADD,))


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("2025-03-26", {}),
        ("2025-06-18", {"MCP-Protocol-Version": "2025-06-18"}),
        ("2025-11-25", {"MCP-Protocol-Version": "2025-11-25"}),
    ],
)
def test_the_version_goes_with_all_that_follows_where_the_revision_knows_it(
    version: str, headers: Json
) -> None:
    hello = replied(INIT, greeting(protocolVersion=version))
    assert one(Post, then(after(*greeted()[:2]), hello)).headers == headers


def test_a_session_id_is_taken_from_the_answer_to_initialize_and_from_nothing_else() -> None:
    stray = rejected("discover:s:1.1", 400)
    items = [opened(), PostAnswered(server="s", id=stray.id, status=400, session_id="stray")]
    state = after(*items, replied(INIT, greeting()), posted(HELLO, session_id="late"))
    state, _ = play(step, state, replied(LIST, {"tools": []}, session_id="later"))
    assert session(state).session_id == ""
    assert one(Post, then(state, asked_on_own(1, "ping"))).headers == {
        "MCP-Protocol-Version": "2025-11-25"
    }


def asked_on_own(id_: Any, method: str) -> Any:
    return on_stream(OWN, asked(id_, method))


def test_a_session_id_of_a_handshake_that_failed_is_forgotten() -> None:
    state = after(*greeted()[:2], streaming(INIT, session_id="S1"))
    refusal = on_stream(INIT, refused(INIT, code=-32022))
    state, _ = play(step, state, refusal, rejected("discover:s:2.2", 400))
    assert session(state).session_id == ""
    out = then(state, on_stream(INIT, answered("init:s:2", greeting())))
    assert "Mcp-Session-Id" not in one(Post, out).headers


@pytest.mark.parametrize("session_id", ["a b", "ä", "a\r\nX-Evil: 1", "x" * 1025, "\x7f"])
def test_a_session_id_that_no_header_can_carry_is_refused(session_id: str) -> None:
    out = then(after(*greeted()[:2]), greeted(session_id=session_id)[2])
    assert "as Mcp-Session-Id, expected visible ASCII" in one(Close, out).reason
    assert only(Post, out) == []


def test_initialize_may_be_answered_by_a_stream() -> None:
    state = after(*greeted()[:2], streaming(INIT, session_id="S1"))
    assert session(state).route is not None
    out = then(state, on_stream(INIT, answered(INIT, greeting())))
    assert one(Post, out).headers == HEADERS
    state, _ = play(step, state, on_stream(INIT, answered(INIT, greeting())))
    assert then(state, ended(INIT)) == []


@pytest.mark.parametrize(
    ("items", "id_", "words"),
    [
        (greeted()[:2], INIT, "'init' was not answered: it broke off"),
        ([*greeted(), posted(HELLO), GRACE], LIST, "'list' was not answered: it broke off"),
    ],
)
def test_a_step_whose_answer_breaks_off_starts_over(
    items: list[Passing], id_: str, words: str
) -> None:
    state = after(*items, streaming(id_))
    assert one(Reconnect, then(state, ended(id_, reason="it broke off"))).reason == words


@pytest.mark.parametrize(
    ("items", "id_", "refusal"),
    [
        (greeted(), HELLO, rejected(HELLO, 400)),
        (greeted(), HELLO, rejected(HELLO, 400, -32600)),
        (greeted(), HELLO, posted(HELLO, None, reason="it broke off")),
        ([*greeted(), posted(HELLO), GRACE], LIST, posted(LIST, 500)),
        ([*greeted(), posted(HELLO), GRACE], LIST, posted(LIST, 400)),
        ([*greeted(session_id="S1"), posted(HELLO), GRACE], LIST, rejected(LIST, 404, -32001)),
        ([*greeted(), posted(HELLO), GRACE], LIST, posted(LIST, 202)),
    ],
)
def test_a_step_that_is_not_taken_starts_over(
    items: list[Passing], id_: str, refusal: Passing
) -> None:
    assert id_.partition(":")[0] in one(Reconnect, then(after(*items), refusal)).reason


def test_initialized_that_is_not_taken_in_time_starts_over() -> None:
    out = then(after(*greeted()), fired("session:s"))
    assert (
        one(Reconnect, out).reason == "`initialized` was not taken within 10 s (--connect-timeout)"
    )


def test_a_server_without_a_tool_list_is_ready_without_tools() -> None:
    state = after(*greeted(), posted(HELLO), GRACE)
    out = then(state, rejected(LIST, 404, -32601))
    assert one(SessionReady, out).server == "s"
    assert "no tools: `tools/list` failed: no (code -32601)" in one(Problem, out).detail


def test_a_server_without_tools_is_ready_once_it_has_said_whether_it_has_a_stream() -> None:
    hello = replied(INIT, greeting(capabilities={}))
    state, out = play(step, after(*greeted()[:2]), hello, posted(HELLO))
    assert only(SessionReady, out) == []
    out = then(state, rejected(OWN, 405))
    assert one(SessionReady, out).server == "s"
    assert one(ToolsListed, out).tools == ()


# --- what we offer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plan", "capabilities"),
    [
        ({}, {}),
        ({"elicitation": "defaults"}, {"elicitation": {"form": {}, "url": {}}}),
        ({"sampling": "ask", "roots": ("file:///a",)}, {"sampling": {}, "roots": {}}),
        ({"tasks": True}, {}),
    ],
)
def test_a_client_offers_what_its_run_allows(plan: Any, capabilities: Json) -> None:
    state = after(*greeted()[:1], plan=an_http_plan("s", **plan))
    post = one(Post, then(state, rejected("discover:s:1.1", 400)))
    assert post.message["params"]["capabilities"] == capabilities


def test_a_log_level_is_asked_for_where_the_server_has_one() -> None:
    plan = an_http_plan("s", log_level="debug")
    start = http_start(ADD, capabilities={"tools": {}, "logging": {}})
    state, out = play(step, after(plan=plan), *start)
    (level,) = [post for post in only(Post, out) if post.id == "log:s:1"]
    assert (level.message["method"], level.message["params"]) == (
        "logging/setLevel",
        {"level": "debug"},
    )
    assert then(state, replied("log:s:1", {})) == []
    for refusal in (rejected("log:s:1", 400, -32602), on_stream("", refused("log:s:1"))):
        assert "could not set the log level: no" in one(Problem, then(state, refusal)).detail
    _, out = play(step, after(plan=plan), *http_start(ADD))
    assert "log:s:1" not in posts(out)


# --- answers to requests ------------------------------------------------------------------------


@pytest.mark.parametrize("id_", ["call:c1", "call:c1~2", "request:r1~1", "skills:x"])
def test_an_answer_may_be_the_body_of_its_response(id_: str) -> None:
    out = then(ready(), replied(id_, {"content": []}))
    assert out == [ReplyReceived(server="s", id=id_, result={"content": []})]


def test_a_body_may_be_a_batch_with_notifications_before_the_answer() -> None:
    body = (
        '[{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"x"}},7,'
        '{"jsonrpc":"2.0","id":"call:c1","result":{}}]'
    )
    out = then(ready(), posted("call:c1", 200, body=body))
    assert kinds(out) == ["ServerLogged", "ReplyReceived", "Problem"]
    assert "1 of a batch of 3 are left out" in one(Problem, out).detail


@pytest.mark.parametrize(
    "answer",
    [
        posted("call:c1", 202),
        posted("call:c1", 200, body="OK"),
        posted("call:c1", 200, body='{"jsonrpc":"2.0","id":"call:c2","result":{}}'),
        posted("call:c1", 200, body='{"jsonrpc":"2.0","method":"notifications/x"}'),
        posted("call:c1", 200, body='{"jsonrpc":"2.0","id":"call:c1","resu'),
    ],
)
def test_a_request_that_was_taken_and_not_answered_is_lost(answer: Passing) -> None:
    loss = one(RequestLost, then(ready(), answer))
    assert (loss.id, loss.is_sent) == ("call:c1", True)
    assert "and gave no answer" in loss.reason


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 503])
@pytest.mark.parametrize("id_", [None, "server-error", 7, "call:c9"])
def test_an_error_in_a_refusal_is_about_what_was_posted_whatever_its_id(
    id_: Any, status: int
) -> None:
    state = ready()
    state = SessionsState(state.plan, {"s": nameless(session(state))}, is_settled=True)
    error = {**NO_ID, "id": id_}
    if id_ is None:
        del error["id"]
    out = then(state, frame_body("call:c1", error, status))
    assert out == [ReplyReceived(server="s", id="call:c1", error="no (code -32600)", code=-32600)]


def nameless(known: Session) -> Session:
    """Of a server that has sessions without ids: 404 then says nothing of the session."""
    return replace(known, session_id="")


def frame_body(id_: str, message: Json, status: int) -> PostAnswered:
    return posted(id_, status, body=frame("message", message).data)


def test_the_data_of_an_error_is_handed_on() -> None:
    (reply,) = then(ready(), rejected("call:c1", 400, -32042, data={"elicitations": []}))
    assert isinstance(reply, ReplyReceived)
    assert (reply.code, reply.data) == (-32042, {"elicitations": []})


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (posted("call:c1", 413, body="too large"), "the server refused it: HTTP 413 too large"),
        (posted("call:c1", 429), "the server refused it: HTTP 429"),
        (
            posted("call:c1", 401, body='{"jsonrpc":"2.0","error":{}}'),
            "the server refused it: HTTP 401",
        ),
        (posted("call:c1", 400, body="[broken"), "the server refused it: HTTP 400 [broken"),
        (
            posted("call:c1", 400, body='{"jsonrpc":"2.0","method":"x"}'),
            "the server refused it: HTTP",
        ),
    ],
)
def test_a_refusal_without_an_error_is_an_answer_in_words(refusal: Passing, error: str) -> None:
    (reply,) = then(ready(), refusal)
    assert isinstance(reply, ReplyReceived)
    assert reply.id == "call:c1"
    assert reply.error.startswith(error)


@pytest.mark.parametrize(
    "failure", [{"status": 500}, {"status": 502, "body": "<html>"}, {"status": None, "reason": "x"}]
)
def test_a_request_of_unknown_outcome_is_lost_and_the_session_stays(failure: Json) -> None:
    state, out = play(step, ready(), posted("call:c1", **failure))
    loss = one(RequestLost, out)
    assert (loss.id, loss.is_sent) == ("call:c1", True)
    assert only(Reconnect, out) == []
    assert session(state).phase == "ready"


def test_a_request_that_could_not_leave_looks_for_the_server_once_for_all() -> None:
    gone: Json = {"status": None, "reason": "connection refused", "is_sent": False}
    state, out = play(step, ready(), posted("call:c1", **gone))
    assert one(RequestLost, out).is_sent is False
    assert one(Reconnect, out).reason == "connection refused"
    out = then(state, posted("call:c2", **gone))
    assert kinds(out) == ["RequestLost"]


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_request_that_its_owner_gave_up_is_nobodys_any_more(is_sent: bool) -> None:
    cut = posted("call:c1", None, reason="cut off by us", is_sent=is_sent)
    assert then(ready(), cut) == []


@pytest.mark.parametrize(
    "late",
    [
        replied("init:s:0", greeting()),
        replied("list:s:1.0", {"tools": []}),
        replied("discover:s:1.1", {}),
        replied("cancel:c1", {}),
        rejected("cancel:c1", 404, -32601),
        rejected("cancel:c1", 500),
        posted("own:s:0.1", None, reason="cut off by us"),
        posted("answer:s:1", 202),
        posted("answer:s:1", 200, is_open=True),
        ended("answer:s:1"),
        ended("call:unknown"),
        ended(""),
    ],
)
def test_what_nobody_waits_for_says_nothing(late: Passing) -> None:
    state = ready()
    if late == ended(""):
        state, _ = play(step, state, posted(OWN, 405))
    if isinstance(late, PostAnswered) and late.status == 404:
        state = SessionsState(state.plan, {"s": nameless(session(state))}, is_settled=True)
    assert then(state, late) == []


def test_an_answer_of_ours_that_could_not_be_delivered_is_told() -> None:
    detail = one(Problem, then(ready(), posted("answer:s:1", 500))).detail
    assert detail == "the message 'answer' could not be delivered: HTTP 500"


# --- lists that are read again ------------------------------------------------------------------


def test_a_changed_list_is_read_again_over_its_own_answer() -> None:
    state, out = play(step, ready(), on_stream(OWN, told("notifications/tools/list_changed")))
    assert posts(out) == ["list:s:1.2"]
    state, out = play(step, state, replied("list:s:1.2", {"tools": []}))
    assert one(ToolsListed, out).tools == ()
    assert only(SessionReady, out) == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (rejected("list:s:1.2", 500), "HTTP 500"),
        (rejected("list:s:1.2", 400, -32603), "no (code -32603)"),
        (posted("list:s:1.2", 202), "and gave no answer"),
        (fired("session:s"), "no answer within 10 s"),
    ],
)
def test_a_list_that_cannot_be_read_again_leaves_the_old_one(answer: Passing, words: str) -> None:
    state, _ = play(step, ready(), on_stream(OWN, told("notifications/tools/list_changed")))
    state, out = play(step, state, answer)
    assert words in one(Problem, out).detail
    assert session(state).phase == "ready"
    assert posts(then(state, on_stream(OWN, told("notifications/tools/list_changed")))) == [
        "list:s:1.3"
    ]


def test_a_list_whose_answer_breaks_off_leaves_the_old_one() -> None:
    state, _ = play(step, ready(), on_stream(OWN, told("notifications/tools/list_changed")))
    state, _ = play(step, state, streaming("list:s:1.2"))
    state, out = play(step, state, ended("list:s:1.2", reason="it broke off"))
    assert "it broke off; the old one stays" in one(Problem, out).detail


# --- what the server tells and asks -------------------------------------------------------------


def test_changes_of_what_a_server_offers_are_told() -> None:
    state = offers(resources={}, prompts={})
    out = then(
        state,
        on_stream(OWN, told("notifications/prompts/list_changed")),
        on_stream(OWN, told("notifications/resources/list_changed")),
        on_stream(OWN, told("notifications/resources/updated", uri="file:///a")),
        on_stream(OWN, told("notifications/resources/updated", uri=7)),
        on_stream(OWN, told("notifications/elicitation/complete", elicitationId="e")),
        on_stream(OWN, told("notifications/of/tomorrow")),
    )
    assert out == [
        OffersChanged(server="s", what="prompts"),
        OffersChanged(server="s", what="resources"),
        ResourceUpdated(server="s", uri="file:///a"),
    ]


@pytest.mark.parametrize("stream", [OWN, "call:c1"])
def test_a_server_may_ask_on_any_stream(stream: str) -> None:
    state, _ = play(step, ready(), streaming("call:c1"))
    (ping,) = then(state, on_stream(stream, asked(5, "ping")))
    assert isinstance(ping, Post)
    assert (ping.message, ping.headers) == ({"jsonrpc": "2.0", "id": 5, "result": {}}, HEADERS)
    (question,) = then(state, on_stream(stream, asked("q", "roots/list")))
    route = session(state).route
    assert question == ServerAsked(server="s", id="q", method="roots/list", route=route)


# --- sessions that expire -----------------------------------------------------------------------

EXPIRED = rejected("call:c1", 404, -32001, message="Session not found")
QUIRK = rejected("call:c1", 400, -32000, message="Bad Request: No valid session ID provided")


@pytest.mark.parametrize("refusal", [EXPIRED, rejected("call:c1", 404), QUIRK])
def test_a_session_that_has_expired_is_followed_by_a_new_one(refusal: Passing) -> None:
    state, out = play(step, ready(), refusal)
    loss = one(RequestLost, out)
    assert (loss.id, loss.is_sent) == ("call:c1", False)
    assert one(SessionClosed, out).retry_in == 0.0
    assert one(Cut, out) == Cut(server="s", id=OWN)
    assert StopTimer(id="again:s") in out
    init = one(Post, out)
    assert (init.id, init.headers) == ("init:s:2", {})
    state, out = play(step, state, *http_start(ADD, generation=2)[2:])
    assert one(SessionReady, out).route.session_id == "S2"
    assert "own:s:2.1" in [get.id for get in only(Get, out)]


@pytest.mark.parametrize("id_", ["answer:s:1", "cancel:c1", "log:s:1", "list:s:1.2"])
def test_any_message_may_meet_an_expired_session(id_: str) -> None:
    state, _ = play(step, ready(), on_stream(OWN, told("notifications/tools/list_changed")))
    out = then(state, rejected(id_, 404))
    assert posts(out) == ["init:s:2"]
    assert only(RequestLost, out) == []


@pytest.mark.parametrize("refusal", [rejected("call:c2", 404), rejected("call:c2", 404, -32001)])
@pytest.mark.parametrize("upto", [2, 3, 4, 5])
def test_what_was_meant_for_the_old_session_waits_for_the_new_one(
    refusal: Passing, upto: int
) -> None:
    state, _ = play(step, ready(), EXPIRED, *http_start(ADD, generation=2)[2:upto])
    (loss,) = then(state, refusal)
    assert isinstance(loss, RequestLost)
    assert (loss.id, loss.is_sent) == ("call:c2", False)


def test_an_error_that_speaks_of_a_session_is_believed_once() -> None:
    start = http_start(ADD, generation=2)[2:]
    state, _ = play(step, ready(), QUIRK, *start)
    (reply,) = then(state, QUIRK)
    assert isinstance(reply, ReplyReceived)
    # An answer shows that the new session is a good one: the next time it counts again.
    state, _ = play(step, state, replied("call:c2", {}))
    assert posts(then(state, QUIRK)) == ["init:s:3"]


def test_404_without_a_session_is_the_requests_own() -> None:
    state = after(*greeted(), posted(HELLO), GRACE, replied(LIST, {"tools": []}))
    (reply,) = then(state, rejected("call:c1", 404, -32601))
    assert isinstance(reply, ReplyReceived)
    (reply,) = then(state, rejected("call:c1", 404))
    assert isinstance(reply, ReplyReceived)
    assert reply.error == "the server refused it: HTTP 404"


def test_what_the_old_session_took_may_still_be_answered() -> None:
    state, _ = play(step, ready(), streaming("call:c2"), streaming("call:c3"), EXPIRED)
    state, out = play(step, state, on_stream("call:c2", answered("call:c2", {})))
    assert only(ReplyReceived, out) == [ReplyReceived(server="s", id="call:c2", result={})]
    state, _ = play(step, state, *http_start(ADD, generation=2)[2:])
    # It cannot be taken up in the new session, whatever id its last event had.
    out = then(state, ended("call:c3", last_event_id="7"))
    assert out == [
        RequestLost(server="s", id="call:c3", reason="the server ended its answer without a result")
    ]


def test_a_lost_link_takes_all_answers_with_it() -> None:
    state, _ = play(step, ready(), streaming("call:c2"), lost())
    assert session(state).answers == {}
    assert then(state, ended("call:c2")) == []
    assert then(state, on_stream("call:c2", answered("call:c2", {}))) == []


def test_only_one_deadline_runs_per_step() -> None:
    _, out = play(step, after(), *http_start(ADD))
    timers = [o for o in out if isinstance(o, StartTimer | StopTimer) and o.id == "session:s"]
    assert [type(each) for each in timers] == [
        StartTimer,  # discover
        StartTimer,  # initialize
        StartTimer,  # initialized
        StopTimer,
        StartTimer,  # tools/list
        StopTimer,
    ]


def test_why_there_are_no_credentials_is_told_in_place_of_the_servers_page() -> None:
    refused_ = posted("discover:s:1.1", 401, body="<html>", reason="nobody is there to allow it")
    out = then(after(opened()), refused_)
    assert "nobody is there to allow it (HTTP 401)" in one(Close, out).reason
