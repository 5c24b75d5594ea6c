"""What `tools` and `call` print."""

import io
import json
from typing import Any

import pytest

from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import AnswerDelta, RunEnded, Tool, ToolEnded, ToolsChanged
from sinks.results import CallSink, ToolsSink

SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}
ADD = Tool(
    server="s",
    name="add",
    alias="mcp__s__add",
    title="Adder",
    description="Add.\nMore of it.",
    input_schema=SCHEMA,
    output_schema={"type": "object"},
    annotations={"readOnlyHint": True},
)
BARE = Tool(server="t", name="bare", alias="mcp__t__bare")


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def called(*content: dict[str, Any], **fields: Any) -> ToolEnded:
    fields = {"outcome": "answered", "content": content, **fields}
    return ToolEnded(call="c1", server="s", tool="add", **fields)


async def printed(sink: ToolsSink | CallSink, out: io.StringIO, *items: Item) -> str:
    await sink.open()
    for seq, item in enumerate(items, 1):
        if sink.wants(item):
            await sink.emit([Entry(seq, "2026-01-01T00:00:00.000000Z", item)])
    await sink.close()
    return out.getvalue()


async def tools_of(*items: Item, as_json: bool = False) -> str:
    out = io.StringIO()
    return await printed(ToolsSink(out, as_json=as_json), out, *items)


async def call_of(*items: Item, as_json: bool = False) -> str:
    out = io.StringIO()
    return await printed(CallSink(out, as_json=as_json), out, *items)


async def test_tools_are_printed_when_the_run_has_ended_well() -> None:
    changed = ToolsChanged(server="s", tools=(ADD,))
    assert await tools_of(changed) == ""
    assert await tools_of(changed, RunEnded(code=4, reason="gone")) == ""
    assert await tools_of(changed, RunEnded(code=0)) == "add a=NUMBER\n    Add.\n"
    assert await tools_of(RunEnded(code=0)) == "no tools\n"


async def test_the_latest_list_of_each_server_counts() -> None:
    before, now = ToolsChanged(server="s", tools=(BARE,)), ToolsChanged(server="s", tools=(ADD,))
    other = ToolsChanged(server="t", tools=(BARE,))
    listed = await tools_of(before, other, now, RunEnded(code=0))
    assert listed == "s:\nadd a=NUMBER\n    Add.\nt:\nbare\n"


async def test_tools_as_json_are_one_array_with_whole_schemas() -> None:
    changed = ToolsChanged(server="s", tools=(ADD, BARE))
    (line,) = (await tools_of(changed, RunEnded(code=0), as_json=True)).splitlines()
    assert json.loads(line) == [
        {
            "server": "s",
            "name": "add",
            "title": "Adder",
            "description": "Add.\nMore of it.",
            "inputSchema": SCHEMA,
            "outputSchema": {"type": "object"},
            "annotations": {"readOnlyHint": True},
        },
        {"server": "t", "name": "bare", "inputSchema": {}},
    ]


@pytest.mark.parametrize(
    ("ended", "out"),
    [
        (called(text("5")), "5\n"),
        (called(text("one"), text("two")), "one\ntwo\n"),
        (called(text("it broke"), is_error=True), "it broke\n"),
        (called(structured={"sum": 5}), '{"sum":5}\n'),
        (called(text("5"), structured={"sum": 5}), "5\n"),
        (called(), ""),
        (called(text("5"), outcome="unknown", reason="lost"), ""),
        (called(text("a\x1b[31mred")), "a\\x1b[31mred\n"),
    ],
)
async def test_the_result_of_a_call_in_words(ended: ToolEnded, out: str) -> None:
    assert await call_of(AnswerDelta(text="no"), ended) == out


async def test_the_result_of_a_call_as_json_is_whole() -> None:
    ended = called(text("a\x1bb"), structured={"sum": 0}, is_error=True, reason="why")
    (line,) = (await call_of(ended, as_json=True)).splitlines()
    assert json.loads(line) == {
        "tool": "add",
        "server": "s",
        "outcome": "answered",
        "isError": True,
        "content": [text("a\x1bb")],
        "structuredContent": {"sum": 0},
        "reason": "why",
    }


async def test_a_call_that_was_not_answered_is_told_as_json_too() -> None:
    ended = called(outcome="not_sent", reason="no connection")
    found = json.loads(await call_of(ended, as_json=True))
    assert (found["outcome"], found["reason"], found["content"]) == (
        "not_sent",
        "no connection",
        [],
    )
