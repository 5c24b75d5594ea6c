"""Answers of other servers: the odd ones are understood, the broken ones are told."""

import json
from typing import Any

import pytest

from pipeline.core.events import ModelFailed, ModelFinished, ModelSpoke
from pipeline.shell.claude import ClaudeModel
from pipeline.shell.models import ModelEvent
from tests.support.claude import (
    CALL,
    KEY,
    OPTIONS,
    PARTIAL,
    ask,
    command,
    fails,
    no_wait,
)
from tests.support.claude_fixtures import deadline, kill_switch  # noqa: F401  autouse
from tests.support.messages_api import (
    HOLD,
    RESET,
    MessagesApi,
    Stream,
    block_deltas,
    block_start,
    block_stop,
    end,
    frame,
    frames,
    raw_frame,
    say,
    start,
    turn,
)


@pytest.mark.parametrize(
    ("parts", "content", "stop_reason"),
    [
        pytest.param(
            [
                start(),
                block_start(0, say("")),
                block_start(1, CALL),
                *block_deltas(0, say("hello")),
                *block_deltas(1, CALL),
                block_stop(1),
                block_stop(0),
                *end("tool_use"),
            ],
            (say("hello"), CALL),
            "tool_use",
            id="a block starts before the one before it stops",
        ),
        pytest.param(
            [
                start(),
                block_start(0, {k: v for k, v in CALL.items() if k != "input"}),
                *block_deltas(0, CALL),
                block_stop(0),
                *end("tool_use"),
            ],
            (CALL,),
            "tool_use",
            id="tool_use without input",
        ),
        pytest.param(
            [start(), block_start(0, CALL), block_stop(0), *end("max_tokens")],
            ({**CALL, "input": {}},),
            "max_tokens",
            id="max_tokens with an empty call",
        ),
        pytest.param(
            [start(), block_start(0, CALL), *block_deltas(0, CALL)[:1], *end("max_tokens")],
            ({**CALL, "input": {}},),
            "max_tokens",
            id="max_tokens with a partial call",
        ),
        pytest.param(
            turn(say("no ping"), ping=False).parts, (say("no ping"),), "end_turn", id="no ping"
        ),
        pytest.param(
            [start(), block_start(0, say("")), *block_deltas(0, say("hi")), *end("end_turn")],
            (say("hi"),),
            "end_turn",
            id="a text block that never stops",
        ),
        pytest.param(
            turn({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
                 {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"u": 1}]},
                 stop_reason="pause_turn").parts,
            (
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"u": 1}]},
            ),
            "pause_turn",
            id="pause_turn",
        ),
        pytest.param(turn(say("No."), stop_reason="refusal").parts, (say("No."),), "refusal",
                     id="refusal"),
        pytest.param(
            [
                b": a comment\n\n",
                start(),
                frame("future_event", message="?"),
                raw_frame("ping", "not even json"),
                *frames(0, {"type": "hologram", "data": 1}),
                *frames(1, say("ok")),
                *end("end_turn"),
            ],
            ({"type": "hologram", "data": 1}, say("ok")),
            "end_turn",
            id="types of tomorrow",
        ),
        pytest.param(
            [part.split(b"\n", 1)[1] for part in turn(say("hi")).parts if isinstance(part, bytes)],
            (say("hi"),),
            "end_turn",
            id="events without a name",
        ),
        pytest.param(
            [
                bytes([byte])
                for part in turn(say("é😀")).parts
                if isinstance(part, bytes)
                for byte in part.replace(b"\n", b"\r\n")
            ],
            (say("é😀"),),
            "end_turn",
            id="one byte at a time",
        ),
    ],
)  # fmt: skip
async def test_an_odd_server_is_understood(
    parts: list[bytes], content: tuple[dict[str, Any], ...], stop_reason: str
) -> None:
    pushed, _ = await ask([Stream(parts)])
    last = pushed[-1]
    assert isinstance(last, ModelFinished), last
    assert (last.content, last.stop_reason) == (content, stop_reason)
    spoken = "".join(event.text for event in pushed if isinstance(event, ModelSpoke))
    assert spoken == "".join(block["text"] for block in content if block["type"] == "text")


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
FLAT = {"code": 500, "message": "failed to parse", "type": "server_error"}


@pytest.mark.parametrize(
    ("parts", "words", "status", "may_retry"),
    [
        pytest.param(PARTIAL, "cut: the stream ended before message_stop", None, True, id="cut"),
        pytest.param([], "cut: the stream ended before message_stop", None, True, id="nothing"),
        pytest.param([*PARTIAL, RESET], "was lost in mid answer", None, True, id="reset"),
        pytest.param([RESET], "was lost in mid answer", None, True, id="reset at once"),
        pytest.param(
            [*PARTIAL, raw_frame("error", json.dumps(OVERLOADED))],
            "in mid answer: the model's server is overloaded (529)",
            529,
            True,
            id="overloaded in mid answer",
        ),
        pytest.param(
            [*PARTIAL, raw_frame("error", json.dumps(FLAT))],
            "in mid answer: the model's server failed (500); it says 'failed to parse'",
            500,
            True,
            id="a flat error in mid answer",
        ),
        pytest.param(
            [*PARTIAL, raw_frame("error", "\x1b[31mboom " + KEY)],
            r"it says '\x1b[31mboom ***'",
            None,
            False,
            id="an error in mid answer that is no JSON",
        ),
        pytest.param(
            [start(), block_start(0, CALL), *block_deltas(0, CALL), *end("tool_use")],
            "unfinished call of 'mcp__calc__add'",
            None,
            True,
            id="a call that never stops",
        ),
        pytest.param(
            [*PARTIAL, block_stop(1), *end("tool_use")],
            "in the input of 'mcp__calc__add'",
            None,
            True,
            id="a call whose input is no JSON",
        ),
        pytest.param(
            [start(), *frames(0, say("hi")), *end(None)],
            "without a stop reason",
            None,
            True,
            id="no stop reason",
        ),
        pytest.param(
            [start(), raw_frame("content_block_start", "{")],
            "a broken answer: found '{', expected JSON",
            None,
            True,
            id="an event that is no JSON",
        ),
        pytest.param(
            [b"data: " + b"x" * 17 * 1024 * 1024],
            "sent an event of more than 16,777,216 bytes",
            None,
            False,
            id="an endless line",
        ),
    ],
)
async def test_an_answer_that_is_not_whole_is_a_failure_and_no_tool_call(
    parts: list[Any], words: str, status: int | None, may_retry: bool
) -> None:
    failed = await fails([Stream(parts)])
    assert words in failed.reason
    assert (failed.status, failed.may_retry) == (status, may_retry)


async def test_a_broken_stream_is_closed_before_the_failure_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By us, and not only once the garbage collector finds it."""
    import anthropic

    pushed: list[ModelEvent] = []
    pushed_at_close: list[int] = []
    close = anthropic.AsyncStream[Any].close

    async def noted_close(stream: Any) -> None:
        pushed_at_close.append(len(pushed))
        await close(stream)

    monkeypatch.setattr(anthropic.AsyncStream, "close", noted_close)
    broken = Stream([start(), raw_frame("content_block_start", "{"), HOLD])
    async with MessagesApi([broken]) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        await model.stream_turn(command(), pushed.append, no_wait)
        await api.gone.wait()
        await model.close()
    assert [type(event) for event in pushed] == [ModelFailed]
    assert pushed_at_close == [0]
