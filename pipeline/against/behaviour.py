"""What a run did for each of its prompts, as far as two runs of the same prompts are compared.

Read from the items of a run, recorded or under way. Results and answers are not kept, but for what
is said of a failure: they are new each time, and may be long.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pipeline.core.codec import Header
from pipeline.core.commands import CallModel, Item, ReadPrompt
from pipeline.core.content import to_text
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    Json,
    PromptCancelled,
    PromptSubmitted,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    RunResumed,
    SessionReady,
    Tool,
    ToolEnded,
    ToolsChanged,
    ToolStarted,
)
from pipeline.core.jsonrpc import shorten
from pipeline.core.meaning import Reader
from pipeline.core.plan import Goal, Plan, ServerPlan

Wish: TypeAlias = PromptSubmitted | CallSubmitted | RequestSubmitted
Result: TypeAlias = Literal["answered", "error", "not_sent", "unknown", "open"]
Fate: TypeAlias = Literal["waiting", "open", "done", "cancelled"]

REJECTED = "rejected"
_LONGEST = 300  # characters of what is said of a failure


@dataclass(slots=True)
class Call:
    """A tool call, or a person's request, whose `tool` is its method.

    `result` is the outcome, `error` if the server answered with one, and `open` until then. `words`
    tell of a failure, and are not compared. `only_reads`: so the tool says (`readOnlyHint`).
    """

    server: str
    tool: str
    arguments: Json
    only_reads: bool = False
    result: Result = "open"
    words: str = ""


@dataclass(slots=True)
class Turn:
    """A wish of a person, and what came of it; it grows while the run goes on.

    `rounds` are calls that began side by side. `stop` is that of the answer, or `rejected`, and
    `words` say why; it is empty for a person's own call. `fate`: `waiting` until it is taken up,
    `open` until its end.
    """

    wish: Wish
    fate: Fate = "waiting"
    rounds: list[list[Call]] = field(default_factory=list[list[Call]])
    stop: str = ""
    words: str = ""
    has_text: bool = False

    @property
    def calls(self) -> list[Call]:
        """All of them, as they began."""
        return [call for side_by_side in self.rounds for call in side_by_side]


class Behaviour:
    """Reads a run, one item after the other, and keeps what it did.

    Names that are of this run alone are told as `meaning.Reader` tells them. `turns` are all wishes
    in the order they came; `tools` are those that each server offered last, `ready` the servers
    that ever were.
    """

    def __init__(self, plan: Plan) -> None:
        self.goal: Goal = plan.goal
        self.planned: tuple[ServerPlan, ...] = plan.servers
        self.turns: list[Turn] = []
        self.tools: dict[str, tuple[Tool, ...]] = {}
        self.ready: set[str] = set()
        self._reader = Reader(Header(plan=plan))
        self._most_waiting = plan.max_queued_prompts
        self._waiting: deque[Turn] = deque()
        self._current: Turn | None = None
        self._open: dict[str, tuple[Turn, Call]] = {}

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that the run was to have, in the order of the plan."""
        return tuple(self._reader.told(server.name) for server in self.planned)

    def read(self, item: Item) -> None:
        """Take note of an item."""
        self._reader.learn(item)
        match item:
            case RunResumed(goal=goal, servers=servers):
                self.goal, self.planned = goal, servers
            case SessionReady(server=server):
                self.ready.add(self._reader.told(server))
            case ToolsChanged(server=server, tools=tools):
                self.tools[self._reader.told(server)] = self._reader.told(tools)
            case PromptSubmitted() | CallSubmitted() | RequestSubmitted():
                self._on_wish(item)
            case PromptCancelled():
                self._on_cancelled()
            case CallModel():
                if (turn := self._taken_up()) is not None:
                    turn.rounds.append([])
            case ToolStarted(call=id_, server=server, tool=tool, arguments=arguments):
                self._start(id_, server, tool, arguments)
            case RequestStarted(request=id_, server=server, method=method, params=params):
                self._start(id_, server, method, params)
            case ToolEnded() | RequestEnded():
                self._on_ended(item)
            case CallRejected(reason=reason):
                self._finish(REJECTED, words=reason)
            case AnswerCompleted(stop=stop, text=text):
                self._finish(stop, has_text=bool(text.strip()))
            case ReadPrompt():
                self._finish("")
            case _:
                pass

    def _on_wish(self, wish: Wish) -> None:
        if isinstance(wish, PromptSubmitted) and not wish.text.strip():
            return  # nothing comes of it but a problem that says so
        self.turns.append(Turn(wish))
        if len(self._waiting) < self._most_waiting:
            self._waiting.append(self.turns[-1])

    def _on_cancelled(self) -> None:
        under_way = [] if self._current is None else [self._current]
        for turn in (*self._waiting, *under_way):
            turn.fate = "cancelled"
        self._waiting.clear()

    def _taken_up(self) -> Turn | None:
        """The turn under way, else the one that has waited longest; None: nobody wished for it."""
        if self._current is None and self._waiting:
            self._current = self._waiting.popleft()
            self._current.fate = "open"
        return self._current

    def _finish(self, stop: str, *, words: str = "", has_text: bool = False) -> None:
        """The turn is over, however it ended."""
        turn = self._taken_up()
        if turn is None:
            return
        turn.stop, turn.words, turn.has_text = stop, self._short(words), has_text
        if turn.fate == "open":
            turn.fate = "done"
        self._current = None

    def _start(self, id_: str, server: str, tool: str, arguments: Json) -> None:
        turn = self._taken_up()
        if turn is None:
            return
        server = self._reader.told(server)
        only_reads = any(
            each.name == tool and each.annotations.get("readOnlyHint") is True
            for each in self.tools.get(server, ())
        )
        call = Call(server, tool, self._reader.told(arguments), only_reads)
        if not turn.rounds:
            turn.rounds.append([])
        turn.rounds[-1].append(call)
        self._open[id_] = turn, call

    def _on_ended(self, ended: ToolEnded | RequestEnded) -> None:
        id_ = ended.call if isinstance(ended, ToolEnded) else ended.request
        if id_ not in self._open:
            return
        turn, call = self._open.pop(id_)
        call.result, words = _result(ended)
        call.words = self._short(words)
        if turn is self._current and self._is_last(turn, ended):
            self._finish("")

    def _is_last(self, turn: Turn, ended: ToolEnded | RequestEnded) -> bool:
        """Is that all that comes of a person's own wish?"""
        match turn.wish:
            case CallSubmitted():
                return True
            case RequestSubmitted(into_chat=into_chat):
                # What became part of the conversation is answered by the model, in the same turn.
                is_said = isinstance(ended, RequestEnded) and ended.result is not None
                is_last = all(other is not turn for other, _ in self._open.values())
                return is_last and not (into_chat and is_said)
            case _:
                return False

    def _short(self, words: str) -> str:
        return shorten(self._reader.told(words), _LONGEST)


def _result(ended: ToolEnded | RequestEnded) -> tuple[Result, str]:
    """What came of it, and what is said of it if that is a failure."""
    match ended:
        case ToolEnded(is_error=True, content=content):
            return "error", " ".join(map(to_text, content))
        case RequestEnded(error=str() as error) if error:
            return "error", error
        case _:
            return ended.outcome, ended.reason
