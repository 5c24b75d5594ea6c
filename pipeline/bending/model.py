"""The model of a bent run: it says what it said, to whoever asks it the same.

What was recorded is found by what was asked last, as `mocks` find it. Where that is new, `direct`
thinks for itself; any other model says what it said to the same words, or else next in that turn,
for a recording cannot think: `guesses` counts these. Where there is nothing of the kind either, the
model fails. An answer that was cancelled has no end here either: it is cancelled again, or patience
ends it.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import TypeAlias

from msgspec.structs import replace

from pipeline.bending.bends import Bends
from pipeline.bending.clock import MICRO, VirtualClock
from pipeline.bending.line import Due, End, Line
from pipeline.bending.patience import Patience
from pipeline.bending.script import Asked, Reply
from pipeline.bending.standing import Standing
from pipeline.core.commands import CallModel
from pipeline.core.events import Input, Json, ModelFailed, ModelFinished
from pipeline.core.model_errors import refused
from pipeline.core.plan import Plan
from pipeline.mocks import model_script
from pipeline.mocks.match import Shelf
from pipeline.mocks.model_script import ModelAnswer
from pipeline.mocks.model_turn import message_of
from pipeline.shell import direct
from pipeline.shell.models import ModelEvent

Put: TypeAlias = Callable[[Input], None]


class Model:
    """All calls of the model; what it says goes to `put`."""

    def __init__(
        self,
        plan: Plan,
        asked: Iterable[Asked],
        *,
        clock: VirtualClock,
        bends: Bends,
        patience: Patience,
        put: Put,
    ) -> None:
        self.name = plan.model
        self.guesses = 0
        self._asked = [each for each in asked if isinstance(each.command, CallModel)]
        self._direct = direct.DirectModel() if _is_direct(plan, self._asked) else None
        self._is_silent = False
        self._clock = clock
        self._bends = bends
        self._patience = patience.model
        self._put = put
        self._turns: dict[str, Turn] = {}
        self._given: list[int] = []
        self._shelf: Shelf[Asked] = Shelf(model_script.words)
        for each in self._asked:
            if each.is_cancelled or any(_is_end(reply.item) for reply in each.replies):
                self._shelf.put(each.meaning, each)

    def take_over(self, standing: Standing, since: int) -> None:
        """Go on with the answers that are under way at event `since`; those before were given."""
        for each in self._asked:
            if each.seq < since:
                self._shelf.take(each.meaning)
                self._given.append(each.seq)
        for call, seq in standing.thinking.items():
            asked = next(each for each in self._asked if each.seq == seq)
            turn = self._begin(call)
            turn.has_begun = any(reply.seq < since for reply in asked.replies)
            self._play(turn, [r for r in asked.replies if r.seq >= since], None)

    async def start(self, command: CallModel) -> None:
        """Answer a call."""
        turn = self._begin(command.call)
        if self._is_silent:
            self._lose_patience(turn, self._clock.us, has_begun=False)
            return
        meant = model_script.meaning(command.messages)
        asked = self._shelf.take(meant)
        if self._direct is not None and (asked is None or not _is_possible(asked, command)):
            said: list[ModelEvent] = []
            await self._direct.stream_turn(command, said.append, _room)
            self._play(turn, [Reply(0, 0, 0, item) for item in said], self._clock.us)
            return
        if asked is None:
            asked = self._next(meant)
            self.guesses += asked is not None
        if asked is None:
            words = "the recording holds no answer of the model to this, nor any other for it here"
            self.pass_on(turn, ModelFailed(call=command.call, reason=words))
            return
        self._given.append(asked.seq)
        replies = [
            replace(each, item=_fitting(each.item, asked, command)) for each in asked.replies
        ]
        self._play(turn, replies, self._clock.us)

    def cancel(self, call: str) -> None:
        """Nothing more of a call is wanted."""
        if call in self._turns:
            self._turns.pop(call).line.cut()

    def pass_on(self, turn: "Turn", item: Input) -> None:
        """A piece of an answer, or its end."""
        if _is_end(item):
            self.cancel(turn.call)
        self._put(item)

    def fall_silent(self) -> None:
        """The model says nothing any more, to nobody."""
        self._is_silent = True
        for turn in self._turns.values():
            turn.line.cut()
            self._lose_patience(turn, self._clock.us, has_begun=turn.has_begun)

    def _begin(self, call: str) -> "Turn":
        turn = self._turns[call] = Turn(call, self, self._clock, self._bends)
        return turn

    def _play(self, turn: "Turn", replies: Sequence[Reply], began: int | None) -> None:
        for reply in replies:
            turn.line.expect(reply.due(began), reply.item, reply.seq)
        if not any(_is_end(reply.item) for reply in replies):
            last = max((reply.due(began) for reply in replies), default=self._clock.us)
            self._lose_patience(turn, last, has_begun=turn.has_begun or bool(replies))

    def _next(self, meant: Json) -> Asked | None:
        """What it said to the same words of the person, or next in the same turn."""
        left = (e for e in self._asked if e.seq not in self._given and e.replies)
        if (words := _words_in(meant)) is not None:
            return next((each for each in left if _words_in(each.meaning) == words), None)
        last = self._given[-1] if self._given else 0
        later = (each for each in self._asked if each.seq > last)
        turn = {e.seq for e in takewhile(lambda e: _words_in(e.meaning) is None, later)}
        return next((each for each in left if each.seq in turn), None)

    def _lose_patience(self, turn: "Turn", since: int, *, has_begun: bool) -> None:
        """Nothing more comes after that moment (µs): a live run gives the turn up in a while."""
        seconds = self._patience.first_token
        words = f"the model did not begin within {seconds:g} s (--model-first-token)"
        if has_begun:
            seconds = self._patience.silence
            limit = f"{seconds:g} s in mid answer (--model-silence)"
            words = f"the model fell silent for {limit}"
        failed = ModelFailed(call=turn.call, reason=words, may_retry=True)
        turn.line.expect(since + round(seconds * MICRO), failed)


class Turn(End):
    """One call of the model, and the `End` of its connection."""

    def __init__(self, call: str, model: Model, clock: VirtualClock, bends: Bends) -> None:
        self.call = call
        self.line = Line(clock, bends, self)
        self.has_begun = False
        self._model = model

    def hand(self, item: Input) -> None:
        """A piece, or the end."""
        self.has_begun = True
        self._model.pass_on(self, item)

    def drop(self, bent: str, lost: list[Due]) -> None:  # noqa: ARG002  all of it is lost
        """The connection breaks."""
        words = f"the connection to the model's server was lost in mid answer ({bent})"
        self._model.pass_on(self, ModelFailed(call=self.call, reason=words, may_retry=True))

    def refuse(self, status: int, bent: str) -> None:
        """The model's server refuses, also when its SDK asks it again."""
        failure = refused(status, None, model=self._model.name)
        words, may_retry = f"{failure.reason} ({bent})", failure.may_retry
        failed = ModelFailed(call=self.call, reason=words, status=status, may_retry=may_retry)
        self._model.pass_on(self, failed)

    def fall_silent(self, lost: list[Due]) -> None:  # noqa: ARG002  all of it is lost
        """Nothing more is heard of the model."""
        self._model.fall_silent()


def _fitting(item: Input, asked: Asked, command: CallModel) -> Input:
    """What was said then, as an answer of now: ids of tool uses are new to this conversation."""
    if not isinstance(item, ModelFinished):
        return replace(item, call=command.call)
    answer = ModelAnswer(asked.meaning, asked.tools, end=item)
    tools = [{"name": tool.alias} for tool in command.tools]
    request: Json = {"messages": list(command.messages), "tools": tools, "model": item.model}
    content = message_of(answer, item, request)["content"]
    return replace(item, call=command.call, content=tuple(content))


def _words_in(asked: Json) -> Json | None:
    """What a person said last; None where the model was told what tools answered, and no more."""
    said = [block for block in asked["user"] if block.get("type") != "tool_result"]
    return said[-1] if said else None


def _is_possible(asked: Asked, command: CallModel) -> bool:
    """Was it answered, and does every tool that the answer asks for still exist?"""
    names = {tool.alias for tool in command.tools}
    ends = [reply.item for reply in asked.replies if _is_end(reply.item)]
    blocks = (block for end in ends if isinstance(end, ModelFinished) for block in end.content)
    return bool(ends) and all(
        block.get("name") in names for block in blocks if block.get("type") == "tool_use"
    )


def _is_direct(plan: Plan, asked: Iterable[Asked]) -> bool:
    ends = [reply.item for each in asked for reply in each.replies]
    models = {end.model for end in ends if isinstance(end, ModelFinished)}
    return plan.model == direct.MODEL and models <= {direct.MODEL}


def _is_end(item: Input) -> bool:
    return isinstance(item, ModelFinished | ModelFailed)


async def _room() -> None:
    """There is always room."""
