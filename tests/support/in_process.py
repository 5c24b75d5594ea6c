"""A whole run of the client inside the test: all its parts are real, but for where results go.

    async with serve(ServerOptions()) as server:
        played = await play("--server", server.url, prompts=["add a=2 b=3"])
    assert played.only(AnswerCompleted)[0].text == "5"

Much quicker than a process, for tests where the process is not the point.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from unittest.mock import patch

from config.command_line import read_command_line
from config.mcp_entry import McpEntry
from config.settings import Settings
from pipeline import assembly
from pipeline.core.commands import Item
from pipeline.core.events import (
    Input,
    InputEnded,
    PromptSubmitted,
    QuestionAnswered,
    RunEnded,
)
from pipeline.plans import goal_of, make_plan
from pipeline.servers import choose, configured, connect, server_plan
from sinks.base import Sink
from sinks.memory import MemorySink

T = TypeVar("T")
DEADLINE = 30.0

QUICK = {"RXMCP_RETRY_FIRST_DELAY": "0.01", "RXMCP_RETRY_MAX_DELAY": "0.05"}
"""Variables for tests in which connections are lost: they come back without much waiting."""


class Lines:
    """Prompts of a test: those it begins with, then those of `say`, until `end`."""

    def __init__(self, prompts: Sequence[str | Input] = (), *, is_open: bool = False) -> None:
        self._queue: asyncio.Queue[Input] = asyncio.Queue()
        for prompt in prompts:
            self.say(prompt)
        if not is_open:
            self.end()

    def say(self, prompt: str | Input) -> None:
        """One more prompt."""
        item = PromptSubmitted(text=prompt) if isinstance(prompt, str) else prompt
        self._queue.put_nowait(item)

    def end(self) -> None:
        """No more prompts."""
        self._queue.put_nowait(InputEnded())

    async def read(self) -> Input:
        return await self._queue.get()

    async def ask(self, question: str) -> QuestionAnswered:
        return QuestionAnswered(question=question, action="cancel")


@dataclass(frozen=True)
class Played:
    """What a run was."""

    ended: RunEnded
    items: Sequence[Item]

    def only(self, kind: type[T]) -> list[T]:
        return [item for item in self.items if isinstance(item, kind)]

    def one(self, kind: type[T]) -> T:
        (found,) = self.only(kind)
        return found


class Playing:
    """A run that goes on."""

    def __init__(self, client: assembly.Run, memory: MemorySink, lines: Lines) -> None:
        self.client = client
        self.memory = memory
        self.lines = lines
        self.task: asyncio.Task[RunEnded] | None = None

    async def saw(self, kind: type[Item], **fields: object) -> Item:
        """Wait for an item of this kind, with these fields."""

        def is_it(item: Item) -> bool:
            return isinstance(item, kind) and all(
                getattr(item, name) == value for name, value in fields.items()
            )

        return await self.memory.wait_for(is_it, DEADLINE)

    async def ended(self) -> Played:
        """Wait for its end."""
        assert self.task is not None
        async with asyncio.timeout(DEADLINE):
            return Played(await self.task, self.memory.items)


def settings_of(*argv: str, env: Mapping[str, str] | None = None) -> Settings:
    """Settings as the command line makes them, of nothing else."""
    return read_command_line(argv, env or {}, None)


def servers_of(settings: Settings) -> tuple[McpEntry, ...]:
    """The servers of the command line, and of a configuration that it names."""
    entries = configured(settings, {}, Path("/nowhere")) if settings.mcp_config else ()
    return choose(settings, entries, (), allow=lambda _: False)


@asynccontextmanager
async def playing(
    *argv: str,
    lines: Lines | None = None,
    env: Mapping[str, str] | None = None,
    sinks: Sequence[Sink] = (),
    is_interactive: bool = False,
    kept: int = 100_000,
) -> AsyncGenerator[Playing]:
    """A run that is under way until the block ends, at the latest; the last items are kept."""
    settings = settings_of(*argv, env=env)
    entries = servers_of(settings)
    plan = make_plan(
        settings,
        [server_plan(entry, settings) for entry in entries],
        goal=goal_of(settings),
        is_interactive=is_interactive,
        may_ask=True,
    )
    targets = [connect(entry, settings) for entry in entries]
    memory, lines = MemorySink(kept), Lines() if lines is None else lines
    is_chat = settings.command == "chat" and settings.prompt is None
    with patch.object(assembly, "make_sinks", return_value=[memory, *sinks]):
        client = assembly.Run(settings, plan, targets, prompts=lines if is_chat else None)
    run = Playing(client, memory, lines)
    run.task = asyncio.create_task(client.run(*assembly.first_inputs(settings, plan)))
    try:
        yield run
    finally:
        run.task.cancel()
        await asyncio.wait([run.task])


async def play(
    *argv: str,
    prompts: Sequence[str | Input] = (),
    env: Mapping[str, str] | None = None,
    sinks: Sequence[Sink] = (),
) -> Played:
    """Run to the end: with these prompts in a chat, else as the words say."""
    async with playing(*argv, lines=Lines(prompts), env=env, sinks=sinks) as run:
        return await run.ended()
