"""The Messages API over real HTTP on loopback: what a server does, and what is pushed."""

import asyncio
import copy
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.options import ModelOptions
from pipeline.core.commands import CallModel
from pipeline.core.events import ModelFailed, ModelFinished, ModelSpoke, ModelThought, Tokens, Tool
from pipeline.shell.claude import ClaudeModel
from pipeline.shell.models import ModelEvent
from tests.support.loopback import loopback_only
from tests.support.messages_api import (
    HOLD,
    RESET,
    MessagesApi,
    Refusal,
    Reply,
    Request,
    Script,
    Stream,
    block_deltas,
    block_start,
    block_stop,
    end,
    frame,
    frames,
    raw_frame,
    refusal,
    say,
    start,
    think,
    turn,
    use,
)

KEY = "sk-ant-very-secret"
OPTIONS = ModelOptions(model="claude-test", max_tokens=100, max_retries=0)
HI = ({"role": "user", "content": "hi"},)
ADD = Tool(
    server="calc",
    name="add",
    alias="mcp__calc__add",
    description="Add.",
    input_schema={"type": "object", "properties": {"a": {"type": "number"}}},
)


@pytest.fixture(autouse=True)
def kill_switch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """No request leaves loopback, and nothing that this machine has set is used."""
    for name in [*os.environ]:
        if name.startswith("ANTHROPIC") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with loopback_only() as attempts:
        yield attempts


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield


async def no_wait() -> None: ...


def command(
    messages: tuple[dict[str, Any], ...] = HI, tools: tuple[Tool, ...] = (ADD,)
) -> CallModel:
    return CallModel(call="c1", messages=messages, tools=tools)


async def pushed_by(model: ClaudeModel, call: CallModel | None = None) -> list[ModelEvent]:
    pushed: list[ModelEvent] = []
    try:
        await model.prepare()
        await model.stream_turn(call or command(), pushed.append, no_wait)
    finally:
        await model.close()
    return pushed


async def ask(
    script: Script, options: ModelOptions = OPTIONS, **settings: Any
) -> tuple[list[ModelEvent], MessagesApi]:
    async with MessagesApi(script) as api:
        model = ClaudeModel(options, api_key=KEY, base_url=api.url, **settings)
        return await pushed_by(model), api


async def fails(script: Script, options: ModelOptions = OPTIONS) -> ModelFailed:
    pushed, _ = await ask(script, options)
    *before, last = pushed
    assert isinstance(last, ModelFailed)
    assert not any(isinstance(event, ModelFinished | ModelFailed) for event in before)
    assert KEY not in last.reason
    return last


# --- whole turns ----------------------------------------------------------------------------


async def test_a_turn_is_streamed_and_then_told_as_a_whole() -> None:
    blocks = (
        think("need both", "sig+/=="),
        say("Let me look."),
        use("mcp__calc__add", {"a": 1, "b": [2, "x"]}, "toolu_1"),
        use("mcp__calc__add", {}, "toolu_2"),
    )
    pushed, _ = await ask([turn(*blocks)])
    thought = "".join(event.text for event in pushed if isinstance(event, ModelThought))
    spoken = "".join(event.text for event in pushed if isinstance(event, ModelSpoke))
    assert (thought, spoken) == ("need both", "Let me look.")
    assert pushed[-1] == ModelFinished(
        call="c1",
        content=blocks,
        stop_reason="tool_use",
        model="claude-test",
        tokens=Tokens(input=10, output=42),
    )


async def test_the_request_is_what_the_api_asks_for() -> None:
    bare = Tool(server="s", name="t", alias="mcp__s__t", input_schema={"properties": {}})
    null = Tool(server="s", name="u", alias="mcp__s__u", input_schema={"type": None})
    async with MessagesApi([turn(say("ok"))]) as api:
        model = ClaudeModel(
            OPTIONS,
            system_prompt="Be kind.",
            api_key=KEY,
            base_url=api.url,
            extra_headers={"X-Team": "blue"},
        )
        await pushed_by(model, command(tools=(ADD, bare, null)))
    (request,) = api.requests
    assert request.body == {
        "model": "claude-test",
        "max_tokens": 100,
        "messages": list(HI),
        "system": "Be kind.",
        "stream": True,
        "cache_control": {"type": "ephemeral"},
        "tools": [
            {"name": "mcp__calc__add", "description": "Add.", "input_schema": ADD.input_schema},
            {"name": "mcp__s__t", "input_schema": {"properties": {}, "type": "object"}},
            {"name": "mcp__s__u", "input_schema": {"type": "object"}},
        ],
    }
    assert bare.input_schema == {"properties": {}}
    assert request.headers["x-team"] == "blue"
    assert request.headers["authorization"] == f"Bearer {KEY}"


async def test_what_is_not_there_is_left_out() -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        await pushed_by(ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url), command(tools=()))
    assert api.requests[0].body.keys() == {
        "model",
        "max_tokens",
        "messages",
        "stream",
        "cache_control",
    }


async def test_the_prefix_is_the_same_to_the_byte_from_turn_to_turn() -> None:
    """Also the tool result that answers each call, as a real server checks it."""
    blocks = (think("hm"), use("mcp__calc__add", {"z": 1, "a": {"y": 1.0, "b": "é"}}))
    pushed: list[ModelEvent] = []
    messages: tuple[dict[str, Any], ...] = HI
    async with MessagesApi([turn(*blocks), turn(say("done"))]) as api:
        model = ClaudeModel(OPTIONS, system_prompt="Be kind.", api_key=KEY, base_url=api.url)
        await model.stream_turn(command(messages), pushed.append, no_wait)
        finished = pushed[-1]
        assert isinstance(finished, ModelFinished)
        result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}
        messages = (
            *messages,
            {"role": "assistant", "content": list(finished.content)},
            {"role": "user", "content": [result]},
        )
        before = copy.deepcopy(messages)
        await model.stream_turn(command(messages), pushed.append, no_wait)
        await model.close()
    assert isinstance(pushed[-1], ModelFinished)
    assert messages == before
    first, second = (request.raw for request in api.requests)
    for name in ("system", "tools"):
        assert _member(first, name) == _member(second, name)
    assert _member(second, "messages").startswith(_member(first, "messages").removesuffix(b"]"))
    answered = {"role": "assistant", "content": list(blocks)}
    assert json.dumps(answered, ensure_ascii=False, separators=(",", ":")).encode() in second


def _member(raw: bytes, name: str) -> bytes:
    """One member of a JSON object, as it stands in the text."""
    at = raw.index(f'"{name}":'.encode()) + len(name) + 3
    text = raw[at:].decode()
    _, length = json.JSONDecoder().raw_decode(text)
    return text[:length].encode()


async def test_turns_share_one_connection() -> None:
    async with MessagesApi([turn(say("a")), turn(say("b"))]) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        for _ in range(2):
            await model.stream_turn(command(), print, no_wait)
        await model.close()
    assert api.requests[0].connection == api.requests[1].connection


async def test_a_stream_that_stays_open_after_the_answer_delays_nothing() -> None:
    pushed, api = await ask([Stream([*turn(say("ok")).parts, HOLD])])
    assert isinstance(pushed[-1], ModelFinished)
    await api.gone.wait()


@pytest.mark.parametrize("name", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
async def test_the_sdk_finds_the_key_and_the_address_in_the_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        monkeypatch.setenv(name, KEY)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        pushed = await pushed_by(ClaudeModel(OPTIONS))
    assert isinstance(pushed[-1], ModelFinished)
    assert api.requests[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_token_may_be_given_too() -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        pushed = await pushed_by(ClaudeModel(OPTIONS, auth_token="tok-12345", base_url=api.url))
    assert isinstance(pushed[-1], ModelFinished)
    assert api.requests[0].headers["authorization"] == "Bearer tok-12345"


# --- what other servers do ------------------------------------------------------------------

CALL = use("mcp__calc__add", {"a": 1})


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


PARTIAL = [start(), *frames(0, say("hm")), block_start(1, CALL), *block_deltas(1, CALL)[:1]]
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


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "words", "may_retry"),
    [
        (refusal(400, "invalid_request_error", "bad"), "invalid (400); it says 'bad'", False),
        (Refusal(400, {"error": {"type": "exceed_context_size_error"}}), "no longer fits", False),
        (refusal(401, "authentication_error", f"no {KEY}"), "check ANTHROPIC_API_KEY", False),
        (refusal(403, "permission_error", "no"), "may not use 'claude-test'", False),
        (refusal(404, "not_found_error", "model: x"), "no model 'claude-test'", False),
        (Refusal(404, "<html>nginx</html>"), "check --model and ANTHROPIC_BASE_URL", False),
        (refusal(413, "request_too_large", "big"), "too large", False),
        (refusal(429, "rate_limit_error", "slow down"), "too many requests", False),
        (Refusal(500, {"error": "images are not supported"}), "failed (500)", True),
        (refusal(529, "overloaded_error", "Overloaded"), "overloaded (529)", True),
        (Refusal(307, "moved", {"location": "http://192.0.2.1/v1/messages"}), "redirects", False),
    ],
)
async def test_a_refusal_is_told_in_words(reply: Reply, words: str, may_retry: bool) -> None:
    failed = await fails([reply])
    assert words in failed.reason
    assert isinstance(reply, Refusal)
    assert (failed.status, failed.may_retry) == (reply.status, may_retry)


async def test_a_refused_try_is_made_again_before_a_word_was_heard() -> None:
    busy = refusal(529, "overloaded_error", "Overloaded", retry_after_ms="1")
    pushed, api = await ask(
        [busy, busy, turn(say("ok"))], OPTIONS.model_copy(update={"max_retries": 2})
    )
    assert isinstance(pushed[-1], ModelFinished)
    assert len(api.requests) == 3


async def test_a_broken_stream_is_not_asked_for_again_by_the_sdk() -> None:
    options = OPTIONS.model_copy(update={"max_retries": 2})
    pushed, api = await ask([Stream([*PARTIAL, RESET]), turn(say("ok"))], options)
    assert isinstance(pushed[-1], ModelFailed)
    assert len(api.requests) == 1


@pytest.mark.parametrize("status", [429, 529])
async def test_a_server_that_asks_to_wait_for_hours_is_not_waited_for(status: int) -> None:
    options = OPTIONS.model_copy(update={"max_retries": 2})
    busy = refusal(status, "x", "later", retry_after="7200", x_should_retry="true")
    async with asyncio.timeout(20):  # far below `first_token`, which is 120 s
        failed = await fails([busy] * 3, options)
    assert "asks to wait 7200 s" in failed.reason
    assert (failed.status, failed.may_retry) == (status, False)


async def test_waits_between_tries_end_with_first_token() -> None:
    options = OPTIONS.model_copy(update={"max_retries": 1000, "first_token": 0.3})
    busy = refusal(429, "rate_limit_error", "later")  # the SDK then waits 0.4 s by itself
    failed = await fails(lambda _: busy, options)
    assert "did not begin within 0.3 s (first_token); refused so far: 429" in failed.reason


# --- silence --------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [[HOLD], [start(), frame("ping"), HOLD]])
async def test_a_model_that_never_begins_is_given_up(parts: list[Any]) -> None:
    options = OPTIONS.model_copy(update={"first_token": 0.3, "silence": 0.05})
    failed = await fails([Stream(parts)], options)
    assert failed.reason == "the model did not begin within 0.3 s (first_token)"
    assert failed.may_retry


async def test_a_model_that_falls_silent_is_cut_and_the_server_sees_it() -> None:
    options = OPTIONS.model_copy(update={"silence": 0.2})
    async with MessagesApi([Stream([*PARTIAL, HOLD])]) as api:
        pushed = await pushed_by(ClaudeModel(options, api_key=KEY, base_url=api.url))
        await api.gone.wait()
    assert isinstance(pushed[-1], ModelFailed)
    assert pushed[-1].reason == "the model fell silent for 0.2 s in mid answer (silence)"
    assert isinstance(pushed[0], ModelSpoke)


def _pinging(seconds: float, every: float) -> Stream:
    """Pings for so long, then the rest of the answer."""
    loop = asyncio.get_running_loop()
    parts: list[Any] = list(PARTIAL)
    for number in range(round(seconds / every)):
        gate = asyncio.Event()
        loop.call_later(every * (number + 1), gate.set)
        parts += [gate, frame("ping")]
    rest = [*block_deltas(1, CALL)[1:], block_stop(1), *end("tool_use")]
    return Stream([*parts, *rest])


async def test_pings_keep_a_slow_model_alive() -> None:
    options = OPTIONS.model_copy(update={"silence": 0.5})
    pushed, _ = await ask(lambda _: _pinging(1.0, 0.1), options)
    assert isinstance(pushed[-1], ModelFinished), pushed[-1]


async def test_pings_alone_do_not_keep_it_alive_for_ever() -> None:
    options = OPTIONS.model_copy(update={"first_token": 1.0, "silence": 0.5})
    failed = await fails(lambda _: _pinging(20.0, 0.1), options)
    assert "nothing but pings for 1 s in mid answer" in failed.reason


async def test_a_long_tool_input_counts_as_words() -> None:
    long = use("mcp__calc__add", {"text": "x" * 60})
    loop_parts: list[Any] = [start(), block_start(0, long)]

    def script(_: Request) -> Stream:
        loop = asyncio.get_running_loop()
        for number, piece in enumerate(block_deltas(0, long), 1):
            gate = asyncio.Event()
            loop.call_later(0.1 * number, gate.set)
            loop_parts.extend([gate, piece])
        return Stream([*loop_parts, block_stop(0), *end("tool_use")])

    options = OPTIONS.model_copy(update={"first_token": 0.8, "silence": 0.8})
    pushed, _ = await ask(script, options)
    assert isinstance(pushed[-1], ModelFinished), pushed[-1]


async def test_the_time_that_we_make_the_model_wait_is_not_its_silence() -> None:
    options = OPTIONS.model_copy(update={"first_token": 0.3, "silence": 0.3})
    pushed: list[ModelEvent] = []

    async def room() -> None:
        if len(pushed) == 1:
            waited = asyncio.Event()
            asyncio.get_running_loop().call_later(0.8, waited.set)
            await waited.wait()

    async with MessagesApi([turn(say("hello there"))]) as api:
        model = ClaudeModel(options, api_key=KEY, base_url=api.url)
        await model.prepare()
        await model.stream_turn(command(), pushed.append, room)
        await model.close()
    assert isinstance(pushed[-1], ModelFinished), pushed[-1]


async def test_room_is_asked_for_after_each_piece() -> None:
    asked: list[int] = []
    pushed: list[ModelEvent] = []

    async def room() -> None:
        asked.append(len(pushed))

    async with MessagesApi([turn(say("hello there"))]) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        await model.stream_turn(command(), pushed.append, room)
        await model.close()
    assert asked == [1, 2, 3]


# --- cancelling -----------------------------------------------------------------------------


async def test_a_cancelled_turn_closes_the_stream_and_pushes_nothing_more() -> None:
    spoke = asyncio.Event()
    pushed: list[ModelEvent] = []

    def push(event: ModelEvent) -> None:
        pushed.append(event)
        spoke.set()

    async with MessagesApi([Stream([*PARTIAL, HOLD])]) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        task = asyncio.create_task(model.stream_turn(command(), push, no_wait))
        await spoke.wait()
        await api.holding.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await api.gone.wait()
        await model.close()
    assert pushed == [ModelSpoke(call="c1", text="hm")]


async def test_a_turn_cancelled_before_the_first_word_closes_the_request() -> None:
    async with MessagesApi([Stream([HOLD]), turn(say("ok"))]) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        pushed: list[ModelEvent] = []
        task = asyncio.create_task(model.stream_turn(command(), pushed.append, no_wait))
        await api.holding.wait()
        task.cancel()
        await asyncio.wait([task])
        await api.gone.wait()
        assert pushed == []
        await model.stream_turn(command(), pushed.append, no_wait)
        await model.close()
    assert isinstance(pushed[-1], ModelFinished)


async def test_a_turn_cancelled_while_the_client_is_made_harms_no_other() -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        pushed: list[ModelEvent] = []
        task = asyncio.create_task(model.stream_turn(command(), pushed.append, no_wait))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await model.stream_turn(command(), pushed.append, no_wait)
        await model.close()
    assert [type(event) for event in pushed] == [ModelSpoke, ModelFinished]


async def test_a_model_that_was_never_asked_closes_too() -> None:
    await ClaudeModel(OPTIONS).close()


# --- no connection, no key ------------------------------------------------------------------


async def test_no_connection_names_the_place_and_not_the_password() -> None:
    async with MessagesApi([]) as api:
        port = api.url.rsplit(":", 1)[1]
    pushed = await pushed_by(
        ClaudeModel(OPTIONS, api_key=KEY, base_url=f"http://me:pass-word@127.0.0.1:{port}/x?q=1")
    )
    (failed,) = pushed
    assert isinstance(failed, ModelFailed)
    assert f"no connection to the model's server at http://127.0.0.1:{port}: " in failed.reason
    assert "check the network and ANTHROPIC_BASE_URL" in failed.reason
    assert "pass-word" not in failed.reason
    assert failed.may_retry


async def test_no_key_says_what_to_set() -> None:
    async with MessagesApi([turn(say("ok"))]) as api:
        (failed,) = await pushed_by(ClaudeModel(OPTIONS, base_url=api.url))
    assert isinstance(failed, ModelFailed)
    assert "set ANTHROPIC_API_KEY" in failed.reason
    assert "--model direct" in failed.reason
    assert not failed.may_retry
    assert api.requests == []


async def test_a_profile_that_cannot_be_read_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_PROFILE", "gone")
    (failed,) = await pushed_by(ClaudeModel(OPTIONS))
    assert isinstance(failed, ModelFailed)
    assert "profile 'gone'" in failed.reason
    assert "set ANTHROPIC_API_KEY" in failed.reason


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": KEY, "auth_token": "both"},
        {"api_key": KEY, "base_url": "http://[::1"},
        {"api_key": KEY, "base_url": "localhost:11434"},
        {"api_key": f"{KEY}\n", "base_url": "http://127.0.0.1:9"},
        {"api_key": f"{KEY}\u2019", "base_url": "http://127.0.0.1:9"},
    ],
)
async def test_settings_that_cannot_work_are_told_without_the_key(settings: dict[str, str]) -> None:
    model = ClaudeModel(OPTIONS, **settings)
    pushed: list[ModelEvent] = []
    await model.stream_turn(command(), pushed.append, no_wait)
    await model.close()
    (failed,) = pushed
    assert isinstance(failed, ModelFailed)
    assert KEY not in failed.reason


async def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anthropic", None)
    model = ClaudeModel(OPTIONS, api_key=KEY)
    pushed: list[ModelEvent] = []
    await model.stream_turn(command(), pushed.append, no_wait)
    await model.close()
    (failed,) = pushed
    assert isinstance(failed, ModelFailed)
    assert "`anthropic` cannot be imported" in failed.reason


async def test_a_secret_among_the_extra_headers_is_never_told() -> None:
    def echo(request: Request) -> Reply:
        return refusal(403, "permission_error", request.headers["x-proxy-token"])

    pushed, _ = await ask(echo, extra_headers={"X-Proxy-Token": "hidden-value"})
    assert isinstance(pushed[-1], ModelFailed)
    assert "it says '***'" in pushed[-1].reason


async def test_no_request_leaves_loopback(kill_switch: list[str]) -> None:
    model = ClaudeModel(OPTIONS, api_key=KEY, base_url="http://192.0.2.1")
    (failed,) = await pushed_by(model)
    assert isinstance(failed, ModelFailed)
    assert kill_switch == ["192.0.2.1"]
    kill_switch.clear()


# --- the test server itself -----------------------------------------------------------------


RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}
USED = {"role": "assistant", "content": [CALL]}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ((), "at least one message"),
        (({"role": "assistant", "content": "x"},), "first message must use the 'user' role"),
        (({"role": "system", "content": "x"},), "should be 'user' or 'assistant'"),
        (({"role": "user", "content": []},), "non-empty content"),
        (({"role": "user", "content": [say(" ")]},), "non-whitespace"),
        ((*HI, USED), "without `tool_result` blocks immediately after: toolu_1"),
        ((*HI, USED, {"role": "user", "content": "and?"}), "without `tool_result`"),
        ((*HI, USED, {"role": "user", "content": [say("x"), RESULT]}), "must come first"),
        ((*HI, {"role": "user", "content": [RESULT]}), "unexpected `tool_use_id`"),
        ((*HI, {"role": "assistant", "content": [CALL, CALL]}), "ids must be unique"),
        ((*HI, {"role": "assistant", "content": [{**CALL, "input": "x"}]}), "valid dictionary"),
        ((*HI, {"role": "assistant", "content": [think("x", "")]}), "signature: Field required"),
    ],
)
async def test_the_test_server_refuses_what_the_api_refuses(
    messages: tuple[dict[str, Any], ...], words: str
) -> None:
    async with MessagesApi(lambda _: turn(say("ok"))) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        (failed,) = await pushed_by(model, command(messages))
    assert isinstance(failed, ModelFailed)
    assert words.lower() in failed.reason.lower()


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ((ADD, ADD), "names must be unique"),
        ((Tool(server="s", name="a b", alias="a b"),), "should match pattern"),
        ((Tool(server="s", name="a", alias="a", input_schema={"type": "array"}),), "input_schema"),
    ],
)
async def test_the_test_server_refuses_the_tools_that_the_api_refuses(
    tools: tuple[Tool, ...], words: str
) -> None:
    async with MessagesApi(lambda _: turn(say("ok"))) as api:
        model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
        (failed,) = await pushed_by(model, command(tools=tools))
    assert isinstance(failed, ModelFailed)
    assert words.lower() in failed.reason.lower()


async def test_a_script_that_has_ended_says_so() -> None:
    assert "script of this test has ended" in (await fails([])).reason
