"""What is read from a recording about an MCP server."""

import json
from pathlib import Path

import pytest

from pipeline.core.commands import Item
from pipeline.core.events import PostAnswered, RunResumed, StreamLost
from pipeline.core.plan import ServerPlan
from pipeline.mocks.mcp_script import (
    Exchange,
    McpScript,
    NothingRecordedError,
    Refusal,
    RpcAnswer,
    SeedAnswer,
    pick,
    read_scripts,
    words,
)
from tests.mocks.tapes import URL, call, frame, post, ready, seed_call, text, write


def script_of(tmp_path: Path, *items: Item) -> McpScript:
    return pick(read_scripts([write(tmp_path / "tape.jsonl", *items)]), "one")


def rpc(id_: str | None, **members: object) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": id_, **members})


def only(script: McpScript) -> Exchange:
    (exchange,) = script.exchanges
    return exchange


def test_greeting_and_tools_are_kept_as_the_server_wrote_them(tmp_path: Path) -> None:
    greeting = {"protocolVersion": "2024-11-05", "serverInfo": {"name": "x"}, "odd": 1}
    script = script_of(
        tmp_path,
        post("init", "initialize"),
        frame(rpc("init", result=greeting)),
        post("list:1", "tools/list"),
        frame(rpc("list:1", result={"tools": [{"name": "a", "odd": 1}], "nextCursor": "n"})),
        post("list:2", "tools/list", {"cursor": "n"}),
        frame(rpc("list:2", result={"tools": [{"name": "b"}]})),
        ready(),
    )
    assert script.greeting == greeting
    assert script.tools == ({"name": "a", "odd": 1}, {"name": "b"})
    assert (script.dialect, script.exchanges) == ("sse", [])


def test_the_last_tool_list_counts(tmp_path: Path) -> None:
    script = script_of(
        tmp_path,
        ready(),
        post("list:1", "tools/list"),
        frame(rpc("list:1", result={"tools": [{"name": "a"}]})),
        post("list:2", "tools/list"),
        frame(rpc("list:2", result={"tools": [{"name": "b"}]})),
    )
    assert script.tools == ({"name": "b"},)


def test_calls_side_by_side_get_their_own_answers_and_progress(tmp_path: Path) -> None:
    told = {"progressToken": "call:2", "progress": 1, "message": "half"}
    note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": told}
    script = script_of(
        tmp_path,
        ready(),
        call("call:1", "add", a=1),
        call("call:2", "add", a=2),
        frame(json.dumps(note)),
        frame(rpc("call:2", result=text("two"))),
        frame(json.dumps([json.loads(rpc("call:1", error={"code": -1, "message": "no"}))])),
    )
    one, two = script.exchanges
    assert one.answer == RpcAnswer("error", {"code": -1, "message": "no"})
    assert two.answer == RpcAnswer("result", text("two"))
    assert (one.progress, two.progress) == ((), ({"progress": 1, "message": "half"},))
    assert words(two.asked) == 'add {"a":2}'


def test_what_is_no_answer_to_a_request_is_passed_over(tmp_path: Path) -> None:
    script = script_of(
        tmp_path,
        ready(),
        call("call:1", "add"),
        frame("no json"),
        frame("7"),
        frame(rpc("call:9", result={})),
        frame(rpc("call:1", method="ping")),
        frame(json.dumps({"method": "notifications/progress", "params": {"progressToken": 7}})),
        frame('{"error": "for nobody"}'),
        frame("{}", event="result"),
        frame("{}", event="odd"),
        frame(rpc("call:1", result={}), server="two"),
        PostAnswered(server="one", id="call:9", status=202),
    )
    assert only(script).answer is None


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (rpc("call:1", result=text("x")), RpcAnswer("result", text("x"))),
        (rpc(None, error="no"), RpcAnswer("error", "no")),
        (f"data: {rpc('call:1', result={})}\n\n", RpcAnswer("result", {})),
        ("Accepted", None),
        ("", None),
    ],
)
def test_an_answer_in_the_body_of_the_post_counts(
    tmp_path: Path, body: str, answer: RpcAnswer | None
) -> None:
    posted = PostAnswered(server="one", id="call:1", status=200, body=body)
    assert only(script_of(tmp_path, ready(), call("call:1", "add"), posted)).answer == answer


def test_a_refused_post_is_an_answer(tmp_path: Path) -> None:
    posted = PostAnswered(server="one", id="call:1", status=503, body="busy")
    script = script_of(tmp_path, ready(), call("call:1", "add"), posted)
    assert only(script).answer == Refusal(503, "busy")


def test_a_call_that_never_reached_the_server_tells_nothing(tmp_path: Path) -> None:
    script = script_of(
        tmp_path,
        ready(),
        call("call:1", "add"),
        frame(rpc("call:1", result=text("x"))),
        call("call:2", "add"),
        PostAnswered(server="one", id="call:2", is_sent=False, reason="refused"),
    )
    assert only(script).answer == RpcAnswer("result", text("x"))


def test_a_call_whose_connection_was_lost_was_never_answered(tmp_path: Path) -> None:
    script = script_of(
        tmp_path,
        ready(),
        call("call:1", "add"),
        PostAnswered(server="one", id="call:1", reason="cut"),
        StreamLost(server="one", reason="cut", retry_in=1.0),
        frame(rpc("call:1", result=text("a stray"))),
    )
    assert only(script).answer is None


def test_a_call_that_was_sent_again_under_its_id_is_one_call(tmp_path: Path) -> None:
    script = script_of(
        tmp_path,
        ready(),
        call("call:1", "add"),
        StreamLost(server="one", reason="cut", retry_in=1.0),
        call("call:1", "add"),
        frame(rpc("call:1", result=text("x"))),
    )
    assert only(script).answer == RpcAnswer("result", text("x"))


def test_seed_answers_are_kept_as_they_came(tmp_path: Path) -> None:
    script = script_of(
        tmp_path,
        frame('[{"name": "add"}]', event="tools"),
        ready("seed"),
        seed_call("call:1", "add", a=1),
        frame('{"id": "call:1", "content": []}', event="result"),
        seed_call("call:2", "add", a=2),
        frame("plain words", event="error"),
        frame("no list", event="tools"),
    )
    one, two = (exchange.answer for exchange in script.exchanges)
    assert isinstance(one, SeedAnswer)
    assert isinstance(two, SeedAnswer)
    assert (one.event, one.data, one.has_id) == ("result", '{"id": "call:1", "content": []}', True)
    assert (two.event, two.data, two.has_id) == ("error", "plain words", False)
    assert two.reply.error == "plain words"
    assert (script.dialect, script.tools) == ("seed", ({"name": "add"},))


@pytest.mark.parametrize(
    ("body", "event", "data"),
    [
        ('{"content":[]}', "result", '{"content":[]}'),
        ('event: error\ndata: {"error": "no"}\n\n', "error", '{"error":"no"}'),
    ],
)
def test_a_seed_answer_in_the_body_of_the_post_counts(
    tmp_path: Path, body: str, event: str, data: str
) -> None:
    posted = PostAnswered(server="one", id="call:1", status=200, body=body)
    answer = only(script_of(tmp_path, ready("seed"), seed_call("call:1", "add"), posted)).answer
    assert isinstance(answer, SeedAnswer)
    assert (answer.event, answer.data) == (event, data)


def test_other_requests_are_kept_too(tmp_path: Path) -> None:
    asked = {"uri": "file:///a", "_meta": {}}
    script = script_of(
        tmp_path,
        ready(),
        post("read", "resources/read", asked),
        frame(rpc("read", result={"contents": []})),
    )
    assert only(script).asked == {"method": "resources/read", "uri": "file:///a"}
    assert words(only(script).asked) == 'resources/read {"uri":"file:///a"}'


def test_runs_of_one_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    runs = [
        write(tmp_path / "tape.jsonl", ready(), call("call:1", "add")),
        write(
            tmp_path / "tape.jsonl",
            ready(),
            call("call:1", "add"),
            frame(rpc("call:1", result={})),
        ),
    ]
    script = pick(read_scripts(runs), None)
    assert [exchange.answer for exchange in script.exchanges] == [None, RpcAnswer("result", {})]


def test_servers_that_a_resumed_run_brought_are_read_too(tmp_path: Path) -> None:
    servers = (ServerPlan(name="two", url=URL),)
    resumed = RunResumed(goal="chat", servers=servers)
    run = write(tmp_path / "tape.jsonl", ready(), resumed, ready("seed", "two"))
    assert list(read_scripts([run])) == ["one", "two"]


def test_which_server_is_meant_must_be_clear(tmp_path: Path) -> None:
    servers = ("one", "two", "never ready")
    run = write(tmp_path / "tape.jsonl", ready(), ready(server="two"), servers=servers)
    scripts = read_scripts([run])
    assert pick(scripts, "two").server == "two"
    with pytest.raises(
        NothingRecordedError, match=r"found no name, expected one of .*'one', 'two'"
    ):
        pick(scripts, None)
    with pytest.raises(NothingRecordedError, match="found 'never ready', expected"):
        pick(scripts, "never ready")
    with pytest.raises(NothingRecordedError, match="recorded servers: none"):
        pick({}, None)
