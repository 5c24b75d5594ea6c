"""What a recording tells of its turns: who asked what, and all that came of it."""

from collections import deque
from typing import Any, Final, TypeAlias, TypeGuard, get_args

from msgspec.structs import replace

from pipeline.core.calls import PREFIX
from pipeline.core.codec import Entry
from pipeline.core.commands import CallModel, CancelModel, Item, Post, ReadPrompt
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    PromptCancelled,
    PromptSubmitted,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    Tokens,
    ToolEnded,
    ToolProgress,
    ToolStarted,
    Usage,
)
from pipeline.core.question_table import SAMPLE
from pipeline.core.story import Call, ModelTurn, Note, NoteItem, Spent, Step, Turn, Wish

_NOTES: Final = get_args(NoteItem)
_Place: TypeAlias = tuple[list[Step], int]
_NOWHERE: Final[_Place] = ([], 0)


class Turns:
    """Turns and notes in order, fed one entry at a time.

    Wishes are taken up in the order they came, as the agent does. A step is replaced at its place,
    for what ends may not be what began last.
    """

    def __init__(self, max_waiting: int) -> None:
        self.spent: list[Spent] = []
        self._max_waiting = max_waiting
        self._now = 0.0
        self._seq = 0
        self._turns: list[Turn] = []
        self._steps: list[list[Step]] = []
        self._order: list[int | Note] = []
        self._current: int | None = None
        self._waiting: deque[int] = deque()
        self._places: dict[str, _Place] = {}
        self._pieces: dict[str, list[str]] = {}
        self._model_call = ""
        self._used_by = ""
        self._requests: set[str] = set()

    def chapters(self) -> tuple[Turn | Note, ...]:
        """All turns and notes; turns that were never taken up come last."""
        for call, pieces in self._pieces.items():
            self._change_model(call, pieces="".join(pieces))
        never = [at for at, turn in enumerate(self._turns) if turn.began is None]
        return tuple(
            each if isinstance(each, Note) else self._whole(each) for each in (*self._order, *never)
        )

    def _whole(self, at: int) -> Turn:
        return replace(self._turns[at], steps=tuple(self._steps[at]))

    def break_off(self, now: float) -> None:
        """The process ended: a model that was speaking will not go on."""
        step = self._model_turn(self._model_call)
        if step is not None and step.ended is None:
            self._change_model(self._model_call, ended=now)

    def read(self, entry: Entry, now: float) -> None:
        """Take note of an entry."""
        self._now, self._seq = now, entry.seq
        match entry.item:
            case PromptSubmitted() | CallSubmitted() | RequestSubmitted() as wish:
                self._on_wish(wish)
            case CallModel() | CancelModel() | Usage():
                self._on_model(entry.item)
            case ModelSpoke() | ModelThought() | ModelFinished() | ModelFailed():
                self._on_model(entry.item)
            case ToolStarted(call=call) as item:
                self._begin(is_for_chat=True)
                self._add(call, Call(seq=self._seq, began=now, started=item))
            case Post(id=id_) if id_.startswith(PREFIX):
                # A call that is sent again has a number behind a `~`.
                self._on_sent(id_.removeprefix(PREFIX).partition("~")[0])
            case ToolProgress(call=call):
                self._on_progress(call)
            case ToolEnded(call=call) as item:
                self._change_call(call, ended=now, end=item)
                self._end_own_call()
            case AnswerCompleted() as item:
                self._begin(is_for_chat=True)
                self._end_turn(answer=item)
            case CallRejected() as item:
                self._begin()
                self._note(item)
                self._end_turn()
            case RequestStarted(request=request) as item:
                self._begin(request=item)
                self._requests.add(request)
                self._note(item)
            case RequestEnded(request=request) as item:
                self._note(item)
                self._requests.discard(request)
            case ReadPrompt():
                self._end_requests()
            case item:
                self._note(item)

    def _on_model(self, item: Item) -> None:
        match item:
            case CallModel(call=call) if call.startswith(SAMPLE):
                # For a server, whatever else is under way: it begins no turn.
                if self._current is not None:
                    self._add(call, ModelTurn(seq=self._seq, began=self._now, call=call))
            case CallModel(call=call):
                self._begin(is_for_chat=True)
                self._model_call = call
                self._add(call, ModelTurn(seq=self._seq, began=self._now, call=call))
            case ModelSpoke(call=call, text=text):
                self._on_word(call, text)
            case ModelThought(call=call, text=text):
                self._on_thought(call, len(text))
            case ModelFinished(call=call):
                self._used_by = call
                self._change_model(call, ended=self._now, finished=item)
            case ModelFailed(call=call):
                self._change_model(call, ended=self._now, failed=item)
            case CancelModel(call=call):
                self._change_model(call, ended=self._now)
            case Usage():
                self._on_usage(item)
            case _:
                pass

    # --- turns --------------------------------------------------------------------------------

    def _on_wish(self, wish: Wish) -> None:
        if isinstance(wish, PromptSubmitted) and not wish.text.strip():
            return  # no turn comes of it, but a problem that says so
        if len(self._waiting) < self._max_waiting:
            self._waiting.append(len(self._turns))
        self._open(wish)

    def _open(self, wish: Wish | None) -> None:
        self._turns.append(Turn(number=len(self._turns) + 1, asked=self._now, wish=wish))
        self._steps.append([])

    def _begin(self, *, request: RequestStarted | None = None, is_for_chat: bool = False) -> None:
        """Take up the wish that has waited longest, unless one is under way."""
        self._end_requests(request, is_for_chat=is_for_chat)
        if self._current is not None:
            return
        if not self._waiting:
            self._waiting.append(len(self._turns))
            self._open(None)
        self._current = self._waiting.popleft()
        self._order.append(self._current)
        self._turns[self._current] = replace(self._turns[self._current], began=self._now)

    def _end_turn(self, answer: AnswerCompleted | None = None) -> None:
        if self._current is not None:
            turn = self._turns[self._current]
            self._turns[self._current] = replace(turn, ended=self._now, answer=answer)
        self._current = None

    def _end_requests(
        self, request: RequestStarted | None = None, *, is_for_chat: bool = False
    ) -> None:
        """A wish for requests is over when something begins that it did not ask for."""
        wish = None if self._current is None else self._turns[self._current].wish
        if not isinstance(wish, RequestSubmitted) or self._requests:
            return
        is_its_own = request is not None and request.method == wish.method
        if not is_its_own and not (is_for_chat and wish.into_chat):
            self._end_turn()

    def _end_own_call(self) -> None:
        if self._current is not None:
            wish = self._turns[self._current].wish
            if isinstance(wish, CallSubmitted):
                self._end_turn()

    def _note(self, item: Item) -> None:
        if not _is_note(item):
            return
        note = Note(seq=self._seq, at=self._now, item=item)
        if self._current is None:
            self._order.append(note)
        else:
            self._steps[self._current].append(note)
        if isinstance(item, PromptCancelled):
            self._waiting.clear()

    # --- steps --------------------------------------------------------------------------------

    def _add(self, id_: str, step: Step) -> None:
        assert self._current is not None, "a turn was begun"
        steps = self._steps[self._current]
        self._places[id_] = (steps, len(steps))
        steps.append(step)

    # What ends without having begun is passed over: a recording may have lost its beginning.

    def _model_turn(self, id_: str) -> ModelTurn | None:
        steps, at = self._places.get(id_, _NOWHERE)
        step = steps[at] if steps else None
        return step if isinstance(step, ModelTurn) else None

    def _call(self, id_: str) -> Call | None:
        steps, at = self._places.get(id_, _NOWHERE)
        step = steps[at] if steps else None
        return step if isinstance(step, Call) else None

    def _change_model(self, id_: str, **fields: Any) -> None:
        step = self._model_turn(id_)
        if step is not None:
            self._put(id_, replace(step, **fields))

    def _change_call(self, id_: str, **fields: Any) -> None:
        step = self._call(id_)
        if step is not None:
            self._put(id_, replace(step, **fields))

    def _put(self, id_: str, step: Step) -> None:
        steps, at = self._places[id_]
        steps[at] = step

    def _on_word(self, call: str, text: str) -> None:
        step = self._model_turn(call)
        if step is not None and step.first_word is None:
            self._change_model(call, first_word=self._now)
        self._pieces.setdefault(call, []).append(text)

    def _on_thought(self, call: str, length: int) -> None:
        step = self._model_turn(call)
        if step is not None:
            self._change_model(call, thought=step.thought + length)

    def _on_sent(self, id_: str) -> None:
        step = self._call(id_)
        if step is not None:
            sent = self._now if step.sent is None else step.sent
            self._change_call(id_, sent=sent, sends=step.sends + 1)

    def _on_progress(self, id_: str) -> None:
        step = self._call(id_)
        if step is not None:
            self._change_call(id_, progress=step.progress + 1)

    def _on_usage(self, usage: Usage) -> None:
        self._change_model(self._used_by or self._model_call, usage=usage)
        before = self.spent[-1].total if self.spent else Tokens()
        used = usage.tokens
        total = Tokens(
            input=before.input + used.input,
            output=before.output + used.output,
            cache_read=before.cache_read + used.cache_read,
            cache_write=before.cache_write + used.cache_write,
        )
        self.spent.append(Spent(at=self._now, total=total, cost_usd=usage.total_usd))


def _is_note(item: Item) -> TypeGuard[NoteItem]:
    return isinstance(item, _NOTES)
