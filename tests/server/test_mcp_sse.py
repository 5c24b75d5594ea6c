import base64
from importlib import metadata
from typing import Any

import pytest

from server.jsonrpc import Notification, Request, Response, RpcError
from server.mcp_sse import Answer, CancelCall, StartCall, step
from server.sessions import Phase
from server.tool import ToolBox
from server.tools import default_tools

TOOLS = ToolBox(default_tools(".").values())
NAMES = ["add", "echo", "fail", "now", "search_text", "wait"]


def _result(phase: Phase, request: Request, **more: Any) -> dict[str, Any]:
    after, effect = step(phase, request, TOOLS, **more)
    assert after == phase
    assert isinstance(effect, Answer)
    return effect.result


def _error(phase: Phase, method: str, params: dict[str, Any]) -> RpcError:
    with pytest.raises(RpcError) as caught:
        step(phase, Request(1, method, params), TOOLS)
    assert caught.value.request_id == 1
    return caught.value


@pytest.mark.parametrize("asked", ["2024-11-05", "2025-11-25", "1999-01-01"])
def test_initialize_answers_the_one_revision_whatever_was_asked(asked: str) -> None:
    phase, effect = step("new", Request(1, "initialize", {"protocolVersion": asked}), TOOLS)
    assert phase == "initialized"
    assert isinstance(effect, Answer)
    assert effect.result["protocolVersion"] == "2024-11-05"
    assert effect.result["capabilities"] == {"tools": {"listChanged": True}, "logging": {}}
    assert effect.result["serverInfo"]["name"] == "rxmcp-reference"


def test_a_server_that_is_not_installed_has_version_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: str) -> str:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr("server.mcp_sse.version", unknown)
    request = Request(1, "initialize", {"protocolVersion": "2024-11-05"})
    _, effect = step("new", request, TOOLS)
    assert isinstance(effect, Answer)
    assert effect.result["serverInfo"]["version"] == "0"


@pytest.mark.parametrize("phase", ["new", "initialized", "ready"])
def test_ping_is_answered_at_any_time(phase: Phase) -> None:
    assert _result(phase, Request(1, "ping", {})) == {}


@pytest.mark.parametrize("method", ["tools/list", "tools/call", "logging/setLevel", "unknown"])
def test_before_initialize_only_ping_is_answered(method: str) -> None:
    error = _error("new", method, {})
    assert (error.code, str(error)) == (-32600, "not initialized: send initialize first")


def test_initialize_comes_once() -> None:
    assert _error("ready", "initialize", {"protocolVersion": "2024-11-05"}).code == -32600


@pytest.mark.parametrize(
    ("phase", "after"), [("new", "new"), ("initialized", "ready"), ("ready", "ready")]
)
def test_initialized_counts_only_after_initialize(phase: Phase, after: Phase) -> None:
    assert step(phase, Notification("notifications/initialized", {}), TOOLS) == (after, None)


def test_unknown_notifications_and_responses_are_let_go() -> None:
    assert step("ready", Notification("notifications/other", {}), TOOLS) == ("ready", None)
    assert step("ready", Response(), TOOLS) == ("ready", None)


@pytest.mark.parametrize(
    ("params", "effect"),
    [
        ({"requestId": 5}, CancelCall(5)),
        ({"requestId": "5", "reason": "late"}, CancelCall("5")),
        ({}, None),
        ({"requestId": True}, None),
        ({"requestId": [1]}, None),
    ],
)
def test_cancelled_names_a_call(params: dict[str, Any], effect: CancelCall | None) -> None:
    message = Notification("notifications/cancelled", params)
    assert step("ready", message, TOOLS) == ("ready", effect)


def test_without_a_page_size_the_list_is_whole() -> None:
    result = _result("ready", Request(1, "tools/list", {}))
    assert [tool["name"] for tool in result["tools"]] == NAMES
    assert "nextCursor" not in result


@pytest.mark.parametrize("page_size", [1, 2, 4, 5, 6, 7])
def test_pages_hold_every_tool_once_and_the_last_has_no_cursor(page_size: int) -> None:
    seen: list[str] = []
    params: dict[str, Any] = {}
    while True:
        result = _result("ready", Request(1, "tools/list", params), page_size=page_size)
        assert 1 <= len(result["tools"]) <= page_size
        seen += [tool["name"] for tool in result["tools"]]
        if "nextCursor" not in result:
            break
        params = {"cursor": result["nextCursor"]}
    assert seen == NAMES


def test_a_cursor_outlives_the_tool_it_was_made_at() -> None:
    tools = ToolBox(default_tools(".").values())
    request = Request(1, "tools/list", {})
    _, first = step("ready", request, tools, page_size=2)
    assert isinstance(first, Answer)
    tools.remove("echo")
    more = Request(2, "tools/list", {"cursor": first.result["nextCursor"]})
    _, second = step("ready", more, tools, page_size=2)
    assert isinstance(second, Answer)
    assert [tool["name"] for tool in second.result["tools"]] == ["fail", "now"]


@pytest.mark.parametrize(
    "cursor",
    ["", "!", "abc", "ü", base64.b64encode(b"\xff\xff\xff").decode(), "YQ==", 5, {}],
)
def test_a_cursor_of_another_server_is_refused(cursor: Any) -> None:
    error = _error("ready", "tools/list", {"cursor": cursor})
    assert error.code == -32602
    assert "cursor: found" in str(error)


def test_a_call_is_started_with_its_arguments_and_token() -> None:
    params = {"name": "add", "arguments": {"a": 1, "b": 2}, "_meta": {"progressToken": 0}}
    phase, effect = step("initialized", Request("c", "tools/call", params), TOOLS)
    assert phase == "initialized"
    tool = TOOLS.find("add")
    assert tool is not None
    assert effect == StartCall("c", tool, {"a": 1, "b": 2}, 0)


def test_a_call_without_arguments_has_none() -> None:
    _, effect = step("ready", Request(1, "tools/call", {"name": "now"}), TOOLS)
    assert isinstance(effect, StartCall)
    assert (effect.arguments, effect.progress_token) == ({}, None)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "name: found null, expected a string"),
        ({"name": 5}, "name: found 5, expected a string"),
        ({"name": "nope"}, "tool 'nope' is not offered"),
        ({"name": "add", "arguments": []}, "arguments: found a list of 0, expected an object"),
        ({"name": "add", "arguments": {"a": 1}}, "tool 'add': argument 'b' is missing"),
        ({"name": "now", "_meta": 1}, "_meta: found 1, expected an object"),
        ({"name": "now", "_meta": {"progressToken": 1.5}}, "progressToken: found 1.5"),
        ({"name": "now", "_meta": {"progressToken": True}}, "progressToken: found true"),
    ],
)
def test_a_bad_call_has_invalid_params(params: dict[str, Any], words: str) -> None:
    error = _error("ready", "tools/call", params)
    assert error.code == -32602
    assert words in str(error)


def test_a_log_level_is_taken_and_another_refused() -> None:
    assert _result("ready", Request(1, "logging/setLevel", {"level": "warning"})) == {}
    assert _error("ready", "logging/setLevel", {"level": "loud"}).code == -32602
    assert _error("ready", "logging/setLevel", {}).code == -32602


def test_initialize_needs_a_version() -> None:
    assert _error("new", "initialize", {}).code == -32602


def test_an_unknown_method_is_not_found() -> None:
    error = _error("ready", "resources/list", {})
    assert error.code == -32601
    assert "'resources/list'" in str(error)
