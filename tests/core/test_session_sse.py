"""MCP over HTTP+SSE as moves of one session; the official models judge what is sent."""

from typing import Any

import mcp_types
import msgspec
import pytest
from mcp_types import jsonrpc as official
from msgspec.structs import replace

from pipeline.core.commands import Close, Passing, Post, Reconnect, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    Problem,
    ProgressReported,
    ReplyReceived,
    ServerAsked,
    ServerCancelled,
    ServerLogged,
    SessionOffers,
    SessionReady,
    ToolsListed,
)
from pipeline.core.plan import Plan
from pipeline.core.session import handshake, ids, messages
from pipeline.core.session.state import Move, Session
from tests.support.play import (
    ADD,
    MESSAGES,
    URL,
    a_route,
    answered,
    asked,
    frame,
    greeting,
    one,
    only,
    posted,
    posts,
    refused,
    told,
)

PLAN = Plan(client_name="rxmcp", client_version="1.0", max_pages=3, max_tools=5)
DECIDING = Session(server="s", url=URL, phase="deciding", generation=1, route=a_route())


def say(session: Session, *frames: Any, plan: Plan = PLAN) -> Move:
    """The server sends messages; the last session, and all that came out."""
    out: list[Passing] = []
    for each in frames:
        session, more = messages.on_message(session, plan, each.data)
        out.extend(more)
    return session, tuple(out)


def initializing() -> Session:
    return handshake.initialize(DECIDING, PLAN)[0]


def listing(**hello: Any) -> Session:
    return say(initializing(), answered("init:s:1", greeting(**hello)))[0]


def page(number: int, *tools: Any, cursor: Any = None) -> Any:
    result: Json = {"tools": list(tools)}
    return answered(
        f"list:s:1.{number}", result if cursor is None else {**result, "nextCursor": cursor}
    )


def ready_session() -> Session:
    return say(listing(), page(1, ADD))[0]


def post_of(out: tuple[Passing, ...]) -> Json:
    return one(Post, out).message


# --- what is sent, against the official models ------------------------------------------------


def sent_in_a_whole_session() -> list[Json]:
    messages: list[Json] = []
    session, out = handshake.initialize(DECIDING, PLAN)
    messages += [post.message for post in only(Post, out)]
    for each in (
        answered("init:s:1", greeting()),
        page(1, ADD, cursor="next"),
        page(2, ADD),
        asked(7, "ping"),
        asked("8", "roots/list"),
        asked(9, "sampling/createMessage"),
        told("notifications/tools/list_changed"),
    ):
        session, out = say(session, each)
        messages += [post.message for post in only(Post, out)]
    return messages


def test_every_message_of_a_session_is_valid_json_rpc_for_the_official_models() -> None:
    messages = sent_in_a_whole_session()
    assert [m.get("method", "answer") for m in messages] == [
        "initialize",
        "notifications/initialized",
        "tools/list",
        "tools/list",
        "answer",
        "tools/list",
    ]
    for message in messages:
        parsed: Any = official.jsonrpc_message_adapter.validate_python(message)
        assert parsed.model_dump(by_alias=True, exclude_unset=True) == message


@pytest.mark.parametrize(
    ("method", "model"),
    [
        ("initialize", mcp_types.InitializeRequest),
        ("notifications/initialized", mcp_types.InitializedNotification),
        ("tools/list", mcp_types.ListToolsRequest),
    ],
)
def test_every_request_has_the_params_that_the_official_model_wants(
    method: str, model: Any
) -> None:
    found = [m for m in sent_in_a_whole_session() if m.get("method") == method]
    assert found
    for message in found:
        body = {key: message[key] for key in ("method", "params") if key in message}
        model.model_validate(body, by_name=False)


# --- initialize -------------------------------------------------------------------------------


def test_initialize_asks_for_the_latest_handshake_revision_under_its_own_deadline() -> None:
    session, out = handshake.initialize(DECIDING, PLAN)
    assert session.phase == "initializing"
    assert out == (
        Post(
            server="s",
            url=MESSAGES,
            id="init:s:1",
            message={
                "jsonrpc": "2.0",
                "id": "init:s:1",
                "method": "initialize",
                "params": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "clientInfo": {"name": "rxmcp", "version": "1.0"},
                },
            },
        ),
        StartTimer(id="session:s", seconds=PLAN.connect_timeout),
    )


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])
def test_every_handshake_revision_is_taken(version: str) -> None:
    session, out = say(initializing(), answered("init:s:1", greeting(protocolVersion=version)))
    assert session.phase == "listing"
    assert posts(out) == ["initialized:s", "list:s:1.1"]
    assert session.greeting is not None
    assert session.greeting.protocol == version


@pytest.mark.parametrize("version", ["2026-07-28", "1", "", None, 5, ["2025-11-25"], {}])
def test_another_version_ends_it_for_good_in_words(version: Any) -> None:
    session, out = say(initializing(), answered("init:s:1", greeting(protocolVersion=version)))
    assert session.phase == "closed"
    reason = one(Close, out).reason
    assert repr(version) in reason
    assert "2024-11-05, 2025-03-26, 2025-06-18, 2025-11-25" in reason


def test_a_result_without_a_version_is_another_version() -> None:
    _, out = say(initializing(), answered("init:s:1", {}))
    assert "protocol None" in one(Close, out).reason


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (refused("init:s:1", "go away", -32602), "go away (code -32602)"),
        (answered("init:s:1", [1]), "found a list as result, expected an object"),
    ],
)
def test_a_refused_or_malformed_initialize_drops_the_connection(reply: Any, words: str) -> None:
    session, out = say(initializing(), reply)
    assert session.phase == "closed"
    assert one(Reconnect, out).reason == f"`initialize` was refused: {words}"


def test_a_second_answer_to_initialize_is_told_and_ignored() -> None:
    session, out = say(listing(), answered("init:s:1", greeting()))
    assert session.phase == "listing"
    assert one(Problem, out).detail == "a second answer to `initialize` is ignored"


def test_an_answer_to_the_initialize_of_an_earlier_connection_is_none_of_ours() -> None:
    session = replace(initializing(), generation=2)
    after, out = say(session, answered("init:s:1", greeting()))
    assert after.phase == "initializing"
    assert one(ReplyReceived, out).id == "init:s:1", "the table of calls tells it as unknown"


def test_the_greeting_has_what_the_server_says_of_itself() -> None:
    _, out = say(listing(instructions="be kind"), page(1))
    assert one(SessionReady, out) == SessionReady(
        server="s",
        route=a_route(),
        protocol="2025-11-25",
        server_name="demo",
        server_version="1.2",
        instructions="be kind",
    )


@pytest.mark.parametrize("info", [None, [], "x", {"name": None, "version": None}, {}])
def test_a_server_that_says_nothing_of_itself_has_no_name(info: Any) -> None:
    _, out = say(listing(serverInfo=info, instructions=None), page(1))
    hello = one(SessionReady, out)
    assert (hello.server_name, hello.server_version, hello.instructions) == ("", "", "")


@pytest.mark.parametrize("capabilities", [None, {}, [], {"prompts": {}}])
def test_a_server_without_tools_is_ready_at_once(capabilities: Any) -> None:
    session, out = say(initializing(), answered("init:s:1", greeting(capabilities=capabilities)))
    assert session.phase == "ready"
    assert posts(out) == ["initialized:s"]
    assert one(ToolsListed, out).tools == ()
    assert out.index(one(Post, out)) < out.index(one(SessionReady, out))


# --- the list of tools ------------------------------------------------------------------------


def test_one_page_makes_the_session_ready() -> None:
    session, out = say(listing(), page(1, ADD))
    assert session.phase == "ready"
    assert [type(item) for item in out] == [SessionOffers, SessionReady, StopTimer, ToolsListed]
    assert one(ToolsListed, out).tools == (ADD,)


@pytest.mark.parametrize("cursor", ["x", "", " ", "0"])
def test_any_text_is_a_cursor_and_the_pages_are_joined(cursor: str) -> None:
    session, out = say(listing(), page(1, {"name": "a"}, cursor=cursor))
    assert session.phase == "listing"
    assert one(Post, out).id == "list:s:1.2"
    assert post_of(out)["params"] == {"cursor": cursor}
    assert one(StartTimer, out).id == "session:s"
    _, out = say(session, page(2, {"name": "b"}))
    assert one(ToolsListed, out).tools == ({"name": "a"}, {"name": "b"})


@pytest.mark.parametrize("cursor", [5, [], {}, False])
def test_what_is_no_text_is_no_cursor(cursor: Any) -> None:
    session, out = say(listing(), page(1, ADD, cursor=cursor))
    assert session.phase == "ready"
    assert only(Problem, out) == []


def test_a_repeated_cursor_ends_the_list_in_words() -> None:
    session, out = say(listing(), page(1, ADD, cursor="x"), page(2, ADD, cursor="x"))
    assert session.phase == "ready"
    assert one(ToolsListed, out).tools == (ADD, ADD)
    assert one(Problem, out).detail == "the tool list repeats its cursor 'x'; it ends here"


def test_cursors_that_go_in_a_circle_end_the_list() -> None:
    pages = [page(1, cursor="x"), page(2, cursor="y"), page(3, cursor="x")]
    session, out = say(listing(), *pages, plan=replace(PLAN, max_pages=100))
    assert session.phase == "ready"
    assert "repeats its cursor" in one(Problem, out).detail


def test_no_more_pages_are_read_than_the_limit_says() -> None:
    pages = [page(n, ADD, cursor=str(n)) for n in (1, 2, 3)]
    session, out = say(listing(), *pages)
    assert session.phase == "ready"
    assert one(ToolsListed, out).tools == (ADD,) * 3
    assert one(Problem, out).detail == (
        "the tool list is cut after 3 tools (--max-pages, --max-tools)"
    )
    assert posts(out) == ["list:s:1.2", "list:s:1.3"]


def test_no_more_pages_are_read_once_there_are_tools_enough() -> None:
    session, out = say(listing(), page(1, *[ADD] * 5, cursor="x"))
    assert session.phase == "ready"
    assert one(Problem, out).detail == (
        "the tool list is cut after 5 tools (--max-pages, --max-tools)"
    )


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (refused("list:s:1.1", "broken", -32603), "broken (code -32603)"),
        (answered("list:s:1.1", {}), "found NoneType as `tools`, expected a list"),
        (answered("list:s:1.1", {"tools": {}}), "found dict as `tools`, expected a list"),
        (answered("list:s:1.1", "x"), "found a str as result, expected an object"),
    ],
)
def test_a_server_whose_list_fails_is_ready_without_tools_and_that_is_told(
    reply: Any, words: str
) -> None:
    session, out = say(listing(), reply)
    assert session.phase == "ready"
    assert one(ToolsListed, out).tools == ()
    assert one(Problem, out).detail == f"no tools: `tools/list` failed: {words}"


def test_a_page_that_comes_twice_is_an_answer_that_nobody_waits_for() -> None:
    session, out = say(listing(), page(1, ADD), page(1, ADD))
    assert session.phase == "ready"
    assert len(only(ToolsListed, out)) == 1
    assert one(ReplyReceived, out).id == "list:s:1.1"


# --- list_changed -----------------------------------------------------------------------------

CHANGED = told("notifications/tools/list_changed")


def test_a_changed_list_is_read_again() -> None:
    session, out = say(ready_session(), CHANGED)
    assert posts(out) == ["list:s:1.2"]
    session, out = say(session, page(2))
    assert session.phase == "ready"
    assert [type(item) for item in out] == [StopTimer, ToolsListed]


def test_changes_while_a_list_is_read_make_one_more_list_however_many() -> None:
    session, out = say(ready_session(), CHANGED, CHANGED, CHANGED)
    assert posts(out) == ["list:s:1.2"]
    session, out = say(session, page(2, ADD))
    assert posts(out) == ["list:s:1.3"]
    assert len(only(ToolsListed, out)) == 1
    _, out = say(session, page(3))
    assert posts(out) == []


def test_a_change_during_the_first_list_is_not_forgotten() -> None:
    session, out = say(listing(), CHANGED, page(1, ADD))
    assert session.phase == "ready"
    assert posts(out) == ["list:s:1.2"]
    assert out.index(one(SessionReady, out)) < out.index(one(Post, out))


@pytest.mark.parametrize("session", [DECIDING, initializing()])
def test_a_change_before_there_is_a_list_means_nothing(session: Session) -> None:
    assert say(session, CHANGED) == (session, ())


@pytest.mark.parametrize("reply", [refused("list:s:1.2", "broken"), answered("list:s:1.2", {})])
def test_a_list_that_cannot_be_read_again_leaves_the_old_one(reply: Any) -> None:
    session, out = say(ready_session(), CHANGED, reply)
    assert session.phase == "ready"
    assert not session.is_listing
    assert only(ToolsListed, out) == []
    assert "could not be read again" in one(Problem, out).detail
    assert "the old one stays" in one(Problem, out).detail


# --- what the server asks ---------------------------------------------------------------------


@pytest.mark.parametrize("id_", [1, "1", 0, "", -7])
@pytest.mark.parametrize("session", [initializing(), listing(), ready_session()])
def test_a_ping_is_answered_in_every_phase_with_its_own_id(
    session: Session, id_: str | int
) -> None:
    after, out = say(session, asked(id_, "ping"))
    assert after == session
    message = post_of(out)
    assert message == {"jsonrpc": "2.0", "id": id_, "result": {}}
    assert type(message["id"]) is type(id_)


@pytest.mark.parametrize(
    "method", ["roots/list", "sampling/createMessage", "elicitation/create", "of/tomorrow"]
)
def test_what_a_server_asks_is_handed_on_with_the_way_back(method: str) -> None:
    session, out = say(ready_session(), asked("r1", method))
    assert out == (ServerAsked(server="s", id="r1", method=method, route=session.route),)


# --- what the server tells --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "report"),
    [
        (
            {"progress": 1, "total": 4, "message": "a"},
            {"progress": 1.0, "total": 4.0, "message": "a"},
        ),
        ({"progress": 0.5}, {"progress": 0.5}),
        ({"progress": 2, "total": None, "message": 5}, {"progress": 2.0}),
        ({"progress": 2, "total": "x"}, {"progress": 2.0}),
    ],
)
def test_progress_is_reported_to_whoever_waits(params: Json, report: Json) -> None:
    _, out = say(ready_session(), told("notifications/progress", progressToken="call:c1", **params))
    assert out == (ProgressReported(server="s", id="call:c1", **report),)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"progressToken": 5, "progress": 1},
        {"progressToken": "call:c1"},
        {"progressToken": "call:c1", "progress": "half"},
        {"progressToken": "call:c1", "progress": None},
    ],
)
def test_malformed_progress_says_nothing(params: Json) -> None:
    assert say(ready_session(), told("notifications/progress", **params))[1] == ()


@pytest.mark.parametrize("member", ["progress", "total"])
def test_progress_beyond_all_numbers_does_no_harm(member: str) -> None:
    params: Json = {"progress": 1, "total": 1, member: 10**400}
    _, out = say(ready_session(), told("notifications/progress", progressToken="call:c1", **params))
    assert only(Problem, out) == []


@pytest.mark.parametrize(
    ("params", "level", "text"),
    [
        ({"level": "error", "data": "boom", "logger": "x"}, "error", "boom"),
        ({"data": "boom"}, "info", "boom"),
        ({"level": "debug", "data": {"a": 1}}, "debug", '{"a":1}'),
        ({"level": "debug", "data": {"message": "boom"}}, "debug", "boom"),
        ({"level": "debug", "data": None}, "debug", "null"),
    ],
)
def test_a_log_message_is_handed_on(params: Json, level: str, text: str) -> None:
    _, out = say(ready_session(), told("notifications/message", **params))
    assert out == (ServerLogged(server="s", level=level, text=text),)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("notifications/message", {}),
        ("notifications/resources/list_changed", {}),
        ("notifications/cancelled", {"requestId": None}),
        ("of/tomorrow", {"x": 1}),
    ],
)
def test_other_notifications_mean_nothing(method: str, params: Json) -> None:
    assert say(ready_session(), told(method, **params)) == (ready_session(), ())


def test_a_server_may_take_its_request_back() -> None:
    _, out = say(ready_session(), told("notifications/cancelled", requestId=5))
    assert out == (ServerCancelled(server="s", id=5),)


# --- answers to calls, and what is none ---------------------------------------------------------


def test_an_answer_goes_to_whoever_waits_for_its_id() -> None:
    _, out = say(ready_session(), answered("call:c1", {"content": []}), refused("call:c2", "no", 5))
    assert out == (
        ReplyReceived(server="s", id="call:c1", result={"content": []}),
        ReplyReceived(server="s", id="call:c2", error="no (code 5)", code=5),
    )


@pytest.mark.parametrize(
    ("reply", "detail"),
    [
        (answered(5, {}), "an answer for id 5, which is not ours"),
        (refused(5, "no", 1), "error 'no (code 1)' for id 5, which is not ours"),
        (refused(None, "no", 1), "error 'no (code 1)' for id None, which is not ours"),
        (answered(1.5, {}), "an answer for id 1.5, which is not ours"),
        (
            frame("message", {"jsonrpc": "2.0", "error": {"message": "no"}}),
            "error 'no' for id None, which is not ours",
        ),
    ],
)
def test_an_answer_whose_id_cannot_be_ours_is_told(reply: Any, detail: str) -> None:
    assert say(ready_session(), reply)[1] == (Problem(where="s", detail=detail),)


def test_what_is_no_json_rpc_is_told_and_the_session_goes_on() -> None:
    session, out = say(ready_session(), frame("message", "{oops"), asked(1, "ping"))
    assert session.phase == "ready"
    assert "not a JSON-RPC message" in only(Problem, out)[0].detail
    assert posts(out) == ["answer:s:1"]


def test_a_batch_is_taken_in_its_order() -> None:
    batch: list[Json] = [
        {"jsonrpc": "2.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": "call:c1", "result": {}},
        {"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": "x"}},
    ]
    _, out = say(ready_session(), frame("message", batch))
    assert [type(item) for item in out] == [Post, ReplyReceived, ServerLogged]


# --- bodies of posts --------------------------------------------------------------------------


def body_of(each: Any, *, as_events: bool) -> str:
    return f"event: message\ndata: {each.data}\n\n" if as_events else each.data


@pytest.mark.parametrize("as_events", [False, True])
def test_the_answer_may_stand_in_the_body_of_the_post(as_events: bool) -> None:
    hello = body_of(answered("init:s:1", greeting()), as_events=as_events)
    session, out = messages.on_body(initializing(), PLAN, posted("init:s:1", 200, body=hello))
    assert session.phase == "listing"
    assert posts(out) == ["initialized:s", "list:s:1.1"]
    tools = body_of(page(1, ADD), as_events=as_events)
    session, out = messages.on_body(session, PLAN, posted("list:s:1.1", 200, body=tools))
    assert session.phase == "ready"
    answer = body_of(answered("call:c1", {"content": []}), as_events=as_events)
    _, out = messages.on_body(session, PLAN, posted("call:c1", 200, body=answer))
    assert out == (ReplyReceived(server="s", id="call:c1", result={"content": []}),)


@pytest.mark.parametrize("as_events", [False, True])
def test_an_error_without_an_id_in_a_body_is_about_what_was_posted(as_events: bool) -> None:
    error = body_of(refused(None, "no", 5), as_events=as_events)
    _, out = messages.on_body(ready_session(), PLAN, posted("call:c1", 200, body=error))
    assert out == (ReplyReceived(server="s", id="call:c1", error="no (code 5)", code=5),)
    session, out = messages.on_body(initializing(), PLAN, posted("init:s:1", 200, body=error))
    assert session.phase == "closed"
    assert "`initialize` was refused: no (code 5)" in one(Reconnect, out).reason


def test_progress_and_answer_may_come_as_events_of_one_body() -> None:
    progress = told("notifications/progress", progressToken="call:c1", progress=1)
    body = "".join(
        f"data: {each.data}\n\n" for each in (progress, answered("call:c1", {"content": []}))
    )
    _, out = messages.on_body(ready_session(), PLAN, posted("call:c1", 200, body=body))
    assert [type(item) for item in out] == [ProgressReported, ReplyReceived]


def test_nothing_is_read_after_a_message_that_ended_the_session() -> None:
    refusal, ping = refused("init:s:1"), asked(1, "ping")
    body = f"data: {refusal.data}\n\ndata: {ping.data}\n\n"
    _, out = messages.on_body(initializing(), PLAN, posted("init:s:1", 200, body=body))
    assert posts(out) == []


def test_nothing_of_a_batch_is_read_after_a_message_that_ended_the_session() -> None:
    batch = [msgspec.json.decode(each.data) for each in (refused("init:s:1"), asked(1, "ping"))]
    _, out = say(initializing(), frame("message", batch))
    assert posts(out) == []


@pytest.mark.parametrize(
    "body", ["", "Accepted", "{}", '{"ok":true}', "event: ping\ndata: {}\n\n", "<html>"]
)
def test_a_body_that_only_says_accepted_says_nothing(body: str) -> None:
    session = ready_session()
    assert messages.on_body(session, PLAN, posted("call:c1", 200, body=body)) == (session, ())


def test_a_broken_answer_in_a_body_is_told() -> None:
    _, out = messages.on_body(ready_session(), PLAN, posted("call:c1", 200, body='{"jsonrpc":'))
    assert "not a JSON-RPC message" in one(Problem, out).detail


# --- whose is it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("id_", "is_owned"),
    [
        ("init:s:1", True),
        ("list:s:1.1", True),
        ("initialized:s", True),
        ("answer:s:7", True),
        ("init:s:2", False),
        ("init:other:1", False),
        ("list:s:1.2", False),
        ("answer:other:7", False),
        ("call:c1", False),
        ("cancel:c1", False),
    ],
)
def test_a_session_knows_the_messages_that_it_posted(id_: str, is_owned: bool) -> None:
    assert ids.owns(listing(), id_) is is_owned


@pytest.mark.parametrize(
    ("session", "id_", "is_step"),
    [
        (initializing(), "init:s:1", True),
        (listing(), "list:s:1.1", True),
        (listing(), "initialized:s", False),
        (ready_session(), "list:s:1.1", False),
        (ready_session(), "init:s:1", False),
    ],
)
def test_only_requests_of_the_handshake_are_its_steps(
    session: Session, id_: str, is_step: bool
) -> None:
    assert ids.is_step(session, id_) is is_step
