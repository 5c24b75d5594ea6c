"""A turn of the model, cancelled at every place at which it waits."""

import asyncio

from pipeline.core.events import ModelFailed, ModelFinished
from pipeline.shell.claude import ClaudeModel
from pipeline.shell.models import ModelEvent
from tests.support.claude import CALL, KEY, OPTIONS, command
from tests.support.claude_fixtures import kill_switch
from tests.support.messages_api import MessagesApi, say, turn
from tests.support.sweep import Interrupt, sweep

__all__ = ["kill_switch"]


async def room() -> None:
    """Others have their turn, and one that waits can be cancelled."""
    await asyncio.sleep(0)


async def test_a_turn_ends_once_or_without_a_word_and_no_connection_stays() -> None:
    async def scene(interrupt: Interrupt) -> None:
        pushed = list[ModelEvent]()

        async def body() -> None:
            try:
                await model.prepare()
                await model.stream_turn(command(), pushed.append, room)
            finally:
                await model.close()

        async with MessagesApi([turn(say("hm"), CALL)]) as api:
            model = ClaudeModel(OPTIONS, api_key=KEY, base_url=api.url)
            await interrupt(body())
            making = model._making  # pyright: ignore[reportPrivateUsage]  nobody else has it
            assert making is None or making.cancelled() or making.result().is_closed()
        ends = [event for event in pushed if isinstance(event, ModelFinished | ModelFailed)]
        assert not any(isinstance(event, ModelFailed) for event in ends)
        assert ends == pushed[len(pushed) - len(ends) :]
        assert len(ends) <= 1

    assert await sweep(scene) >= 10
