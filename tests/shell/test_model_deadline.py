"""How long a model may take, and what cancelling does: with a server that holds its answer."""

import asyncio
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
    pushed_by,
)
from tests.support.claude_fixtures import deadline, kill_switch  # noqa: F401  autouse
from tests.support.messages_api import (
    HOLD,
    MessagesApi,
    Request,
    Stream,
    block_deltas,
    block_start,
    block_stop,
    end,
    frame,
    say,
    start,
    turn,
    use,
)


@pytest.mark.parametrize("parts", [[HOLD], [start(), frame("ping"), HOLD]])
async def test_a_model_that_never_begins_is_given_up(parts: list[Any]) -> None:
    options = OPTIONS.model_copy(update={"first_token": 0.3, "silence": 0.05})
    failed = await fails([Stream(parts)], options)
    assert failed.reason == "the model did not begin within 0.3 s (--model-first-token)"
    assert failed.may_retry


async def test_a_model_that_falls_silent_is_cut_and_the_server_sees_it() -> None:
    options = OPTIONS.model_copy(update={"silence": 0.2})
    async with MessagesApi([Stream([*PARTIAL, HOLD])]) as api:
        pushed = await pushed_by(ClaudeModel(options, api_key=KEY, base_url=api.url))
        await api.gone.wait()
    assert isinstance(pushed[-1], ModelFailed)
    assert pushed[-1].reason == "the model fell silent for 0.2 s in mid answer (--model-silence)"
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
    options = OPTIONS.model_copy(update={"silence": 1.0})
    pushed, _ = await ask(lambda _: _pinging(2.0, 0.1), options)
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

    options = OPTIONS.model_copy(update={"first_token": 1.0, "silence": 1.0})
    pushed, _ = await ask(script, options)
    assert isinstance(pushed[-1], ModelFinished), pushed[-1]


async def test_the_time_that_we_make_the_model_wait_is_not_its_silence() -> None:
    options = OPTIONS.model_copy(update={"first_token": 0.6, "silence": 0.6})
    pushed: list[ModelEvent] = []

    async def room() -> None:
        if len(pushed) == 1:
            waited = asyncio.Event()
            asyncio.get_running_loop().call_later(1.0, waited.set)
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
