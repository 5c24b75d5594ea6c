import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from config.options import MailboxOptions
from pipeline.core.commands import CallModel
from pipeline.core.events import ModelFailed, ModelFinished, ModelSpoke
from pipeline.mailbox import Mailbox
from pipeline.shell.models import ModelEvent, Models, Push, Room

CALL = CallModel(call="c1", messages=({"role": "user", "content": "hi"},))
DONE = ModelFinished(call="c1", content=(), stop_reason="end_turn")
Script = Callable[[CallModel, Push, Room], Coroutine[Any, Any, None]]


class Scripted:
    def __init__(self, script: Script) -> None:
        self.stream_turn = script

    async def close(self) -> None: ...


class Actor:
    """A `Models` with everything it pushes, and the tasks it spawned."""

    def __init__(self, script: Script, options: MailboxOptions | None = None) -> None:
        self.mailbox: Mailbox[ModelEvent] = Mailbox(options or MailboxOptions())
        self.tasks: list[asyncio.Task[None]] = []
        self.models = Models(
            Scripted(script), push=self.mailbox.put, room=self.mailbox.room, spawn=self.spawn
        )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        self.tasks.append(asyncio.create_task(work))
        return self.tasks[-1]

    async def all_pushed(self) -> list[ModelEvent]:
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.mailbox.close()
        return list(await self.mailbox.take_all())


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    async with asyncio.timeout(20):
        yield


async def test_a_call_is_run_and_what_it_pushes_arrives_in_order() -> None:
    async def script(command: CallModel, push: Push, room: Room) -> None:
        push(ModelSpoke(call=command.call, text="a"))
        await room()
        push(DONE)

    actor = Actor(script)
    actor.models.start(CALL)
    assert await actor.all_pushed() == [ModelSpoke(call="c1", text="a"), DONE]


@pytest.mark.parametrize(
    ("exc", "words"),
    [
        (KeyError("x"), "KeyError"),
        (RuntimeError("\x1b[31m" + "x" * 1000), r"RuntimeError, '\x1b[31mxxx"),
        (asyncio.CancelledError(), "CancelledError"),
        (TimeoutError(), "TimeoutError"),
    ],
)
async def test_a_model_that_raises_is_a_call_that_failed(exc: BaseException, words: str) -> None:
    async def script(command: CallModel, push: Push, room: Room) -> None:
        raise exc

    actor = Actor(script)
    actor.models.start(CALL)
    (failed,) = await actor.all_pushed()
    assert isinstance(failed, ModelFailed)
    assert words in failed.reason
    assert len(failed.reason) < 400
    assert not failed.may_retry
    assert actor.tasks[0].exception() is None


async def test_a_model_that_ends_without_an_answer_is_a_call_that_failed() -> None:
    async def script(command: CallModel, push: Push, room: Room) -> None: ...

    actor = Actor(script)
    actor.models.start(CALL)
    assert await actor.all_pushed() == [
        ModelFailed(call="c1", reason="the model ended its turn without an answer")
    ]


async def test_a_call_ends_once_whatever_a_model_does_after_it() -> None:
    async def script(command: CallModel, push: Push, room: Room) -> None:
        push(DONE)
        push(ModelSpoke(call=command.call, text="late"))
        push(ModelFailed(call=command.call, reason="late"))
        raise ValueError("late")

    actor = Actor(script)
    actor.models.start(CALL)
    assert await actor.all_pushed() == [DONE]


async def test_nothing_of_a_cancelled_call_is_pushed() -> None:
    begun = asyncio.Event()

    async def script(command: CallModel, push: Push, room: Room) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            push(ModelSpoke(call=command.call, text="late"))
            push(DONE)

    actor = Actor(script)
    actor.models.start(CALL)
    await begun.wait()
    actor.models.cancel("c1")
    assert await actor.all_pushed() == []
    assert actor.tasks[0].cancelled()


async def test_a_call_may_be_cancelled_before_it_runs_and_after_it_ended() -> None:
    async def script(command: CallModel, push: Push, room: Room) -> None:
        push(DONE)

    actor = Actor(script)
    actor.models.start(CALL)
    actor.models.cancel("c1")
    assert await actor.all_pushed() == []
    actor.models.cancel("c1")
    actor.models.cancel("never heard of")


async def test_the_end_of_the_run_is_no_failure_of_the_model() -> None:
    async def script(command: CallModel, push: Push, room: Room) -> None:
        await asyncio.Event().wait()

    actor = Actor(script)
    actor.models.start(CALL)
    await asyncio.sleep(0)
    actor.tasks[0].cancel()
    assert await actor.all_pushed() == []


async def test_an_id_in_use_is_refused_and_free_again_at_the_end() -> None:
    async def script(command: CallModel, push: Push, room: Room) -> None:
        push(DONE)

    actor = Actor(script)
    actor.models.start(CALL)
    with pytest.raises(ValueError, match="'c1' is running already"):
        actor.models.start(CALL)
    await asyncio.gather(*actor.tasks)
    actor.models.start(CALL)
    assert await actor.all_pushed() == [DONE, DONE]


async def test_two_calls_run_side_by_side() -> None:
    other = asyncio.Event()

    async def script(command: CallModel, push: Push, room: Room) -> None:
        if command.call == "c1":
            await other.wait()
        other.set()
        push(ModelFinished(call=command.call, content=(), stop_reason="end_turn"))

    actor = Actor(script)
    actor.models.start(CALL)
    actor.models.start(CallModel(call="c2", messages=()))
    assert [event.call for event in await actor.all_pushed()] == ["c2", "c1"]


async def test_a_full_mailbox_makes_the_model_wait() -> None:
    third = asyncio.Event()

    async def script(command: CallModel, push: Push, room: Room) -> None:
        for number in range(10):
            push(ModelSpoke(call=command.call, text="x"))
            if number == 2:
                third.set()
            await room()
        push(DONE)

    actor = Actor(script, MailboxOptions(high=3, low=0))
    actor.models.start(CALL)
    await third.wait()
    for _ in range(5):
        await asyncio.sleep(0)  # turns of the loop in which a model that does not wait would go on
    assert len(actor.mailbox) == 3
    while not isinstance(await actor.mailbox.take(), ModelFinished):
        continue
    assert actor.mailbox.peak == 3
