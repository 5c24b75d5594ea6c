"""Which transport and which era a server speaks: every answer to each question, and what follows.

2026-07-28, basic/versioning, "Backward Compatibility", and those of the transports.
"""

from typing import Any

import pytest

from pipeline.core.commands import Close, Open, Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.events import Json, Problem, RunStarted, ServersSettled, SessionReady
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.session.machine import SessionsState, initial, step
from pipeline.core.session.state import Session
from tests.support.play import (
    ADD,
    DISCOVERED,
    MCP,
    URL,
    a_plan,
    a_process_plan,
    an_http_plan,
    answered,
    endpoint,
    fired,
    frame,
    greeting,
    http_start,
    kinds,
    lost,
    modern_start,
    one,
    only,
    opened,
    play,
    posted,
    posts,
    refused,
    rejected,
    replied,
    sse_start,
    streaming,
)

DEADLINE = fired("session:s")
DISCOVER, AGAIN, INIT = "discover:s:1.1", "discover:s:1.2", "init:s:1"


def after(plan: Plan, *items: Passing) -> SessionsState:
    return play(step, initial(plan), RunStarted(), *items)[0]


def session(state: SessionsState) -> Session:
    return state.sessions["s"]


def then(state: SessionsState, *items: Passing) -> list[Passing]:
    """What comes out, without the items themselves, timers and settling."""
    _, out = play(step, state, *items)
    left_out = (*items,)
    return [
        o
        for o in out
        if o not in left_out and not isinstance(o, ServersSettled | StartTimer | StopTimer)
    ]


def probing(plan: Plan | None = None) -> SessionsState:
    return after(plan or an_http_plan("s"), opened())


def initializing(**changes: Any) -> SessionsState:
    return after(an_http_plan("s", **changes), opened(), rejected(DISCOVER, 400))


# --- what is tried first ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "transport"),
    [
        (ServerPlan(name="s", url="http://h/mcp"), "http"),
        (ServerPlan(name="s", url="http://h/"), "http"),
        (ServerPlan(name="s", url="http://h/sse"), "sse"),
        (ServerPlan(name="s", url="http://h/a/sse/?key=sse/x"), "sse"),
        (ServerPlan(name="s", url="http://h/mcp?to=/sse"), "http"),
        (ServerPlan(name="s", url="http://h/notsse"), "http"),
        (ServerPlan(name="s", url="", program="npx"), "stdio"),
        (ServerPlan(name="s", url="http://h/sse", dialect="http"), "http"),
        (ServerPlan(name="s", url="http://h/mcp", dialect="sse"), "sse"),
        (ServerPlan(name="s", url="http://h/mcp", dialect="seed"), "sse"),
        (ServerPlan(name="s", url="", dialect="stdio"), "stdio"),
    ],
)
def test_the_address_and_the_wish_say_what_is_tried_first(
    server: ServerPlan, transport: Any
) -> None:
    _, out = play(step, initial(Plan(servers=(server,))), RunStarted())
    assert one(Open, out) == Open(server="s", transport=transport)


def test_a_stateless_request_goes_first_under_the_deadline_of_a_connection() -> None:
    plan = an_http_plan("s", client_name="c", client_version="1", connect_timeout=4)
    _, out = play(step, after(plan), opened())
    post = one(Post, out)
    assert (post.url, post.id, post.side_by_side, post.seconds) == (MCP, DISCOVER, True, 4)
    assert post.message["method"] == "server/discover"
    assert post.headers == {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "server/discover"}
    assert post.message["params"]["_meta"] == {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
    }
    assert one(StartTimer, out) == StartTimer(id="session:s", seconds=4)


# --- what server/discover tells -----------------------------------------------------------------


def test_a_server_that_knows_our_revision_is_modern() -> None:
    state, out = play(step, probing(), replied(DISCOVER, DISCOVERED))
    assert posts(out) == ["list:s:1.1"]
    assert session(state).era == "modern"


@pytest.mark.parametrize(
    "answer",
    [
        replied(DISCOVER, {}),
        replied(DISCOVER, {"supportedVersions": "2026-07-28"}),
        replied(DISCOVER, {"supportedVersions": []}),
        replied(DISCOVER, {"supportedVersions": ["2025-11-25", "2025-06-18"]}),
        replied(DISCOVER, {"supportedVersions": ["2099-01-01", "2024-11-05"]}),
        posted(DISCOVER, 200, body="<html>hello</html>"),
        posted(DISCOVER, 202, body="Accepted"),
        posted(DISCOVER, 200),
        rejected(DISCOVER, 400),
        rejected(DISCOVER, 404),
        rejected(DISCOVER, 405),
        rejected(DISCOVER, 406),
        rejected(DISCOVER, 415),
        rejected(DISCOVER, 501),
        posted(DISCOVER, 400, body="Bad Request: session_id is required"),
        posted(DISCOVER, 404, body="<html>not here</html>"),
        rejected(DISCOVER, 400, -32000),
        rejected(DISCOVER, 400, -32600),
        rejected(DISCOVER, 400, -32602),
        rejected(DISCOVER, 404, -32601),
        rejected(DISCOVER, 400, -32022, data={"supported": ["2025-11-25"]}),
        replied(DISCOVER, {"supportedVersions": ["2025-11-25", 7]}),
    ],
)
def test_anything_else_that_is_an_answer_leads_to_a_handshake(answer: Passing) -> None:
    out = then(probing(), answer)
    assert posts(out) == [INIT]
    post = one(Post, out)
    assert post.headers == {}
    assert post.message["params"]["protocolVersion"] == "2025-11-25"
    assert "_meta" not in post.message["params"]


@pytest.mark.parametrize(
    "answer",
    [
        rejected(DISCOVER, 400, -32022, data={"supported": ["2026-07-28"]}),
        rejected(DISCOVER, 400, -32022, data={"supported": ["2026-07-28", "2025-11-25"]}),
        rejected(DISCOVER, 400, -32020),
    ],
)
def test_a_modern_server_is_asked_once_more_and_only_once(answer: Any) -> None:
    state, out = play(step, probing(), answer)
    assert posts(out) == [AGAIN]
    state, out = play(step, state, replied(AGAIN, DISCOVERED))
    assert posts(out) == ["list:s:1.1"]


def test_a_server_that_refuses_its_own_revision_twice_is_given_up_or_gets_a_handshake() -> None:
    first, again = (
        rejected(id_, 400, -32022, data={"supported": ["2026-07-28"]}) for id_ in (DISCOVER, AGAIN)
    )
    reason = one(Close, then(probing(), first, again)).reason
    assert "no common protocol: the server speaks 2026-07-28, this client" in reason
    both = rejected(AGAIN, 400, -32022, data={"supported": ["2026-07-28", "2025-06-18"]})
    assert posts(then(after(an_http_plan("s"), opened(), first), both)) == [INIT]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (replied(DISCOVER, {"supportedVersions": ["2099-01-01"]}), "the server speaks 2099-01-01"),
        (rejected(DISCOVER, 400, -32022, data={"supported": ["2099-01-01"]}), "speaks 2099-01-01"),
        (rejected(DISCOVER, 400, -32022, data={"supported": []}), "speaks none of ours"),
        (rejected(DISCOVER, 400, -32022), "speaks none of ours"),
        (replied(DISCOVER, {"supportedVersions": ["x" * 900]}), "x…, this client 2024-11-05, "),
    ],
)
def test_without_a_common_revision_a_server_is_given_up_in_words(
    answer: Passing, words: str
) -> None:
    reason = one(Close, then(probing(), answer)).reason
    assert reason.startswith("no common protocol: ")
    assert words in reason
    assert len(reason) < 300


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"requiredCapabilities": {"sampling": {}, "roots": {}}}, "no (code -32021): roots, sam"),
        ({"requiredCapabilities": []}, "no (code -32021) (--sampling, --elicit and --root"),
        (None, "no (code -32021) (--sampling"),
    ],
)
def test_a_server_that_wants_more_of_a_client_is_given_up_in_words(data: Any, words: str) -> None:
    reason = one(Close, then(probing(), rejected(DISCOVER, 400, -32021, data=data))).reason
    assert "the server wants more of a client: " in reason
    assert words in reason


def test_headers_that_never_arrive_are_told_as_that() -> None:
    first, again = (rejected(id_, 400, -32020) for id_ in (DISCOVER, AGAIN))
    reason = one(Close, then(probing(), first, again)).reason
    assert "perhaps something on the way changes the headers" in reason


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("state", [probing(), initializing()])
def test_a_server_that_lets_nobody_in_is_given_up_with_its_status(
    state: SessionsState, status: int
) -> None:
    id_ = DISCOVER if session(state).phase == "probing" else INIT
    refusal = rejected(id_, status, -32022, data={"supported": ["2026-07-28"]})
    assert one(Close, then(state, refusal)).status == status


@pytest.mark.parametrize(
    "failure",
    [
        {"status": None, "reason": "connection refused", "is_sent": False},
        {"status": None, "reason": "it broke off"},
        {"status": 500},
        {"status": 503, "body": '{"jsonrpc":"2.0","error":{"code":-32022,"message":"no"}}'},
        {"status": 429, "body": '{"jsonrpc":"2.0","error":{"code":-32000,"message":"slowly"}}'},
        {"status": 408},
    ],
)
@pytest.mark.parametrize("state", [probing(), initializing()])
def test_no_answer_is_no_verdict_and_comes_back_to_the_same_question(
    state: SessionsState, failure: Json
) -> None:
    id_ = DISCOVER if session(state).phase == "probing" else INIT
    state, out = play(step, state, posted(id_, **failure))
    assert one(Reconnect, out).reason.startswith(f"the message {id_.partition(':')[0]!r} could")
    assert only(Post, out) == []
    assert posts(then(state, lost(), opened())) == ["discover:s:2.1"]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (probing(), "`server/discover` was not answered within 10 s (--connect-timeout)"),
        (initializing(), "`initialize` was not answered within 10 s (--connect-timeout)"),
    ],
)
def test_silence_over_http_is_no_verdict(state: SessionsState, words: str) -> None:
    assert one(Reconnect, then(state, DEADLINE)).reason == words


# --- from initialize to an event stream ---------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        rejected(INIT, 400),
        rejected(INIT, 404),
        rejected(INIT, 405),
        posted(INIT, 501, body="<html>Unsupported method ('POST')</html>"),
        rejected(INIT, 400, -32000),
        posted(INIT, 202, body="Accepted"),
        posted(INIT, 200, body="<html></html>"),
    ],
)
def test_where_no_handshake_is_taken_an_event_stream_is_tried(refusal: Passing) -> None:
    state, out = play(step, initializing(), refusal)
    assert one(Open, out) == Open(server="s", transport="sse")
    assert only(Close, out) == []
    ready = [opened(), endpoint("/m?session_id=1"), frame("tools", [ADD])]
    state, out = play(step, state, *ready)
    assert one(SessionReady, out).protocol == "seed"
    assert posts(then(state, lost(), opened(), endpoint("/m?session_id=1"))) == []


def test_a_page_that_a_server_answers_with_is_told_on_one_line_and_cut() -> None:
    page = "<html>\n  <h1>Not\there</h1>\r\n" + "x" * 900
    state = after(an_http_plan("s", dialect="http"), opened(), rejected(DISCOVER, 404))
    reason = one(Close, then(state, posted(INIT, 404, body=page))).reason
    assert "HTTP 404 <html> <h1>Not here</h1> xxx" in reason
    assert len(reason) < 300


def test_an_event_stream_that_was_found_may_be_of_2024_11_05() -> None:
    state = after(an_http_plan("s"), opened(), rejected(DISCOVER, 404), rejected(INIT, 404))
    out = then(state, opened(), endpoint("/m"), fired("grace:s"))
    assert one(Post, out).url == "http://127.0.0.1:8000/m"
    assert one(Post, out).message["method"] == "initialize"


def test_where_neither_is_there_both_refusals_are_told() -> None:
    state = after(an_http_plan("s"), opened(), rejected(DISCOVER, 404), rejected(INIT, 404))
    state, out = play(step, state, lost(None, reason="HTTP 405", status=405))
    problem = one(Problem, out)
    assert problem.detail == (
        "it takes no messages at its address, either: "
        "the message 'init' could not be delivered: HTTP 404"
    )
    assert "check the path" in problem.hint
    assert one(ServersSettled, out).failed == ("s",)
    assert only(Open, out) == []


@pytest.mark.parametrize("status", [400, 404, 405, 406])
def test_an_address_that_ends_in_sse_and_has_no_stream_is_tried_the_other_way(status: int) -> None:
    state, out = play(step, after(a_plan("s")), lost(None, reason="HTTP 4xx", status=status))
    assert one(Open, out) == Open(server="s", transport="http")
    assert only(ServersSettled, out) == []
    state, out = play(step, state, opened())
    (discover,) = posts(out)
    state, out = play(step, state, rejected(discover, 404))
    (init,) = posts(out)
    close = one(Close, then(state, rejected(init, 404)))
    assert close.status == 404
    assert close.reason.endswith("HTTP 404; and no event stream is there, either: HTTP 4xx")


@pytest.mark.parametrize(
    "loss",
    [
        lost(None, status=401),
        lost(None, status=410),
        lost(None, status=200),
        lost(None),
        lost(1.0, status=404),
    ],
)
def test_another_loss_of_a_stream_tells_nothing_of_the_transport(loss: Passing) -> None:
    assert only(Open, then(after(a_plan("s")), loss)) == []


def test_a_session_that_was_ready_and_is_lost_for_good_is_told_as_lost() -> None:
    out = then(after(a_plan("s"), *sse_start(ADD)), lost(None, status=404))
    assert kinds(out) == ["SessionClosed"]


@pytest.mark.parametrize("dialect", ["sse", "seed"])
def test_a_forced_event_stream_is_never_another(dialect: Any) -> None:
    out = then(after(a_plan("s", dialect=dialect)), lost(None, status=404))
    assert out == []


def test_forced_http_speaks_both_eras_and_never_an_event_stream() -> None:
    plan = an_http_plan("s", dialect="http")
    assert posts(then(probing(plan), replied(DISCOVER, DISCOVERED))) == ["list:s:1.1"]
    state = after(plan, opened(), rejected(DISCOVER, 404))
    close = one(Close, then(state, rejected(INIT, 404)))
    assert (close.status, close.reason) == (
        404,
        "the message 'init' could not be delivered: HTTP 404",
    )


@pytest.mark.parametrize("code", [-32020, -32021, -32022])
def test_a_stateless_server_that_was_taken_for_an_older_one_is_asked_again_once(code: int) -> None:
    state, out = play(step, initializing(), rejected(INIT, 400, code))
    assert posts(out) == ["discover:s:2.2"]
    state, out = play(step, state, rejected("discover:s:2.2", 400))
    assert posts(out) == ["init:s:2"]
    refusal = rejected("init:s:2", 400, code)
    assert "was refused" in one(Reconnect, then(state, refusal)).reason


# --- what was learnt ----------------------------------------------------------------------------


def test_the_next_connection_begins_with_the_handshake_that_worked() -> None:
    state = after(an_http_plan("s"), *http_start(ADD), lost())
    assert posts(then(state, opened())) == ["init:s:2"]


def test_the_next_connection_of_a_stateless_server_asks_it_again() -> None:
    state = after(an_http_plan("s"), *modern_start(ADD), lost())
    assert posts(then(state, opened())) == ["discover:s:2.1"]


def test_what_never_became_ready_is_not_learnt() -> None:
    state = after(an_http_plan("s"), opened(), rejected(DISCOVER, 400), lost())
    assert posts(then(state, opened())) == ["discover:s:2.1"]


@pytest.mark.parametrize("refusal", [rejected("init:s:2", 404), rejected("init:s:2", 400, -32600)])
def test_a_handshake_that_worked_and_is_refused_now_begins_the_search_anew(
    refusal: Passing,
) -> None:
    state = after(an_http_plan("s"), *http_start(ADD), lost(), opened())
    state, out = play(step, state, refusal)
    assert [type(o) for o in out if isinstance(o, Reconnect | Open | Close)] == [Reconnect]
    assert posts(then(state, lost(), opened())) == ["discover:s:3.1"]


def test_a_server_that_became_stateless_meanwhile_is_asked_at_once() -> None:
    state = after(an_http_plan("s"), *http_start(ADD), lost(), opened())
    assert posts(then(state, rejected("init:s:2", 400, -32020))) == ["discover:s:3.1"]


def test_an_event_stream_that_worked_and_is_gone_now_is_looked_for_the_other_way() -> None:
    state = after(a_plan("s"), *sse_start(ADD), lost(0.1))
    state, out = play(step, state, lost(None, status=404))
    assert one(Open, out).transport == "http"
    found = modern_start(ADD, generation=session(state).generation + 1)
    state, out = play(step, state, *found)
    assert one(SessionReady, out).protocol == "2026-07-28"
    assert session(state).refusal == ""


def test_a_revision_that_a_server_drops_while_it_runs_begins_the_search_anew() -> None:
    state = after(an_http_plan("s"), *modern_start(ADD))
    state, out = play(step, state, rejected("call:c1", 400, -32022))
    assert "does not speak that protocol any more" in one(Reconnect, out).reason
    assert session(state).known == ""


# --- processes ----------------------------------------------------------------------------------

PROCESS = a_process_plan("s", connect_timeout=4, start_timeout=25)


def test_a_process_that_does_not_know_the_question_costs_two_seconds() -> None:
    state, out = play(step, after(PROCESS), opened())
    assert posts(out) == [DISCOVER]
    assert only(StartTimer, out) == [StartTimer(id="session:s", seconds=2.0)]
    state, out = play(step, state, DEADLINE)
    assert posts(out) == [INIT]
    assert only(StartTimer, out) == [StartTimer(id="session:s", seconds=25)]


@pytest.mark.parametrize("code", [-32601, -32602, -32000, -32603])
def test_any_error_of_a_process_that_is_not_a_modern_one_leads_to_a_handshake(code: int) -> None:
    assert posts(then(probing(PROCESS), refused(DISCOVER, code=code))) == [INIT]


def test_a_modern_process_is_ready_without_a_handshake() -> None:
    found = [opened(), answered(DISCOVER, DISCOVERED), answered("list:s:1.1", {"tools": [ADD]})]
    state, out = play(step, after(PROCESS), *found)
    ready = one(SessionReady, out)
    assert (ready.protocol, ready.route.dialect, ready.route.url) == ("2026-07-28", "stdio", "")
    # The second time there is no doubt about the question, and the process may take its time.
    _, out = play(step, state, lost(), opened())
    assert StartTimer(id="session:s", seconds=25) in out


def test_the_late_answer_to_the_question_is_ignored_and_a_refused_handshake_asks_again() -> None:
    state = after(PROCESS, opened(), DEADLINE)
    state, out = play(step, state, answered(DISCOVER, DISCOVERED))
    assert only(Post, out) == []
    state, out = play(step, state, refused(INIT, code=-32022))
    assert posts(out) == ["discover:s:2.2"]
    assert posts(then(state, answered("discover:s:2.2", DISCOVERED))) == ["list:s:2.1"]


def test_a_process_that_never_says_a_word_is_started_anew() -> None:
    state = after(PROCESS, opened(), DEADLINE)
    reason = one(Reconnect, then(state, DEADLINE)).reason
    assert reason == "`initialize` was not answered within 25 s (--start-timeout)"


def test_a_process_that_was_stateless_and_says_nothing_now_may_be_another() -> None:
    found = [opened(), answered(DISCOVER, DISCOVERED), answered("list:s:1.1", {"tools": [ADD]})]
    state = after(PROCESS, *found, lost(), opened())
    state, out = play(step, state, DEADLINE)
    assert "`server/discover` was not answered within 25 s" in one(Reconnect, out).reason
    _, out = play(step, state, lost(), opened())
    assert StartTimer(id="session:s", seconds=2.0) in out


@pytest.mark.parametrize("id_", [DISCOVER, INIT])
def test_a_pipe_that_takes_no_question_is_no_verdict(id_: str) -> None:
    items = [opened()] if id_ == DISCOVER else [opened(), DEADLINE]
    state = after(PROCESS, *items)
    closed = posted(id_, None, reason="the process is gone", is_sent=False)
    assert "the process is gone" in one(Reconnect, then(state, closed)).reason


def test_a_server_may_stream_its_answer_to_the_question() -> None:
    state = after(an_http_plan("s"), opened(), streaming(DISCOVER))
    told = answered(DISCOVER, DISCOVERED)
    assert posts(then(state, told)) == ["list:s:1.1"]


def test_greeting_of_another_server_changes_nothing() -> None:
    plan = Plan(servers=(*an_http_plan("s").servers, *a_plan("t").servers))
    state = after(plan, opened(), opened("t"))
    before = session(state)
    state, _ = play(step, state, replied(INIT, greeting(), "t"), lost(server="t"))
    assert session(state) == before
    assert state.sessions["t"].url == URL
