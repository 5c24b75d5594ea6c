"""Standard output for programs."""

import io
import json
import os
from typing import TextIO

import msgspec
import pytest

from pipeline.core.codec import Entry, decode_entry
from pipeline.core.commands import Item, Open
from pipeline.core.events import (
    AnswerCompleted,
    AnswerDelta,
    Problem,
    PromptSubmitted,
    RequestEnded,
    RunEnded,
    RunStarted,
    Tokens,
    ToolEnded,
    Usage,
)
from sinks.base import SinkError
from sinks.json_output import JsonSink, StreamJsonSink

AT = "2026-11-24T06:28:23.000001Z"
EMPTY = {
    "result": "",
    "stop": None,
    "turns": 0,
    "usage": {
        "model_calls": 0,
        "input": 0,
        "output": 0,
        "cache_read": 0,
        "cache_write": 0,
        "cost_usd": None,
    },
    "tools": [],
    "problems": [],
    "exit_code": 0,
}


def text_stream(fd: int) -> TextIO:
    return open(fd, "w", encoding="utf-8")


def entries(*items: Item) -> list[Entry]:
    return [Entry(seq, AT, item) for seq, item in enumerate(items, 1)]


async def object_of(*items: Item, session: str = "") -> object:
    out = io.StringIO()
    sink = JsonSink(out, session=session)
    await sink.open()
    await sink.emit(entries(*items))
    await sink.close()
    assert out.getvalue().count("\n") == 1
    return json.loads(out.getvalue())


async def test_every_event_is_a_line_in_the_form_of_a_recording() -> None:
    raw = io.BytesIO()
    sink = StreamJsonSink(io.TextIOWrapper(raw, encoding="ascii"))
    await sink.open()
    batch = entries(RunStarted(), PromptSubmitted(text="grüße\n\u2028"), Open(server="s"))
    assert all(sink.wants(entry.item) for entry in batch)
    await sink.emit(batch[:1])
    assert len(raw.getvalue().splitlines()) == 1
    await sink.emit(batch[1:])
    await sink.close()
    lines = raw.getvalue().split(b"\n")
    assert [decode_entry(line) for line in lines[:-1]] == batch
    assert lines[-1] == b""
    assert "grüße".encode() in raw.getvalue()


async def test_a_run_is_one_object() -> None:
    usage = Usage(model="m", tokens=Tokens(input=1, output=2, cache_read=3), cost_usd=0.25)
    got = await object_of(
        AnswerDelta(text="not this"),
        Usage(model="m", tokens=Tokens(input=10, cache_write=4), cost_usd=0.5),
        ToolEnded(call="c", server="s", tool="add", outcome="answered", is_error=True),
        ToolEnded(call="d", server="s", tool="mul", outcome="unknown", reason="lost"),
        usage,
        Problem(where="s", detail="odd"),
        Problem(where="s", detail="odd", hint="do"),
        AnswerCompleted(text="5", turns=2, stop="max_turns"),
        RunEnded(code=8, reason="limit"),
        session="s1",
    )
    assert got == {
        "result": "5",
        "stop": "max_turns",
        "turns": 2,
        "usage": {
            "model_calls": 2,
            "input": 11,
            "output": 2,
            "cache_read": 3,
            "cache_write": 4,
            "cost_usd": 0.75,
        },
        "tools": [
            {"tool": "add", "server": "s", "outcome": "answered", "is_error": True},
            {
                "tool": "mul",
                "server": "s",
                "outcome": "unknown",
                "is_error": False,
                "reason": "lost",
            },
        ],
        "problems": [
            {"where": "s", "detail": "odd"},
            {"where": "s", "detail": "odd", "hint": "do"},
        ],
        "session": "s1",
        "exit_code": 8,
        "reason": "limit",
    }


async def test_a_run_without_anything_has_all_the_fields() -> None:
    assert await object_of(RunEnded(code=0)) == EMPTY


async def test_several_answers_are_all_there() -> None:
    got = await object_of(
        AnswerCompleted(text="one", turns=1, stop="cancelled"),
        AnswerCompleted(text="two", turns=2),
        RunEnded(code=0),
    )
    assert got == {**EMPTY, "result": "one\n\ntwo", "turns": 3, "stop": "end_turn"}


async def test_a_cost_that_is_not_known_for_all_calls_is_not_told() -> None:
    known = Usage(model="m", tokens=Tokens(), cost_usd=0.5)
    got = msgspec.convert(
        await object_of(known, Usage(model="n", tokens=Tokens()), RunEnded(code=0)),
        dict[str, object],
    )
    assert got["usage"] == {
        "model_calls": 2,
        "input": 0,
        "output": 0,
        "cache_read": 0,
        "cache_write": 0,
        "cost_usd": None,
    }


async def test_what_servers_answered_to_requests_is_there_if_there_was_any() -> None:
    fields = {"server": "s", "method": "resources/read"}
    found = await object_of(
        RequestEnded(request="r1", **fields, outcome="answered", result={}),
        RequestEnded(request="r2", **fields, outcome="answered", error="gone"),
        RequestEnded(request="r3", **fields, outcome="unknown", reason="cut"),
        RunEnded(code=0),
    )
    assert found == {
        **EMPTY,
        "requests": [
            {**fields, "outcome": "answered", "result": {}},
            {**fields, "outcome": "answered", "error": "gone"},
            {**fields, "outcome": "unknown", "reason": "cut"},
        ],
    }


async def test_a_run_that_was_cut_off_has_no_exit_code() -> None:
    got = await object_of(AnswerCompleted(text="one", turns=1))
    assert got == {**EMPTY, "result": "one", "turns": 1, "stop": "end_turn", "exit_code": None}


def test_only_what_the_object_is_made_of_is_wanted() -> None:
    sink = JsonSink(io.StringIO())
    assert sink.wants(RunEnded(code=0))
    assert not sink.wants(AnswerDelta(text="x"))


async def test_nothing_is_written_before_the_end() -> None:
    out = io.StringIO()
    sink = JsonSink(out)
    await sink.emit(entries(AnswerCompleted(text="one", turns=1)))
    assert out.getvalue() == ""
    await sink.emit(entries(RunEnded(code=0)))
    assert out.getvalue().endswith("}\n")


async def test_a_reader_that_has_gone_is_told_in_words_and_once() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with text_stream(writer) as out:
        lines, whole = StreamJsonSink(out), JsonSink(out)
        for sink in (lines, whole):
            with pytest.raises(SinkError, match="whoever read standard output has gone"):
                await sink.emit(entries(RunEnded(code=0)))
            await sink.close()
