"""A person's own requests: to whom they go, and that each ends exactly once."""

from hashlib import sha256
from typing import Any

import mcp_types
import pytest
from mcp_types import jsonrpc as official
from msgspec.structs import replace

from pipeline.core import requests
from pipeline.core.commands import Cut, Passing, Post, StartTimer, StopTimer
from pipeline.core.events import (
    CallRejected,
    Json,
    ReplyReceived,
    RequestEnded,
    RequestLost,
    RequestStarted,
    RequestSubmitted,
    Route,
    SessionReady,
)
from pipeline.core.inputs import Want
from pipeline.core.plan import Plan, ServerPlan
from pipeline.core.request_table import Move, Requests, forget
from tests.support.play import MESSAGES, URL, a_route, kinds, lost, one, only, posted

ALL: Json = {"resources": {"subscribe": True}, "prompts": {}, "completions": {}}
READ = RequestSubmitted(method="resources/read", params={"uri": "demo://a"})
LIST = RequestSubmitted(method="resources/list")
TEMPLATES = RequestSubmitted(method="resources/templates/list")
PROMPT = RequestSubmitted(method="prompts/get", params={"name": "greet", "arguments": {}})
COMPLETE = RequestSubmitted(method="completion/complete", params={"ref": {}, "argument": {}})
SUBSCRIBE = RequestSubmitted(method="resources/subscribe", params={"uri": "demo://a"})
ELICIT: Json = {"method": "elicitation/create", "params": {}}
ACCEPT: Json = {"action": "accept"}


def route(server: str = "s", protocol: str = "2025-11-25", dialect: Any = "http") -> Route:
    return Route(server=server, url=MESSAGES, dialect=dialect, protocol=protocol)


def ready(table: Requests, where: Route, offers: Json = ALL, protocol: str = "") -> Move:
    table = requests.on_offers(table, where.server, offers)
    hello = SessionReady(server=where.server, route=where, protocol=protocol)
    return requests.on_session_ready(table, hello)


def table_of(*routes: Route, offers: Json = ALL, **changes: Any) -> Requests:
    servers = tuple(ServerPlan(name=name, url=URL) for name in ("s", "t"))
    table = Requests(Plan(servers=servers, elicitation="ask", **changes))
    for where in routes or (route(),):
        table, _ = ready(table, where, offers)
    return table


def answered(table: Requests, result: Json | None = None, id_: str = "r1", **error: Any) -> Move:
    """The server answers the latest message of a request."""
    request = table.open[id_]
    reply = ReplyReceived(server=request.server, id=request.wire_id, result=result, **error)
    return requests.on_reply(table, reply)


def asked(wish: RequestSubmitted, *results: Json, table: Requests | None = None) -> Move:
    """A wish, and what the server answers in turn."""
    table, out = requests.start(table_of() if table is None else table, wish)
    for result in results:
        table, out = answered(table, result)
    return table, out


def result_of(out: tuple[Passing, ...]) -> Json | None:
    return one(RequestEnded, out).result


def ended(**fields: Any) -> RequestEnded:
    return RequestEnded(request="r1", server="s", method="resources/read", **fields)


# --- one request ------------------------------------------------------------------------------


def test_a_request_is_written_down_given_its_time_and_posted_in_that_order() -> None:
    table, out = asked(READ)
    assert out == (
        RequestStarted(request="r1", server="s", method=READ.method, params=READ.params),
        StartTimer(id="request:r1", seconds=60),
        Post(
            server="s",
            url=MESSAGES,
            id="request:r1~1",
            message={
                "jsonrpc": "2.0",
                "id": "request:r1~1",
                "method": "resources/read",
                "params": {"uri": "demo://a"},
            },
            headers={"MCP-Protocol-Version": "2025-11-25"},
            side_by_side=True,
            seconds=70,
        ),
    )
    result: Json = {"contents": [{"uri": "demo://a", "text": "A"}]}
    table, out = answered(table, result)
    assert out == (ended(outcome="answered", result=result), StopTimer(id="request:r1"))
    assert table.open == {}


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        (LIST, mcp_types.ListResourcesRequest),
        (TEMPLATES, mcp_types.ListResourceTemplatesRequest),
        (RequestSubmitted(method="prompts/list"), mcp_types.ListPromptsRequest),
        (READ, mcp_types.ReadResourceRequest),
        (PROMPT, mcp_types.GetPromptRequest),
        (SUBSCRIBE, mcp_types.SubscribeRequest),
        (
            RequestSubmitted(
                method="completion/complete",
                params={
                    "ref": {"type": "ref/prompt", "name": "greet"},
                    "argument": {"name": "name", "value": "A"},
                    "context": {"arguments": {"mood": "good"}},
                },
            ),
            mcp_types.CompleteRequest,
        ),
    ],
)  # fmt: skip
def test_what_is_sent_is_valid_for_the_official_models(wish: RequestSubmitted, kind: Any) -> None:
    message = one(Post, asked(wish)[1]).message
    official.jsonrpc_message_adapter.validate_python(message)
    kind.model_validate({key: message[key] for key in ("method", "params")}, by_name=False)


def test_an_error_ends_it_in_the_servers_words() -> None:
    _, out = answered(asked(READ)[0], error="Resource not found (code -32002)", code=-32002)
    assert out[0] == ended(outcome="answered", error="Resource not found (code -32002)")


@pytest.mark.parametrize(
    "reply",
    [
        ReplyReceived(server="s", id="request:r1~9", result={}),
        ReplyReceived(server="s", id="request:r9~1", result={}),
        ReplyReceived(server="t", id="request:r1~1", result={}),
    ],
)
def test_an_answer_that_is_late_or_another_servers_is_passed_over(reply: ReplyReceived) -> None:
    table, _ = asked(READ)
    assert requests.on_reply(table, reply) == (table, ())
    assert requests.is_ours(reply.id)
    assert not requests.is_ours("call:c1")
    assert not requests.is_ours(None)


# --- to whom it goes ----------------------------------------------------------------------------


def reason(wish: RequestSubmitted, table: Requests) -> str:
    _, out = requests.start(table, wish)
    assert kinds(out) == ["CallRejected"]
    assert one(CallRejected, out).tool == wish.method
    return one(CallRejected, out).reason


def test_it_goes_to_the_one_server_that_offers_it() -> None:
    table = table_of(route("s"), offers={"prompts": {}})
    table, _ = ready(table, route("t"), {"resources": {}})
    assert one(Post, requests.start(table, READ)[1]).server == "t"
    assert one(Post, requests.start(table, PROMPT)[1]).server == "s"


def test_where_several_offer_it_one_has_to_be_named() -> None:
    table = table_of(route("s"), route("t"))
    assert reason(READ, table) == (
        "several servers offer resources; say which one, first of all: @s, @t"
    )
    assert one(Post, requests.start(table, replace(READ, server="t"))[1]).server == "t"


@pytest.mark.parametrize("wish", [READ, PROMPT, COMPLETE])
def test_what_nobody_offers_is_not_sent(wish: RequestSubmitted) -> None:
    assert reason(wish, table_of(offers={})).startswith("no server that is ready offers ")
    assert "does not offer" in reason(replace(wish, server="s"), table_of(offers={}))


def test_a_server_that_has_tools_only_is_not_asked() -> None:
    table = table_of(route(dialect="seed"))
    assert "offers resources" in reason(READ, table)
    assert result_of(requests.start(table, LIST)[1]) == {"resources": []}


def test_a_server_that_the_run_does_not_have_is_not_waited_for() -> None:
    assert reason(replace(READ, server="x"), table_of()) == (
        "no server is named 'x'; these are: s, t"
    )
    gone, _ = requests.on_stream_lost(table_of(), lost(None))
    assert reason(replace(READ, server="s"), gone) == "the server 's' is gone: it went away"
    assert reason(LIST, gone) == "no server is ready"


def test_a_lost_server_that_came_back_is_asked_again() -> None:
    gone, _ = requests.on_stream_lost(table_of(), lost(None))
    back, _ = ready(gone, route())
    assert one(Post, requests.start(back, replace(READ, server="s"))[1]).server == "s"


def test_a_list_is_asked_of_all_that_are_ready_and_is_empty_where_it_is_not_offered() -> None:
    table = table_of(route("s"))
    table, _ = ready(table, route("t"), {"prompts": {}})
    table, out = requests.start(table, LIST)
    assert [each.server for each in only(RequestStarted, out)] == ["s", "t"]
    assert one(Post, out).server == "s"
    none = one(RequestEnded, out)
    assert (none.server, none.result, none.reason) == (
        "t",
        {"resources": []},
        "the server does not offer any",
    )


def test_completion_has_no_capability_in_the_first_revision() -> None:
    table = Requests(Plan(servers=(ServerPlan(name="s", url=URL),)))
    table, _ = ready(table, route(), {}, protocol="2024-11-05")
    assert one(Post, requests.start(table, COMPLETE)[1]).message["method"] == COMPLETE.method


def test_subscribing_is_a_capability_of_its_own() -> None:
    assert "does not offer resources" in reason(
        replace(SUBSCRIBE, server="s"), table_of(offers={"resources": {}})
    )
    assert result_of(asked(SUBSCRIBE, {})[1]) == {}


def test_since_2026_a_subscription_is_the_sessions_and_nothing_is_sent_here() -> None:
    table = table_of(route(protocol="2026-07-28"), offers={"resources": {}})
    _, out = requests.start(table, SUBSCRIBE)
    assert (result_of(out), only(Post, out)) == ({}, [])


# --- lists ------------------------------------------------------------------------------------


def test_all_pages_are_one_list() -> None:
    table, out = asked(LIST, {"resources": [{"uri": "a"}], "nextCursor": ""})
    assert one(Post, out).message["params"] == {"cursor": ""}
    assert one(Post, out).id == "request:r1~2"
    table, out = answered(table, {"resources": [{"uri": "b"}, "stray"], "nextCursor": "z"})
    assert one(Post, out).message["params"] == {"cursor": "z"}
    _, out = answered(table, {"resources": [{"uri": "c"}], "_meta": {}})
    assert result_of(out) == {"resources": [{"uri": uri} for uri in "abc"], "_meta": {}}
    assert one(RequestEnded, out).reason == ""


def test_a_list_that_runs_in_a_circle_ends_and_says_so() -> None:
    page: Json = {"resources": [{"uri": "a"}], "nextCursor": "x"}
    _, out = asked(LIST, page, page)
    assert len((result_of(out) or {})["resources"]) == 2
    assert one(RequestEnded, out).reason == "the list repeats its cursor"


def test_a_list_without_end_is_cut_and_says_so() -> None:
    pages = [{"resources": [{"uri": "a"}] * 2, "nextCursor": str(n)} for n in range(9)]
    _, out = asked(LIST, *pages[:3], table=table_of(max_pages=3))
    reason = one(RequestEnded, out).reason
    assert reason == "the list is cut after 6 items (--max-pages, --max-tools)"
    _, out = asked(LIST, *pages[:2], table=table_of(max_tools=3))
    assert len((result_of(out) or {})["resources"]) == 3


@pytest.mark.parametrize("page", [None, {}, "a"])
def test_a_page_that_is_no_list_is_an_error(page: Any) -> None:
    _, out = asked(LIST, {"resources": page})
    assert "as 'resources', expected a list" in one(RequestEnded, out).error


def test_a_list_that_the_server_does_not_know_is_empty() -> None:
    _, out = answered(asked(TEMPLATES)[0], error="Method not found", code=-32601)
    assert one(RequestEnded, out).result == {"resourceTemplates": []}
    assert one(RequestEnded, out).error == ""


def test_a_cursor_that_has_become_invalid_starts_the_list_again_once() -> None:
    table, _ = asked(LIST, {"resources": [{"uri": "a"}], "nextCursor": "x"})
    table, out = answered(table, error="invalid cursor", code=-32602)
    assert one(Post, out).message["params"] == {}
    table, _ = answered(table, {"resources": [{"uri": "a"}], "nextCursor": "x"})
    _, out = answered(table, error="invalid cursor", code=-32602)
    assert one(RequestEnded, out).error == "invalid cursor"
    _, out = answered(asked(LIST)[0], error="invalid params", code=-32602)
    assert one(RequestEnded, out).error == "invalid params"


# --- rounds -----------------------------------------------------------------------------------

WANTED: Json = {
    "resultType": "input_required",
    "inputRequests": {"a": ELICIT},
    "requestState": " S",
}


@pytest.mark.parametrize("wish", [READ, PROMPT])
def test_what_the_server_wants_is_asked_for_and_the_request_made_again(
    wish: RequestSubmitted,
) -> None:
    table, out = asked(wish, WANTED)
    assert out == (StopTimer(id="request:r1"),)
    assert table.wants == (Want("r1", "a", "s", "elicitation/create", {}),)
    assert requests.on_timer(table, "request:r1") == (table, ()), "it fired too late"
    table, out = requests.on_input(table, "r1", "a", ACCEPT)
    message = one(Post, out).message
    assert message["id"] == "request:r1~2"
    assert message["params"] == {
        **wish.params,
        "inputResponses": {"a": ACCEPT},
        "requestState": " S",
    }
    _, out = answered(table, {"x": 1, "ttlMs": 1000})
    assert result_of(out) == {"x": 1, "ttlMs": 1000}
    assert only(StartTimer, out) == [], "what inputs have brought about is not kept"


def test_a_state_alone_goes_back_at_once() -> None:
    _, out = asked(READ, {"resultType": "input_required", "requestState": "S"})
    assert one(Post, out).message["params"] == {"uri": "demo://a", "requestState": "S"}


def test_what_it_does_not_get_ends_the_request() -> None:
    table, _ = asked(READ, WANTED)
    table, out = requests.on_input(table, "r1", "a", None, "nobody is there")
    assert one(RequestEnded, out).error.endswith("did not get: nobody is there")
    assert requests.on_input(table, "r1", "a", ACCEPT) == (table, ())


def test_two_inputs_are_both_waited_for() -> None:
    both = {**WANTED, "inputRequests": {"a": ELICIT, "b": ELICIT}}
    table, _ = asked(READ, both)
    table, out = requests.on_input(table, "r1", "b", ACCEPT)
    assert out == ()
    _, out = requests.on_input(table, "r1", "a", ACCEPT)
    assert list(one(Post, out).message["params"]["inputResponses"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("wish", "result", "words"),
    [
        (LIST, WANTED, "of type 'input_required', which resources/list may not have"),
        (COMPLETE, WANTED, "of type 'input_required'"),
        (READ, {"resultType": "task"}, "of type 'task'"),
        (READ, {"resultType": "input_required"}, "neither what nor how to go on"),
    ],
)
def test_a_result_of_a_type_that_it_may_not_have_is_an_error(
    wish: RequestSubmitted, result: Json, words: str
) -> None:
    assert words in one(RequestEnded, asked(wish, result)[1]).error


def test_a_server_that_never_has_enough_is_given_up() -> None:
    again: Json = {"resultType": "input_required", "requestState": "S"}
    _, out = asked(READ, *[again] * 3, table=table_of(max_rounds=2))
    assert "3 times; 2 is the limit" in one(RequestEnded, out).error


def test_an_address_that_is_to_be_visited_first_is_asked_for() -> None:
    data: Json = {"elicitations": [{"mode": "url", "url": "https://a.example"}]}
    table, _ = answered(asked(READ)[0], error="first", code=-32042, data=data)
    assert [want.params["url"] for want in table.wants] == ["https://a.example"]
    _, out = requests.on_input(table, "r1", "0", {"action": "accept"})
    assert one(Post, out).message["params"] == READ.params
    deaf = replace(table_of(), plan=Plan(elicitation="never"))
    _, out = answered(asked(READ, table=deaf)[0], error="first", code=-32042, data=data)
    assert one(RequestEnded, out).error == "first"


# --- answers that are kept ----------------------------------------------------------------------

FRESH: Json = {"contents": [], "ttlMs": 5000}


def test_a_fresh_answer_is_not_asked_for_twice() -> None:
    table, out = asked(READ, FRESH)
    assert out[-1] == StartTimer(id="cache:r1", seconds=5)
    table, out = requests.start(table, READ)
    assert kinds(out) == ["RequestStarted", "RequestEnded"]
    assert result_of(out) == FRESH
    other = replace(READ, params={"uri": "demo://b"})
    assert len(only(Post, requests.start(table, other)[1])) == 1
    table, _ = requests.on_timer(table, "cache:r1")
    assert len(only(Post, requests.start(table, READ)[1])) == 1


@pytest.mark.parametrize("ttl", [None, 0, -1, True, "5000"])
def test_without_a_time_to_live_it_is(ttl: Any) -> None:
    table, _ = asked(READ, {"contents": [], "ttlMs": ttl})
    assert table.kept == {}


@pytest.mark.parametrize("wish", [PROMPT, COMPLETE])
def test_only_what_may_be_kept_is(wish: RequestSubmitted) -> None:
    assert asked(wish, {"ttlMs": 5000})[0].kept == {}


def test_a_list_is_as_fresh_as_its_oldest_page() -> None:
    first: Json = {"resources": [], "nextCursor": "x", "ttlMs": 1000}
    _, out = asked(LIST, first, {"resources": [], "ttlMs": 9000})
    assert one(StartTimer, out).seconds == 1
    table, _ = asked(LIST, {**first, "ttlMs": None}, {"resources": [], "ttlMs": 9000})
    assert table.kept == {}


def test_news_make_kept_answers_stale_and_those_on_the_way() -> None:
    table, _ = asked(READ, FRESH)
    assert forget(table, "t").kept != {}
    assert forget(table, "s").kept == {}
    table = forget(asked(READ)[0], "s")
    assert answered(table, FRESH)[0].kept == {}


def test_what_is_kept_is_bounded_in_number_and_in_size() -> None:
    table = table_of()
    for number in range(70):
        wish = replace(READ, params={"uri": f"demo://{number}"})
        table, _ = requests.start(table, wish)
        table, _ = answered(table, FRESH, id_=f"r{number + 1}")
    assert len(table.kept) == 64
    large = {**FRESH, "contents": [{"text": "x" * 300_000}]}
    assert asked(READ, large)[0].kept == {}


def test_a_lost_server_may_come_back_with_other_things() -> None:
    table, _ = asked(READ, FRESH)
    assert requests.on_stream_lost(table, lost())[0].kept == {}


# --- trouble ----------------------------------------------------------------------------------


def test_what_was_posted_is_sent_again_with_the_next_connection() -> None:
    table, _ = asked(LIST, {"resources": [{"uri": "a"}], "nextCursor": "x"})
    table, out = requests.on_stream_lost(table, lost())
    assert out == ()
    _, out = ready(table, route())
    assert one(Post, out).id == "request:r1~3"
    assert one(Post, out).message["params"] == {}, "a cursor is of one session"


def test_what_was_never_posted_does_not_count_as_lost() -> None:
    table, _ = requests.on_stream_lost(table_of(), lost())
    table, out = requests.start(table, replace(READ, server="s"))
    assert kinds(out) == ["RequestStarted", "StartTimer"]
    for _ in range(9):
        table, out = requests.on_stream_lost(table, lost())
        assert out == ()
    assert one(Post, ready(table, route())[1]).id == "request:r1~1"


def test_a_server_that_came_back_without_what_is_waited_for_is_not_asked() -> None:
    table, _ = requests.on_stream_lost(table_of(), lost())
    table, _ = requests.start(table, replace(READ, server="s"))
    _, out = ready(table, a_route(dialect="seed"), {})
    assert only(Post, out) == []
    assert one(RequestEnded, out).outcome == "not_sent"
    assert one(RequestEnded, out).reason == "the server 's' does not offer resources"


def test_it_is_not_sent_for_ever() -> None:
    table, _ = asked(READ)
    for _ in range(2):
        table, _ = requests.on_stream_lost(table, lost())
        table, _ = ready(table, route())
    table, out = requests.on_stream_lost(table, lost())
    assert out[0] == ended(outcome="unknown", reason="it went away")


def test_a_server_that_is_gone_for_good_ends_all_that_it_was_asked() -> None:
    _, out = requests.on_stream_lost(asked(READ)[0], lost(None))
    assert out == (ended(outcome="unknown", reason="it went away"), StopTimer(id="request:r1"))
    waiting, _ = requests.on_stream_lost(table_of(), lost())
    waiting, _ = requests.start(waiting, replace(READ, server="s"))
    _, out = requests.on_stream_lost(waiting, lost(None))
    assert one(RequestEnded, out).outcome == "not_sent"


def test_a_request_that_somebody_is_asked_for_outlives_its_connection() -> None:
    table, _ = asked(READ, WANTED)
    table, out = requests.on_stream_lost(table, lost())
    assert out == ()
    table, out = requests.on_input(table, "r1", "a", ACCEPT)
    assert out == (StartTimer(id="request:r1", seconds=60),)
    assert one(Post, ready(table, route())[1]).message["params"]["requestState"] == " S"


def test_a_lost_answer_is_asked_for_again_at_once_and_not_for_ever() -> None:
    table, _ = asked(READ)
    for number in (1, 2):
        gone = RequestLost(server="s", id=f"request:r1~{number}", reason="broke off")
        table, out = requests.on_lost(table, gone)
        assert one(Post, out).id == f"request:r1~{number + 1}"
    gone = RequestLost(server="s", id="request:r1~3", reason="broke off")
    table, out = requests.on_lost(table, gone)
    assert out[0] == ended(outcome="unknown", reason="broke off")
    assert requests.on_lost(table, gone) == (table, ())


def test_what_never_left_waits_for_the_next_connection() -> None:
    gone = RequestLost(server="s", id="request:r1~1", reason="refused", is_sent=False)
    table, out = requests.on_lost(asked(READ)[0], gone)
    assert out == ()
    _, out = requests.start(table, replace(READ, server="s"))
    assert only(Post, out) == [], "nor is anything else sent over this one"
    assert [post.id for post in only(Post, ready(table, route())[1])] == ["request:r1~2"]


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (
            posted("request:r1~1", 500),
            ended(outcome="answered", error="the server answered HTTP 500"),
        ),
        (posted("request:r1~1", None, reason="cut"), ended(outcome="unknown", reason="cut")),
        (
            posted("request:r1~1", None, reason="refused", is_sent=False),
            ended(outcome="not_sent", reason="refused"),
        ),
    ],
)
def test_over_other_transports_a_message_that_was_not_taken_ends_it(answer: Any, end: Any) -> None:
    table, _ = asked(READ, table=table_of(a_route(dialect="sse")))
    assert requests.on_posted(table, posted("request:r1~1")) == (table, ())
    assert requests.on_posted(table, posted("request:r9~1", 500)) == (table, ())
    assert requests.on_posted(table, answer)[1][0] == end
    over_http, _ = asked(READ)
    assert requests.on_posted(over_http, answer) == (over_http, ()), "the session reads it there"


def test_a_request_that_takes_too_long_is_given_up_and_the_server_told() -> None:
    _, out = requests.on_timer(asked(READ)[0], "request:r1")
    assert one(RequestEnded, out).reason == "no answer for 60 s (--call-timeout)"
    assert one(Post, out).message["method"] == "notifications/cancelled"
    assert one(Post, out).message["params"]["requestId"] == "request:r1~1"
    assert one(Cut, out) == Cut(server="s", id="request:r1~1")


def test_since_2026_closing_the_answer_is_what_tells_it() -> None:
    table = table_of(route(protocol="2026-07-28"))
    _, out = requests.on_timer(asked(READ, table=table)[0], "request:r1")
    assert (only(Post, out), one(Cut, out).id) == ([], "request:r1~1")


def test_a_server_that_does_not_come_back_is_not_waited_for_any_longer() -> None:
    table, _ = requests.on_stream_lost(asked(READ)[0], lost())
    table, out = requests.on_timer(table, "request:r1")
    assert one(RequestEnded, out).reason == "'s' was not connected after 60 s (--call-timeout)"
    assert only(Post, out) == []
    assert requests.on_timer(table, "request:r1") == (table, ())


def test_a_server_may_have_its_own_patience() -> None:
    servers = (ServerPlan(name="s", url=URL, call_timeout=5),)
    table, _ = ready(Requests(Plan(servers=servers)), route())
    assert StartTimer(id="request:r1", seconds=5) in requests.start(table, READ)[1]


def test_what_a_person_cancels_ends_everywhere() -> None:
    table, _ = requests.start(table_of(route("s"), route("t")), LIST)
    table, out = requests.cancel_all(table, "cancelled by the user")
    assert [end.outcome for end in only(RequestEnded, out)] == ["unknown", "unknown"]
    assert {post.server for post in only(Post, out)} == {"s", "t"}
    assert table.open == {}


def test_a_process_that_goes_on_sends_again_to_those_that_are_still_there() -> None:
    table, _ = requests.start(table_of(route("s"), route("t")), LIST)
    table = replace(table, kept={"s\nx\n{}": ("r0", {})})
    table, out = requests.on_resumed(table, ["s"])
    gone = one(RequestEnded, out)
    assert (gone.server, gone.outcome) == ("t", "unknown")
    assert "not part of the resumed run" in gone.reason
    assert StartTimer(id="request:r1", seconds=60) in out, "its old timer is gone with the process"
    assert (table.routes, table.kept) == ({}, {})
    assert one(Post, ready(table, route())[1]).id == "request:r1~2"


def test_a_process_that_goes_on_keeps_what_somebody_is_asked_for() -> None:
    table, out = requests.on_resumed(asked(READ, WANTED)[0], ["s"])
    assert out == ()
    assert table.open["r1"].state == "asking"


# --- skills -----------------------------------------------------------------------------------

PAGE, SCRIPT = "skill://tidy/SKILL.md", "skill://tidy/run.py"
SKILLS: Json = {"resources": {}, "extensions": {"io.modelcontextprotocol/skills": {}}}
LIST_SKILLS = RequestSubmitted(method="skills/list")


def skills_of(**texts: str) -> Json:
    """The list of one skill with these files."""
    uris = {"page": PAGE, "script": SCRIPT}
    files = [
        {"uri": uris[name], "digest": f"sha256:{sha256(text.encode()).hexdigest()}"}
        for name, text in texts.items()
    ]
    return {"skills": [{"uri": PAGE, "resources": files}]}


def read(uri: str) -> RequestSubmitted:
    return RequestSubmitted(method="resources/read", params={"uri": uri})


def text(uri: str, words: str) -> Json:
    return {"contents": [{"uri": uri, "text": words}]}


def test_skills_are_listed_where_they_are_offered() -> None:
    listed = skills_of(page="Tidy.")
    _, out = asked(LIST_SKILLS, listed, table=table_of(offers=SKILLS))
    assert result_of(out) == listed
    _, out = asked(LIST_SKILLS, table=table_of(offers=ALL))
    assert (result_of(out), only(Post, out)) == ({"skills": []}, [])


def test_a_file_of_a_skill_is_given_if_it_is_what_the_list_promises() -> None:
    table, _ = asked(LIST_SKILLS, skills_of(page="Tidy."), table=table_of(offers=SKILLS))
    table, _ = requests.start(table, read(PAGE))
    _, out = answered(table, text(PAGE, "Tidy."), "r2")
    assert result_of(out) == text(PAGE, "Tidy.")


def test_a_skill_of_which_one_file_is_another_is_not_read_any_more() -> None:
    listed = skills_of(page="Tidy.", script="run()")
    table, _ = asked(LIST_SKILLS, listed, table=table_of(offers=SKILLS))
    table, _ = requests.start(table, read(SCRIPT))
    table, out = answered(table, text(SCRIPT, "steal()"), "r2")
    assert "the skill is not what it promises" in one(RequestEnded, out).error
    assert result_of(out) is None
    _, out = requests.start(table, read(PAGE))
    assert only(Post, out) == []
    assert "nothing of this skill is read" in one(RequestEnded, out).error
