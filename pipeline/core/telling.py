"""Folds the entries of a recording into a `Story`."""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, get_args

from msgspec.structs import replace

from pipeline.core.calls import PREFIX
from pipeline.core.codec import Entry, Header
from pipeline.core.commands import CallModel, CancelModel, Item, Open, Post
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
    RunEnded,
    SessionClosed,
    SessionReady,
    StreamLost,
    Tokens,
    ToolEnded,
    ToolProgress,
    ToolsChanged,
    ToolStarted,
    Usage,
)
from pipeline.core.instants import microseconds
from pipeline.core.story import (
    Call,
    ModelTurn,
    Note,
    NoteItem,
    Outage,
    Server,
    Spent,
    Step,
    Story,
    Turn,
)

_NOTES: Final = get_args(NoteItem)
_MICRO = 1_000_000


def tell(header: Header, entries: Iterable[Entry]) -> Story:
    """The story of one run; what it does not know it passes over.

    Time never runs backwards in it: where the clock was set back, it stands still.

    Raises:
        NotATimeError: If an `at` is no time.
    """
    teller = _Teller(header)
    for entry in entries:
        teller.read(entry)
    return teller.story()


class _Teller:
    """Keeps values; each change replaces one at its place."""

    def __init__(self, header: Header) -> None:
        self._header = header
        self._first: int | None = None
        self._now = 0.0
        self._seq = 0
        self._events = 0
        self._chapters: list[Turn | Note] = []
        self._steps: dict[int, list[Step]] = {}
        self._current: int | None = None
        self._waiting: deque[int] = deque()
        self._places: dict[str, tuple[list[Step], int]] = {}
        self._pieces: dict[str, list[str]] = {}
        self._model_call = ""
        self._servers = {each.name: Server(name=each.name, url=each.url) for each in _plan(header)}
        self._spent: list[Spent] = []
        self._end: RunEnded | None = None

    def story(self) -> Story:
        for call, pieces in self._pieces.items():
            self._change(call, pieces="".join(pieces))
        chapters = (self._with_steps(at, chapter) for at, chapter in enumerate(self._chapters))
        return Story(
            header=self._header,
            events=self._events,
            duration=self._now,
            servers=tuple(self._servers.values()),
            chapters=tuple(chapters),
            spent=tuple(self._spent),
            end=self._end,
        )

    def _with_steps(self, at: int, chapter: Turn | Note) -> Turn | Note:
        if isinstance(chapter, Note):
            return chapter
        return replace(chapter, steps=tuple(self._steps[at]))

    def read(self, entry: Entry) -> None:
        at = microseconds(entry.at)
        self._first = at if self._first is None else self._first
        self._now = max(self._now, (at - self._first) / _MICRO)
        self._seq = entry.seq
        self._events += 1
        self._read_turns(entry.item)
        self._read_servers(entry.item)

    # --- turns --------------------------------------------------------------------------------

    def _read_turns(self, item: Item) -> None:
        match item:
            case PromptSubmitted() | CallSubmitted():
                self._on_wish(item)
            case CallModel(call=call):
                self._begin()
                self._model_call = call
                self._add(call, ModelTurn(seq=self._seq, began=self._now, call=call))
            case ModelSpoke(call=call, text=text):
                self._on_word(call, text)
            case ModelThought(call=call, text=text):
                self._on_thought(call, len(text))
            case ModelFinished(call=call):
                self._change(call, ended=self._now, finished=item)
            case ModelFailed(call=call):
                self._change(call, ended=self._now, failed=item)
            case CancelModel(call=call):
                self._change(call, ended=self._now)
            case Usage():
                self._on_usage(item)
            case ToolStarted(call=call):
                self._begin()
                self._add(call, Call(seq=self._seq, began=self._now, started=item))
            case Post(id=id_) if id_.startswith(PREFIX):
                self._change(id_.removeprefix(PREFIX), sent=self._now)
            case ToolProgress(call=call):
                step = self._find(call)
                self._change(call, progress=step.progress + 1 if isinstance(step, Call) else 0)
            case ToolEnded(call=call):
                self._change(call, ended=self._now, end=item)
                self._end_own_call()
            case AnswerCompleted():
                self._begin()
                self._end_turn(answer=item)
            case RunEnded():
                self._end = item
            case _:
                self._note(item)

    def _on_wish(self, wish: PromptSubmitted | CallSubmitted) -> None:
        number = len(self._steps) + 1
        self._steps[len(self._chapters)] = []
        # The agent takes no empty prompt and no more than so many: these are never begun.
        is_taken = isinstance(wish, CallSubmitted) or bool(wish.text.strip())
        if is_taken and len(self._waiting) < self._header.plan.max_queued_prompts:
            self._waiting.append(len(self._chapters))
        self._chapters.append(Turn(number=number, asked=self._now, wish=wish))

    def _begin(self) -> None:
        """Take up the oldest wish that waits, unless one is under way."""
        if self._current is not None:
            return
        if not self._waiting:
            self._steps[len(self._chapters)] = []
            self._waiting.append(len(self._chapters))
            turn = Turn(number=len(self._steps), asked=self._now, wish=None)
            self._chapters.append(turn)
        self._current = self._waiting.popleft()
        self._set_turn(began=self._now)

    def _end_turn(self, **fields: Any) -> None:
        self._set_turn(ended=self._now, **fields)
        self._current = None

    def _set_turn(self, **fields: Any) -> None:
        if self._current is not None:
            turn = self._chapters[self._current]
            self._chapters[self._current] = replace(turn, **fields)

    def _end_own_call(self) -> None:
        if self._current is not None:
            turn = self._chapters[self._current]
            if isinstance(turn, Turn) and isinstance(turn.wish, CallSubmitted):
                self._end_turn()

    def _note(self, item: Item) -> None:
        if not isinstance(item, _NOTES):
            return
        note = Note(seq=self._seq, at=self._now, item=item)
        if isinstance(item, CallRejected):
            self._begin()
        if self._current is None:
            self._chapters.append(note)
        else:
            self._steps[self._current].append(note)
        if isinstance(item, CallRejected):
            self._end_turn()
        if isinstance(item, PromptCancelled):
            self._waiting.clear()

    # --- steps --------------------------------------------------------------------------------

    def _add(self, id_: str, step: Step) -> None:
        assert self._current is not None, "a turn was begun"
        steps = self._steps[self._current]
        self._places[id_] = (steps, len(steps))
        steps.append(step)

    def _find(self, id_: str) -> Step | None:
        place = self._places.get(id_)
        return None if place is None else place[0][place[1]]

    def _change(self, id_: str, **fields: Any) -> None:
        """Replace a step, as far as it is there: a recording may begin or be cut anywhere."""
        if id_ in self._places:
            steps, at = self._places[id_]
            steps[at] = replace(steps[at], **fields)

    def _on_word(self, call: str, text: str) -> None:
        step = self._find(call)
        if isinstance(step, ModelTurn) and step.first_word is None:
            self._change(call, first_word=self._now)
        self._pieces.setdefault(call, []).append(text)

    def _on_thought(self, call: str, length: int) -> None:
        step = self._find(call)
        if isinstance(step, ModelTurn):
            self._change(call, thought=step.thought + length)

    def _on_usage(self, usage: Usage) -> None:
        self._change(self._model_call, usage=usage)
        before = self._spent[-1].total if self._spent else Tokens()
        total = Tokens(
            input=before.input + usage.tokens.input,
            output=before.output + usage.tokens.output,
            cache_read=before.cache_read + usage.tokens.cache_read,
            cache_write=before.cache_write + usage.tokens.cache_write,
        )
        self._spent.append(Spent(at=self._now, total=total, cost_usd=usage.total_usd))

    # --- servers ------------------------------------------------------------------------------

    def _read_servers(self, item: Item) -> None:
        match item:
            case Open(server=name):
                self._set_server(name, opened=self._now)
            case SessionReady(server=name):
                server = self._server(name)
                if server.ready is None:
                    self._set_server(name, ready=item, ready_at=self._now)
                if server.outages:
                    last = replace(server.outages[-1], ended=_or(server.outages[-1], self._now))
                    self._set_server(name, outages=(*server.outages[:-1], last))
            case ToolsChanged(server=name, tools=tools):
                self._set_server(name, tools=tools)
            case StreamLost(server=name, reason=reason):
                self._on_outage(name, reason, losses=1)
            case SessionClosed(server=name, reason=reason):
                self._on_outage(name, reason, losses=0)
            case _:
                pass

    def _on_outage(self, name: str, reason: str, *, losses: int) -> None:
        server = self._server(name)
        *before, last = server.outages or (None,)
        if last is None or last.ended is not None:
            new = Outage(server=name, began=self._now, reason=reason)
            self._set_server(name, outages=(*server.outages, new))
        else:
            longer = replace(last, reason=reason, losses=last.losses + losses)
            self._set_server(name, outages=(*before, longer))

    def _server(self, name: str) -> Server:
        return self._servers.setdefault(name, Server(name=name))

    def _set_server(self, name: str, **fields: Any) -> None:
        self._servers[name] = replace(self._server(name), **fields)


def _or(outage: Outage, now: float) -> float:
    return now if outage.ended is None else outage.ended


def _plan(header: Header) -> Iterable[Any]:
    return header.plan.servers
