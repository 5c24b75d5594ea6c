"""What came of what in a recording, and how long it took: the world as a bent run meets it again.

* A model, a server or a person answers a command. What names its command belongs to that; a
  server's word that names none (a notification, a request of its own, the end of the connection)
  belongs to the latest message to it, for that is what most likely led to it; before any message,
  to the connection.
* What a server says of a message after we have answered a question of its own belongs to that
  answer: it had waited for it.
* Times are counted from the input that led to the command, which is when the command was given:
  so a world that nothing disturbs is the recorded one to the microsecond.
"""

from collections.abc import Iterable
from typing import TypeAlias

import msgspec

from pipeline.bending.clock import MICRO, us_of
from pipeline.bending.links import is_answer, meaning, named_in
from pipeline.core.codec import Entry
from pipeline.core.commands import (
    Ask,
    CallModel,
    CancelModel,
    Close,
    Get,
    Item,
    Open,
    Post,
    ReadPrompt,
    Reconnect,
)
from pipeline.core.events import (
    AnswerEnded,
    CallSubmitted,
    FrameReceived,
    Input,
    InputEnded,
    Json,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    PostAnswered,
    PromptCancelled,
    PromptRejected,
    PromptSubmitted,
    QuestionAnswered,
    RequestSubmitted,
    RunResumed,
    StreamLost,
    StreamOpened,
    Tool,
    is_input,
)
from pipeline.core.question_table import SAMPLE
from pipeline.mocks import model_script

Asking: TypeAlias = Post | Get | CallModel | Ask
Said: TypeAlias = (
    PromptSubmitted
    | PromptRejected
    | CallSubmitted
    | RequestSubmitted
    | InputEnded
    | PromptCancelled
)


class Reply(msgspec.Struct, frozen=True):
    """An input that came `after` so many µs. `is_own`: it names what it answers.

    `of` is the id of the message that it answers, where that is not what led to it.
    """

    seq: int
    after: int
    item: Input
    is_own: bool = True
    of: str = ""


class Asked(msgspec.Struct, kw_only=True):
    """A command and what came of it; of a model's, also its whole conversation and the tools.

    `at` is when it was given (µs), `is_cancelled` whether it was taken back.
    """

    seq: int
    at: int
    command: Asking
    meaning: Json
    is_cancelled: bool = False
    tools: tuple[Tool, ...] = ()
    replies: list[Reply] = []


class Attempt(msgspec.Struct):
    """One try to connect to a server: how it ended (opened, or lost), and what it then brought.

    `opening.after` counts from the beginning of the try, those of `replies` from its success.
    """

    opening: Reply
    at: int
    replies: list[Reply] = []


class Script(msgspec.Struct):
    """A whole recording. `said` holds a person's words: after the last `ReadPrompt` or words."""

    asked: list[Asked] = []
    attempts: dict[str, list[Attempt]] = {}
    said: list[Reply] = []


def read_script(entries: Iterable[Entry]) -> Script:
    """Take a recording apart."""
    fold = _Fold()
    for entry in entries:
        fold.feed(entry)
    return fold.script


class _Fold:
    def __init__(self) -> None:
        self.script = Script()
        self._now = 0
        self._messages: dict[tuple[str, str], Asked] = {}
        self._latest: dict[str, Asked] = {}
        self._told: dict[str, Asked] = {}
        self._models: dict[str, Asked] = {}
        self._questions: dict[str, Asked] = {}
        self._connections: dict[str, Attempt] = {}
        self._began: dict[str, int] = {}
        self._wished: set[tuple[str, str]] = set()
        self._talk: tuple[Json, ...] = ()
        self._tools: tuple[Tool, ...] = ()
        self._listened_at = 0
        self._is_read = False

    def feed(self, entry: Entry) -> None:
        if is_input(entry.item):
            self._now = us_of(entry.at, self._now)
            self._on_input(entry.seq, entry.item)
        else:
            self._on_command(entry.seq, entry.item)

    # --- commands -----------------------------------------------------------------------------

    def _on_command(self, seq: int, item: Item) -> None:
        match item:
            case Post() | Get():
                asked = self._ask(seq, item, meaning(item))
                self._messages[item.server, item.id] = asked
                if is_answer(item):
                    self._told[item.server] = asked
                if isinstance(item, Post) and item.server in self._connections:
                    self._latest[item.server] = asked
            case CallModel():
                self._models[item.call] = self._ask(seq, item, self._asked_of_model(item))
                self._models[item.call].tools = self._tools
            case CancelModel(call=call) if call in self._models:
                self._models[call].is_cancelled = True
            case Ask():
                self._questions[item.question] = self._ask(seq, item, {})
            case Open(server=server):
                self._began[server] = self._now
                self._connections.pop(server, None)
            case Reconnect(server=server, reason=reason) | Close(server=server, reason=reason):
                self._wished.add((server, reason))
            case ReadPrompt():
                self._is_read, self._listened_at = True, self._now
            case _:
                pass

    def _ask(self, seq: int, command: Asking, meant: Json) -> Asked:
        asked = Asked(seq=seq, at=self._now, command=command, meaning=meant)
        self.script.asked.append(asked)
        return asked

    def _asked_of_model(self, call: CallModel) -> Json:
        if call.call.startswith(SAMPLE):  # a server's question is no part of the conversation
            return model_script.meaning(call.messages)
        self._talk = (*self._talk[: call.since], *call.messages[call.since :])
        self._tools = call.tools if call.tools_changed else self._tools
        return model_script.meaning(self._talk)

    # --- inputs -------------------------------------------------------------------------------

    def _on_input(self, seq: int, item: Input) -> None:
        match item:
            case RunResumed():
                self._latest.clear()
                self._told.clear()
                self._connections.clear()
                self._is_read = False
            case StreamOpened(server=server):
                self._connections[server] = self._attempt(seq, server, item)
                self._latest.pop(server, None)
            case StreamLost():
                self._on_lost(seq, item)
            case FrameReceived():
                self._on_frame(seq, item)
            case PostAnswered(server=server, id=id_):
                self._reply(self._messages.get((server, id_)), seq, item)
            case AnswerEnded(server=server, id=id_):
                self._answer(server, self._messages.get((server, id_)), seq, item)
            case ModelSpoke() | ModelThought() | ModelFinished() | ModelFailed():
                self._reply(self._models.get(item.call), seq, item)
            case QuestionAnswered(question=question):
                self._reply(self._questions.get(question), seq, item)
            case _ if isinstance(item, Said):
                self._on_said(seq, item)
            case _:
                pass

    def _reply(self, asked: Asked | None, seq: int, item: Input, *, is_own: bool = True) -> None:
        if asked is not None:  # else nobody had asked: noise, that no bent run needs
            asked.replies.append(Reply(seq, self._now - asked.at, item, is_own))

    def _on_frame(self, seq: int, frame: FrameReceived) -> None:
        ids = (frame.stream,) if frame.stream else named_in(frame)
        known = (self._messages.get((frame.server, id_)) for id_ in ids)
        asked = next((each for each in known if each is not None), None)
        if asked is not None:
            self._answer(frame.server, asked, seq, frame)
        else:
            self._follow(frame.server, seq, frame)

    def _answer(self, server: str, asked: Asked | None, seq: int, item: Input) -> None:
        told = self._told.get(server)
        if asked is None or told is None or told.seq < asked.seq:
            self._reply(asked, seq, item)
        else:
            assert isinstance(asked.command, Post | Get), "kept with the messages"
            of = asked.command.id
            told.replies.append(Reply(seq, self._now - told.at, item, of=of))

    def _follow(self, server: str, seq: int, item: Input) -> None:
        """It names nothing that it answers."""
        connection = self._connections.get(server)
        if server in self._latest:
            self._reply(self._latest[server], seq, item, is_own=False)
        elif connection is not None:
            connection.replies.append(Reply(seq, self._now - connection.at, item, is_own=False))

    def _on_lost(self, seq: int, lost: StreamLost) -> None:
        server, wish = lost.server, (lost.server, lost.reason)
        if wish in self._wished:
            self._wished.discard(wish)  # Our own doing: a bent run comes to wish it by itself.
        elif server in self._connections:
            self._follow(server, seq, lost)
        else:
            self._attempt(seq, server, lost)
        self._connections.pop(server, None)
        self._latest.pop(server, None)
        if lost.retry_in is not None:
            self._began[server] = self._now + round(lost.retry_in * MICRO)

    def _attempt(self, seq: int, server: str, item: StreamOpened | StreamLost) -> Attempt:
        after = max(0, self._now - self._began.get(server, self._now))
        attempt = Attempt(Reply(seq, after, item), self._now)
        self.script.attempts.setdefault(server, []).append(attempt)
        return attempt

    def _on_said(self, seq: int, item: Said) -> None:
        said = Reply(seq, self._now - self._listened_at, item, is_own=self._is_read)
        self.script.said.append(said)
        self._listened_at = self._now
        self._is_read = self._is_read and isinstance(item, PromptCancelled)
