"""Calls that the server answers with a wish: the same call again, with what it wants."""

from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core import call_losses, calls, rounds
from pipeline.core.call_table import Calls, Move
from pipeline.core.commands import Post, StartTimer, StopTimer
from pipeline.core.events import (
    Json,
    ReplyReceived,
    RequestLost,
    Route,
    ToolEnded,
    ToolRepeated,
)
from pipeline.core.inputs import Want
from pipeline.core.plan import Elicitation, Plan
from pipeline.core.session import modern, wire
from tests.support.play import MESSAGES, a_route, a_tool, kinds, lost, one, only, text_block

META: Json = {f"{wire.META}protocolVersion": "2026-07-28"}
MODERN = Route(server="s", url=MESSAGES, dialect="http", protocol="2026-07-28", meta=META)
OK: Json = {"content": [text_block("5")]}
ELICIT: Json = {"method": "elicitation/create", "params": {"message": "who?"}}
ROOTS: Json = {"method": "roots/list"}
ACCEPT: Json = {"action": "accept", "content": {"name": "Ada"}}


def started(*ids: str, route: Route = MODERN, tool: Any = None, **changes: Any) -> Calls:
    table = calls.on_session_ready(Calls(Plan(elicitation="ask", **changes)), route)[0]
    for id_ in ids or ("c1",):
        table = calls.start(table, id_, tool or a_tool(), {"n": id_})[0]
    return table


def reply(id_: str, result: Json | None = None, **fields: Any) -> ReplyReceived:
    return ReplyReceived(server="s", id=f"call:{id_}", result=result, **fields)


def wanted(state: str | None = "S", **requests: Json) -> Json:
    found: Json = {"resultType": "input_required"}
    if requests:
        found["inputRequests"] = requests
    return found if state is None else {**found, "requestState": state}


def asked(table: Calls, *results: Json, id_: str = "c1") -> Move:
    """The server answers with these results in turn; the table and what came out last."""
    out: Any = ()
    for result in results:
        wire_id = table.open[id_].wire_id.removeprefix("call:")
        table, out = calls.on_reply(table, reply(wire_id, result))
    return table, out


def params(out: Any) -> Json:
    found: Json = one(Post, out).message["params"]
    return found


# --- one round --------------------------------------------------------------------------------


def test_what_the_server_wants_is_asked_for_and_the_call_waits_without_a_deadline() -> None:
    table, out = asked(started(), wanted(a=ELICIT, b=ROOTS))
    assert out == (StopTimer(id="call:c1"),)
    assert table.wants == (
        Want("c1", "a", "s", "elicitation/create", {"message": "who?"}),
        Want("c1", "b", "s", "roots/list", {}),
    )
    assert (table.open["c1"].state, table.open["c1"].is_posted) == ("asking", False)


def test_the_same_call_goes_out_again_once_all_is_there_under_a_new_id() -> None:
    table, _ = asked(started(), wanted(' {"x":1}', a=ELICIT, b=ROOTS))
    table, out = rounds.on_input(table, "c1", "b", {"roots": []})
    assert out == ()
    table, out = rounds.on_input(table, "c1", "a", ACCEPT)
    assert kinds(out) == ["StartTimer", "Post"]
    assert one(Post, out).id == one(Post, out).message["id"] == "call:c1~2"
    assert params(out) == {
        "name": "add",
        "arguments": {"n": "c1"},
        "_meta": {**META, "progressToken": "call:c1~2"},
        "inputResponses": {"a": ACCEPT, "b": {"roots": []}},
        "requestState": ' {"x":1}',
    }
    assert one(ToolEnded, asked(table, OK)[1]).content == (text_block("5"),)


def test_without_a_state_none_is_sent() -> None:
    table, _ = asked(started(), wanted(None, a=ELICIT))
    _, out = rounds.on_input(table, "c1", "a", ACCEPT)
    assert "requestState" not in params(out)


def test_a_state_alone_goes_back_at_once() -> None:
    _, out = asked(started(), wanted("S"))
    assert params(out)["requestState"] == "S"
    assert "inputResponses" not in params(out)


def test_the_next_round_starts_from_what_the_server_says_now() -> None:
    table, _ = asked(started(), wanted("S", a=ELICIT))
    table, _ = rounds.on_input(table, "c1", "a", ACCEPT)
    table, _ = asked(table, wanted(None, b=ROOTS))
    _, out = rounds.on_input(table, "c1", "b", {"roots": []})
    assert params(out)["inputResponses"] == {"b": {"roots": []}}
    assert "requestState" not in params(out)


def test_the_state_of_one_call_is_in_no_other() -> None:
    table, _ = asked(started("c1", "c2"), wanted("S", a=ELICIT))
    table, out = calls.start(table, "c3", a_tool(), {})
    assert "requestState" not in params(out)
    table, out = asked(table, wanted("T"), id_="c2")
    assert params(out)["requestState"] == "T"
    _, out = rounds.on_input(table, "c1", "a", ACCEPT)
    assert params(out)["requestState"] == "S"


@pytest.mark.parametrize("kind", [{}, {"resultType": "complete"}, {"resultType": None}])
def test_a_result_without_a_type_is_complete(kind: Json) -> None:
    ended = one(ToolEnded, asked(started(), {**kind, **OK})[1])
    assert (ended.outcome, ended.is_error, ended.content) == ("answered", False, (text_block("5"),))


@pytest.mark.parametrize("kind", ["other", "task", 5])
def test_a_type_that_was_not_agreed_on_is_no_result(kind: Any) -> None:
    ended = one(ToolEnded, asked(started(), {"resultType": kind, **OK})[1])
    assert (ended.is_error, ended.content) == (True, ())
    assert f"of type {kind!r}, which was not agreed on" in ended.reason


# --- rounds that do not go on -----------------------------------------------------------------


def test_what_it_does_not_get_ends_the_call_with_the_reason() -> None:
    table, _ = asked(started(), wanted(a=ELICIT, b=ROOTS))
    table, out = rounds.on_input(table, "c1", "a", None, "the user rejected it")
    ended = one(ToolEnded, out)
    assert (ended.outcome, ended.is_error) == ("answered", True)
    assert ended.reason.endswith("which it did not get: the user rejected it")
    assert only(Post, out) == []
    assert rounds.on_input(table, "c1", "b", {"roots": []}) == (table, ()), "late, and passed over"


@pytest.mark.parametrize("result", [{"resultType": "input_required"}, wanted(None)])
def test_a_wish_for_nothing_is_malformed(result: Json) -> None:
    ended = one(ToolEnded, asked(started(), result)[1])
    assert ended.is_error
    assert "neither what nor how to go on" in ended.reason


def test_a_server_that_never_has_enough_is_given_up() -> None:
    table, out = asked(started(max_rounds=3), *[wanted("S")] * 3)
    assert one(Post, out).id == "call:c1~4"
    ended = one(ToolEnded, asked(table, wanted("S"))[1])
    assert "4 times; 3 is the limit" in ended.reason


def test_the_time_in_any_case_runs_on_while_somebody_is_asked() -> None:
    table, _ = asked(started(), wanted(a=ELICIT))
    _, out = calls.on_timer(table, "call:c1:max")
    ended = one(ToolEnded, out)
    assert (ended.outcome, only(Post, out)) == ("unknown", []), "and there is nothing to cancel"


def test_a_deadline_that_fired_before_it_could_be_stopped_is_passed_over() -> None:
    table, _ = asked(started(), wanted(a=ELICIT))
    assert calls.on_timer(table, "call:c1") == (table, ())


def test_a_call_that_is_asked_for_stays_when_its_connection_is_lost() -> None:
    table, _ = asked(started(), wanted(a=ELICIT))
    table, out = call_losses.on_stream_lost(table, lost())
    assert out == ()
    table, out = rounds.on_input(table, "c1", "a", ACCEPT)
    assert out == (StartTimer(id="call:c1", seconds=60),), "it waits for the server"
    _, out = calls.on_session_ready(table, MODERN)
    assert params(out)["requestState"] == "S"


def test_a_call_that_is_asked_for_ends_when_its_server_is_gone_for_good() -> None:
    table, _ = asked(started(), wanted(a=ELICIT))
    ended = one(ToolEnded, call_losses.on_stream_lost(table, lost(None))[1])
    assert ended.outcome == "unknown"


def test_a_round_that_is_lost_is_made_again_only_where_a_call_may_be() -> None:
    table, _ = asked(started(tool=a_tool(annotations={"readOnlyHint": True})), wanted(a=ELICIT))
    table, _ = rounds.on_input(table, "c1", "a", ACCEPT)
    gone = RequestLost(server="s", id="call:c1~2", reason="why")
    _, out = call_losses.on_request_lost(table, gone)
    assert kinds(out) == ["ToolRepeated", "StartTimer", "StartTimer", "Post"]
    assert params(out)["inputResponses"] == {"a": ACCEPT}
    assert one(ToolRepeated, out).call == "c1"
    table, _ = asked(started(), wanted(a=ELICIT))
    table, _ = rounds.on_input(table, "c1", "a", ACCEPT)
    _, out = call_losses.on_request_lost(table, gone)
    assert one(ToolEnded, out).outcome == "unknown"


def test_a_round_that_was_never_sent_may_have_begun_before() -> None:
    table, _ = asked(started(max_call_sends=2), wanted("S"))
    gone = RequestLost(server="s", id="call:c1~2", reason="why", is_sent=False)
    _, out = call_losses.on_request_lost(table, gone)
    assert one(ToolEnded, out).outcome == "unknown"


# --- addresses to visit (2025-11-25) ------------------------------------------------------------


def visit(*urls: str) -> Json:
    return {"elicitations": [{"mode": "url", "url": url, "message": "go"} for url in urls]}


def visiting(*urls: str, **changes: Any) -> Move:
    table = started(route=a_route(), **changes)
    error = reply("c1", error="first (code -32042)", code=-32042, data=visit(*urls))
    return calls.on_reply(table, error)


def test_addresses_are_visited_first_and_the_call_made_again_as_it_was() -> None:
    table, out = visiting("https://a.example", "https://b.example")
    assert [want.params["url"] for want in table.wants] == [
        "https://a.example",
        "https://b.example",
    ]
    assert only(ToolEnded, out) == []
    table, _ = rounds.on_input(table, "c1", "0", {"action": "accept"})
    table, out = rounds.on_input(table, "c1", "1", {"action": "accept"})
    assert params(out) == {
        "name": "add",
        "arguments": {"n": "c1"},
        "_meta": {"progressToken": "call:c1~2"},
    }


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_an_address_that_is_not_visited_ends_the_call(action: str) -> None:
    table, _ = visiting("https://a.example")
    ended = one(ToolEnded, rounds.on_input(table, "c1", "0", {"action": action})[1])
    assert (ended.is_error, "was not accepted" in ended.reason) == (True, True)


def test_it_may_want_another_address_after_that_but_not_for_ever() -> None:
    table, _ = visiting("https://a.example", max_rounds=2)
    table, _ = rounds.on_input(table, "c1", "0", {"action": "accept"})
    again = reply("c1~2", error="again", code=-32042, data=visit("https://b.example"))
    table, _ = calls.on_reply(replace(table, wants=()), again)
    assert [want.params["url"] for want in table.wants] == ["https://b.example"]
    table, _ = rounds.on_input(table, "c1", "0", {"action": "accept"})
    last = reply("c1~3", error="again", code=-32042, data=visit("https://c.example"))
    assert "3 times; 2 is the limit" in one(ToolEnded, calls.on_reply(table, last)[1]).reason


@pytest.mark.parametrize(
    ("elicitation", "data"), [("never", visit("https://a.example")), ("ask", None), ("ask", {})]
)
def test_without_an_address_or_somebody_to_ask_the_error_is_the_answer(
    elicitation: Elicitation, data: Any
) -> None:
    table = calls.on_session_ready(Calls(Plan(elicitation=elicitation)), a_route())[0]
    table = calls.start(table, "c1", a_tool(), {})[0]
    _, out = calls.on_reply(table, reply("c1", error="visit first", code=-32042, data=data))
    ended = one(ToolEnded, out)
    assert (ended.reason, ended.content) == ("visit first", (text_block("visit first"),))


# --- better headers ---------------------------------------------------------------------------

MISMATCH = reply("c1", error="headers", code=modern.HEADER_MISMATCH)


def test_headers_that_do_not_fit_wait_for_the_tools_as_they_are_now() -> None:
    table, out = calls.on_reply(started(), MISMATCH)
    assert (out, table.open["c1"].state) == ((), "held")
    marked = a_tool(
        input_schema={
            "type": "object",
            "properties": {"n": {"type": "string", "x-mcp-header": "N"}},
        }
    )
    _, out = calls.on_tools(table, "s", [marked])
    assert one(Post, out).headers["Mcp-Param-N"] == "c1"
    assert one(Post, out).id == "call:c1~2"


def test_that_is_done_once() -> None:
    table, _ = calls.on_reply(started(), MISMATCH)
    table, _ = calls.on_tools(table, "s", [])
    _, out = calls.on_reply(table, replace(MISMATCH, id="call:c1~2"))
    assert one(ToolEnded, out).reason == "headers"


def test_a_call_that_is_held_for_too_long_has_not_begun() -> None:
    table, _ = calls.on_reply(started(), MISMATCH)
    assert one(ToolEnded, calls.on_timer(table, "call:c1")[1]).outcome == "not_sent"


def test_a_call_that_is_held_goes_out_with_the_next_session_as_well() -> None:
    table, _ = calls.on_reply(started(), MISMATCH)
    table, _ = call_losses.on_resumed(table, ["s"])
    assert one(Post, calls.on_session_ready(table, MODERN)[1]).id == "call:c1~2"
