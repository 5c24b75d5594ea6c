"""The model as the rest of the program sees it, and the actor that runs its turns."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from loguru import logger

from pipeline.core.commands import CallModel
from pipeline.core.events import ModelFailed, ModelFinished, ModelSpoke, ModelThought
from pipeline.core.model_errors import foreign

ModelEvent: TypeAlias = ModelSpoke | ModelThought | ModelFinished | ModelFailed
Push: TypeAlias = Callable[[ModelEvent], None]
Room: TypeAlias = Callable[[], Awaitable[None]]
Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Model(Protocol):
    """Something that answers: Claude, a server that speaks the same API, or `direct`."""

    async def stream_turn(self, command: CallModel, push: Push, room: Room) -> None:
        """Answer one call, `await room()` between pushes that may be many.

        Pushes exactly one `ModelFinished` or `ModelFailed`, as its last; none if cancelled.
        Failures that have a name are pushed in words. Never raises but for `CancelledError`.
        """
        ...

    async def prepare(self) -> None:
        """Do beforehand what the first turn would wait for; never raises but `CancelledError`."""
        ...

    async def close(self) -> None:
        """Release everything; called once, when no turn is running."""
        ...


class _Turn:
    """One call: hands on what the model pushes until it is over."""

    def __init__(self, push: Push) -> None:
        self.is_over = False
        self._push = push

    def push(self, event: ModelEvent) -> None:
        """Hand on an event; nothing after the last one, and nothing once cancelled."""
        if self.is_over:
            return
        self.is_over = isinstance(event, ModelFinished | ModelFailed)
        self._push(event)


class Models:
    """Runs one task per model call, and sees to it that each call ends exactly once.

    `spawn` owns the tasks. `room` waits while the mailbox behind `push` is choked.
    """

    def __init__(self, model: Model, *, push: Push, room: Room, spawn: Spawn) -> None:
        self._model = model
        self._push = push
        self._room = room
        self._spawn = spawn
        self._running: dict[str, tuple[_Turn, asyncio.Task[None]]] = {}

    def prepare(self) -> None:
        """Have the model get ready, beside whatever else happens."""
        self._spawn(self._model.prepare())

    def start(self, command: CallModel) -> None:
        """Begin a call.

        Raises:
            ValueError: If a call of that id is running: the core never uses an id twice.
        """
        if command.call in self._running:
            raise ValueError(f"the model call {command.call!r} is running already")
        turn = _Turn(self._push)
        task = self._spawn(self._run(command, turn))
        self._running[command.call] = turn, task
        task.add_done_callback(lambda _: self._running.pop(command.call, None))

    def cancel(self, call: str) -> None:
        """Stop a call; nothing of it is pushed from now on. One that has ended is fine."""
        if call in self._running:
            turn, task = self._running[call]
            turn.is_over = True
            task.cancel()

    async def _run(self, command: CallModel, turn: _Turn) -> None:
        failure: BaseException | None = None
        try:
            await self._model.stream_turn(command, turn.push, self._room)
        except asyncio.CancelledError as exc:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            failure = exc  # Nobody asked for it: a library's own, gone astray.
        except Exception as exc:  # noqa: BLE001  whatever a model does, its call must end
            failure = exc
        if not turn.is_over:
            turn.push(ModelFailed(call=command.call, reason=_reason(failure)))
        elif failure is not None:
            logger.warning("! model call {}, after its end: {}", command.call, _reason(failure))


def _reason(failure: BaseException | None) -> str:
    if failure is None:
        return "the model ended its turn without an answer"
    return f"the model failed unexpectedly: {type(failure).__name__}, {foreign(str(failure))}"
