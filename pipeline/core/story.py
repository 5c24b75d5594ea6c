"""A session as a person remembers it: who was there, what was asked, what came of it, and when.

`telling.tell` makes a `Story` of entries. All times are seconds since the first entry; None
stands for "not in this recording", as after a crash. Texts are foreign, as they were recorded.
"""

from collections.abc import Iterator
from typing import TypeAlias

import msgspec

from pipeline.core.codec import Header
from pipeline.core.conversation import spoken
from pipeline.core.events import (
    AnswerCompleted,
    CallRejected,
    CallSubmitted,
    ModelFailed,
    ModelFinished,
    OffersChanged,
    Problem,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    RequestSubmitted,
    ResourceUpdated,
    RunEnded,
    RunResumed,
    ServerLogged,
    ServersSettled,
    SessionClosed,
    SessionReady,
    SinkFailed,
    StreamLost,
    StreamOpened,
    Tokens,
    Tool,
    ToolDelayed,
    ToolEnded,
    ToolRepeated,
    ToolsApproved,
    ToolsChanged,
    ToolsHeld,
    ToolStarted,
    Usage,
)

Wish: TypeAlias = PromptSubmitted | CallSubmitted | RequestSubmitted
NoteItem: TypeAlias = (
    CallRejected
    | OffersChanged
    | Problem
    | PromptCancelled
    | PromptRejected
    | QuestionAsked
    | QuestionClosed
    | RequestEnded
    | RequestStarted
    | ResourceUpdated
    | RunResumed
    | ServerLogged
    | ServersSettled
    | SessionClosed
    | SessionReady
    | SinkFailed
    | StreamLost
    | StreamOpened
    | ToolDelayed
    | ToolRepeated
    | ToolsApproved
    | ToolsChanged
    | ToolsHeld
)


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth telling that is neither the model's turn nor a call."""

    seq: int
    at: float
    item: NoteItem


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call; `sent` is when its message first went to its server, `sends` how often."""

    seq: int
    began: float
    started: ToolStarted
    sent: float | None = None
    sends: int = 0
    progress: int = 0
    ended: float | None = None
    end: ToolEnded | None = None

    @property
    def is_ok(self) -> bool:
        """Did it bring what was asked for?"""
        return self.end is not None and self.end.outcome == "answered" and not self.end.is_error


class ModelTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One trip to the model. `pieces` is what it said of an answer that did not become whole."""

    seq: int
    began: float
    call: str
    first_word: float | None = None
    pieces: str = ""
    thought: int = 0
    ended: float | None = None
    finished: ModelFinished | None = None
    failed: ModelFailed | None = None
    usage: Usage | None = None

    @property
    def text(self) -> str:
        """What it said."""
        return self.pieces if self.finished is None else spoken(self.finished.content)

    @property
    def uses(self) -> int:
        """How many tools it asked for."""
        content = () if self.finished is None else self.finished.content
        return sum(block.get("type") == "tool_use" for block in content)


Step: TypeAlias = ModelTurn | Call | Note


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A wish of a person and all that came of it, in order.

    `began` None: it was never taken up. `ended` None: the recording stops before its end. `answer`
    None: there was none, as for a person's own tool call or request.
    """

    number: int
    asked: float
    wish: Wish | None
    began: float | None = None
    ended: float | None = None
    answer: AnswerCompleted | None = None
    steps: tuple[Step, ...] = ()


class Outage(msgspec.Struct, frozen=True, kw_only=True):
    """A time without a server; `losses` counts the streams lost in it, `reason` is the last."""

    server: str
    began: float
    reason: str
    losses: int = 1
    ended: float | None = None


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A server of the run: how it first greeted, what it offered last."""

    name: str
    url: str = ""
    opened: float | None = None
    ready: SessionReady | None = None
    ready_at: float | None = None
    tools: tuple[Tool, ...] = ()
    outages: tuple[Outage, ...] = ()


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens so far, all model calls together."""

    at: float
    total: Tokens
    cost_usd: float | None = None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run. `chapters` has turns, and notes that belong to none, in order."""

    header: Header
    events: int = 0
    duration: float = 0.0
    servers: tuple[Server, ...] = ()
    chapters: tuple[Turn | Note, ...] = ()
    spent: tuple[Spent, ...] = ()
    end: RunEnded | None = None

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns alone."""
        return tuple(chapter for chapter in self.chapters if isinstance(chapter, Turn))

    @property
    def steps(self) -> Iterator[Step]:
        """Everything in order, turn or not."""
        for chapter in self.chapters:
            if isinstance(chapter, Turn):
                yield from chapter.steps
            else:
                yield chapter

    @property
    def calls(self) -> tuple[Call, ...]:
        """All tool calls, in the order in which they began."""
        return tuple(step for step in self.steps if isinstance(step, Call))

    @property
    def model_turns(self) -> tuple[ModelTurn, ...]:
        """All trips to the model."""
        return tuple(step for step in self.steps if isinstance(step, ModelTurn))
