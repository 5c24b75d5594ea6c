"""Carries out what the core asks for: the one place where commands meet the world."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from pipeline.core.codec import Entry
from pipeline.core.commands import (
    Ask,
    CallModel,
    CancelModel,
    Close,
    Cut,
    Get,
    Item,
    Open,
    PinTools,
    Post,
    ReadPrompt,
    Reconnect,
    StartTimer,
    StopAsking,
    StopTimer,
)
from pipeline.core.events import Input, PostAnswered, QuestionAnswered
from pipeline.mailbox import Mailbox
from pipeline.shell.coroutine import Spawn
from pipeline.shell.models import Models
from pipeline.shell.sender import Sender
from pipeline.shell.streams import Streams
from pipeline.shell.timers import Timers


class Prompts(Protocol):
    """Where prompts come from; one `read` at a time."""

    async def read(self) -> Input:
        """The next prompt, or what came instead of it (`InputEnded`, `PromptRejected`, …)."""
        ...

    async def ask(self, question: str) -> QuestionAnswered:
        """What the person answers to a question; it may come while a `read` is under way."""
        ...


class Effects:
    """Takes commands from its mailbox in order; nothing is done before it is written down.

    `is_written(seq)` waits until whoever records has everything up to `seq`, so that a crash can
    never have done what the recording does not know of. `prompts` None: nobody is asked.
    """

    def __init__(
        self,
        mailbox: Mailbox[Entry],
        *,
        streams: Streams,
        senders: Mapping[str, Sender],
        timers: Timers,
        models: Callable[[Spawn], Models],
        prompts: Prompts | None,
        put: Callable[[Input], None],
        is_written: Callable[[int], Awaitable[None]],
    ) -> None:
        self.mailbox = mailbox
        self._streams = streams
        self._senders = senders
        self._timers = timers
        self._make_models = models
        self._prompts = prompts
        self._put = put
        self._is_written = is_written
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def run(self, spawn: Spawn) -> None:
        """Take commands until cancelled; whatever takes time becomes a task of `spawn`."""
        models = self._make_models(spawn)
        models.prepare()
        self._streams.start(spawn)
        for sender in self._senders.values():
            spawn(sender.run())
        try:
            while (entry := await self.mailbox.take()) is not None:
                await self._is_written(entry.seq)
                self._carry_out(entry.item, models, spawn)
        finally:
            self._timers.close()
            self._streams.dispose_all()

    def _carry_out(self, command: Item, models: Models, spawn: Spawn) -> None:
        match command:
            case Post() | Get() | Cut() | Open() if command.server not in self._senders:
                self._leave_undone(command)
            case Post(server=server):
                self._senders[server].send(command)
            case Get(server=server):
                self._senders[server].get(command)
            case Cut(server=server, id=id_):
                self._senders[server].cut(id_)
            case Ask(question=question):
                self._ask(question, spawn)
            case StopAsking(question=question):
                if (asking := self._asking.pop(question, None)) is not None:
                    asking.cancel()
            case PinTools():
                pass  # a sink has it: what comes with the end of a run must be kept as well
            case CallModel():
                models.start(command)
            case CancelModel(call=call):
                models.cancel(call)
            case StartTimer(id=id_, seconds=seconds):
                self._timers.start(id_, seconds)
            case StopTimer(id=id_):
                self._timers.stop(id_)
            case Open(server=server, transport=transport):
                self._streams.open(server, transport)
            case Reconnect(server=server, reason=reason):
                self._streams.reconnect(server, reason)
            case Close(server=server, reason=reason, status=status):
                self._streams.close(server, reason, status)
            case ReadPrompt():
                if self._prompts is not None:
                    spawn(self._read_prompt(self._prompts))
            case _:
                raise TypeError(f"{type(command).__name__} is not a command")

    def _leave_undone(self, command: Post | Get | Cut | Open) -> None:
        """A run that goes on with other servers makes up for what its recording lacks of before."""
        if isinstance(command, Post | Get):
            reason = f"not sent: {command.server!r} is not part of this run"
            self._put(
                PostAnswered(server=command.server, id=command.id, reason=reason, is_sent=False)
            )

    def _ask(self, question: str, spawn: Spawn) -> None:
        if self._prompts is None:
            self._put(QuestionAnswered(question=question, action="cancel"))
            return
        task = spawn(self._put_answer(self._prompts, question))
        self._asking[question] = task
        task.add_done_callback(lambda _: self._forget(question, task))

    def _forget(self, question: str, task: "asyncio.Task[None]") -> None:
        if self._asking.get(question) is task:
            del self._asking[question]

    async def _put_answer(self, prompts: Prompts, question: str) -> None:
        self._put(await prompts.ask(question))

    async def _read_prompt(self, prompts: Prompts) -> None:
        self._put(await prompts.read())
