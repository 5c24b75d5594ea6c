from typing import Any

import pytest

from server.tool import Tool, ToolBox, ToolError, run_tool
from tests.server.helpers import simple_tool


async def _nothing(_arguments: Any, _progress: Any) -> str:
    return ""


def _tool(name: str, description: str = "") -> Tool:
    return Tool(name=name, description=description, input_schema={"type": "object"}, run=_nothing)


def test_tools_are_described_in_the_order_of_their_names() -> None:
    box = ToolBox([_tool("b"), _tool("c"), _tool("a")])
    assert [tool["name"] for tool in box.described()] == ["a", "b", "c"]
    assert set(box.described()[0]) == {"name", "description", "inputSchema", "annotations"}


def test_a_tool_of_the_same_name_takes_the_place() -> None:
    box = ToolBox([_tool("a", "old")])
    box.add(_tool("a", "new"))
    assert [tool["description"] for tool in box.described()] == ["new"]


def test_a_removed_tool_is_not_found_and_cannot_be_removed_again() -> None:
    box = ToolBox([_tool("a")])
    box.remove("a")
    assert box.find("a") is None
    with pytest.raises(KeyError, match="'a' is not offered"):
        box.remove("a")


async def test_a_broken_tool_answers_without_its_insides_and_the_log_says_why() -> None:
    async def broken(_arguments: Any, _progress: Any) -> str:
        raise RuntimeError("secret path")

    lines: list[str] = []
    result = await run_tool(simple_tool("b", broken), {}, lambda _d, _t: None, lines.append)
    assert result["isError"] is True
    assert "secret path" not in result["content"][0]["text"]
    assert lines == ["! tool 'b' broke: RuntimeError: secret path"]


async def test_a_failure_in_words_is_an_answer_that_is_an_error() -> None:
    async def failing(_arguments: Any, _progress: Any) -> str:
        raise ToolError("no such thing")

    result = await run_tool(simple_tool("f", failing), {}, lambda _d, _t: None, lambda _: None)
    assert result == {"content": [{"type": "text", "text": "no such thing"}], "isError": True}
