"""Where commands meet the world: each goes where it belongs, and none before it is written down."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from config.options import MailboxOptions
from pipeline.core.codec import Entry
from pipeline.core.commands import (
    Ask,
    CallModel,
    CancelModel,
    Close,
    Command,
    Cut,
    Get,
    Open,
    Post,
    ReadPrompt,
    Reconnect,
    StartTimer,
    StopAsking,
    StopTimer,
)
from pipeline.core.events import (
    AnswerDelta,
    Input,
    InputEnded,
    PromptSubmitted,
    QuestionAnswered,
)
from pipeline.mailbox import Mailbox
from pipeline.shell.effects import Effects

DEADLINE = 5.0


class World:
    """Stands for all that effects touch; `log` is what was asked of it, in order."""

    def __init__(self, prompts: "Asked | Never | None") -> None:
        self.log: list[Any] = []
        self.inputs: asyncio.Queue[Input] = asyncio.Queue()
        self.written = 0
        self.changed = asyncio.Condition()
        self.effects = Effects(
            Mailbox[Entry](MailboxOptions()),
            streams=Recorder("streams", self.log),  # type: ignore[arg-type]  # a stand-in
            senders={"s": Recorder("outbox", self.log)},  # type: ignore[dict-item]  # a stand-in
            timers=Recorder("timers", self.log),  # type: ignore[arg-type]  # a stand-in
            models=lambda _: Recorder("models", self.log),  # type: ignore[arg-type,return-value]
            prompts=prompts,
            put=self.inputs.put_nowait,
            is_written=self.is_written,
        )

    async def is_written(self, seq: int) -> None:
        self.log.append(("is_written", seq))
        async with self.changed:
            await self.changed.wait_for(lambda: self.written >= seq)

    async def write(self, seq: int) -> None:
        async with self.changed:
            self.written = seq
            self.changed.notify_all()


class Asked:
    async def read(self) -> Input:
        return PromptSubmitted(text="hi")

    async def ask(self, question: str) -> QuestionAnswered:
        return QuestionAnswered(question=question, action="accept")


class Never:
    """A person who does not answer; `asking` is what is on the screen."""

    def __init__(self) -> None:
        self.asking: list[str] = []

    async def read(self) -> Input:
        await asyncio.Event().wait()
        return InputEnded()

    async def ask(self, question: str) -> QuestionAnswered:
        self.asking.append(question)
        try:
            await asyncio.Event().wait()
        finally:
            self.asking.remove(question)
        return QuestionAnswered(question=question, action="cancel")


class Recorder:
    """Notes each call as (part, method, arguments)."""

    def __init__(self, part: str, log: list[Any]) -> None:
        self._part = part
        self._log = log

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def note(*arguments: Any) -> Any:
            self._log.append((self._part, method, *arguments))
            return asyncio.Event().wait() if (self._part, method) == ("outbox", "run") else None

        return note


@asynccontextmanager
async def running(world: World) -> AsyncGenerator[None]:
    async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []

        def spawn(body: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
            tasks.append(group.create_task(body))
            return tasks[-1]

        spawn(world.effects.run(spawn))
        yield
        for task in tasks:
            task.cancel()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def entry(seq: int, command: Command) -> Entry:
    return Entry(seq, "2026-01-01T00:00:00.000000Z", command)


POST = Post(server="s", url="http://127.0.0.1/", id="call:c1", message={})
GET = Get(server="s", url="http://127.0.0.1/", id="own:s")
CALL = CallModel(call="model:1", messages=())


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (POST, ("outbox", "send", POST)),
        (GET, ("outbox", "get", GET)),
        (Cut(server="s", id="call:c1"), ("outbox", "cut", "call:c1")),
        (CALL, ("models", "start", CALL)),
        (CancelModel(call="model:1"), ("models", "cancel", "model:1")),
        (StartTimer(id="t", seconds=2.0), ("timers", "start", "t", 2.0)),
        (StopTimer(id="t"), ("timers", "stop", "t")),
        (Open(server="s"), ("streams", "open", "s", "sse")),
        (Open(server="s", transport="http"), ("streams", "open", "s", "http")),
        (Reconnect(server="s", reason="why"), ("streams", "reconnect", "s", "why")),
        (Close(server="s", reason="why", status=401), ("streams", "close", "s", "why", 401)),
    ],
)
async def test_each_command_goes_where_it_belongs(command: Command, asked: Any) -> None:
    world = World(Asked())
    world.written = 1
    async with running(world):
        world.effects.mailbox.put(entry(1, command))
        await settle()
    assert asked in world.log


async def test_nothing_is_done_before_it_is_written_down() -> None:
    world = World(Asked())
    async with running(world):
        world.effects.mailbox.put(entry(3, StartTimer(id="a", seconds=1.0)))
        world.effects.mailbox.put(entry(5, StopTimer(id="a")))
        await settle()
        assert ("is_written", 3) in world.log
        assert not any(note[0] == "timers" for note in world.log)
        await world.write(4)
        await settle()
        assert ("timers", "start", "a", 1.0) in world.log
        assert ("timers", "stop", "a") not in world.log
        await world.write(5)
        await settle()
        assert ("timers", "stop", "a") in world.log


async def test_a_wish_for_a_prompt_becomes_an_input() -> None:
    world = World(Asked())
    world.written = 1
    async with running(world):
        world.effects.mailbox.put(entry(1, ReadPrompt()))
        assert await world.inputs.get() == PromptSubmitted(text="hi")


async def test_where_nobody_is_asked_a_wish_for_a_prompt_does_nothing() -> None:
    world = World(None)
    world.written = 2
    async with running(world):
        world.effects.mailbox.put(entry(1, ReadPrompt()))
        world.effects.mailbox.put(entry(2, StopTimer(id="after")))
        await settle()
    assert ("timers", "stop", "after") in world.log
    assert world.inputs.empty()


async def test_a_reader_of_prompts_holds_up_no_command() -> None:
    world = World(Never())
    world.written = 2
    async with running(world):
        world.effects.mailbox.put(entry(1, ReadPrompt()))
        world.effects.mailbox.put(entry(2, Open(server="s")))
        await settle()
    assert ("streams", "open", "s", "sse") in world.log


async def test_a_question_becomes_an_answer() -> None:
    world = World(Asked())
    world.written = 1
    async with running(world):
        world.effects.mailbox.put(entry(1, Ask(question="q1")))
        assert await world.inputs.get() == QuestionAnswered(question="q1", action="accept")


async def test_where_nobody_can_be_asked_a_question_is_cancelled_at_once() -> None:
    world = World(None)
    world.written = 2
    async with running(world):
        world.effects.mailbox.put(entry(1, Ask(question="q1")))
        world.effects.mailbox.put(entry(2, StopAsking(question="q1")))
        await settle()
    assert world.inputs.get_nowait() == QuestionAnswered(question="q1", action="cancel")
    assert world.inputs.empty()


async def test_a_question_that_is_taken_back_is_not_asked_any_more_and_may_be_asked_anew() -> None:
    person = Never()
    world = World(person)
    world.written = 5
    async with running(world):
        world.effects.mailbox.put(entry(1, Ask(question="q1")))
        world.effects.mailbox.put(entry(2, Ask(question="q2")))
        await settle()
        assert person.asking == ["q1", "q2"]
        world.effects.mailbox.put(entry(3, StopAsking(question="q1")))
        world.effects.mailbox.put(entry(4, Ask(question="q1")))
        await settle()
        assert person.asking == ["q2", "q1"]
        world.effects.mailbox.put(entry(5, StopAsking(question="q1")))
        await settle()
        assert person.asking == ["q2"]
    assert person.asking == []
    assert world.inputs.empty()


async def test_the_end_drops_timers_and_streams() -> None:
    world = World(Asked())
    async with running(world):
        await settle()
        assert ("outbox", "run") in world.log
        assert [note[1] for note in world.log] == ["prepare", "start", "run"]
    assert world.log[-2:] == [("timers", "close"), ("streams", "dispose_all")]


async def test_what_is_no_command_is_a_bug_of_ours() -> None:
    world = World(Asked())
    world.written = 1
    world.effects.mailbox.put(Entry(1, "now", AnswerDelta(text="x")))
    world.effects.mailbox.close()
    with pytest.raises(TypeError, match="AnswerDelta is not a command"):
        await world.effects.run(lambda body: asyncio.create_task(drop(body)))
    assert ("timers", "close") in world.log


async def drop(body: Coroutine[Any, Any, None]) -> None:
    body.close()
