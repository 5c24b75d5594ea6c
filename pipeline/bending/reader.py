"""What came of what in a recording, and how long it took: the world as a bent run meets it again.

* A model, a server or a person answers a command. What names its command belongs to that; a
  server's word that names none (a notification, a request of its own, the end of the connection)
  belongs to the latest message to it, for that is what most likely led to it; before any message,
  to the connection.
* What a server says of a message after we have answered a question of its own belongs to that
  answer: it had waited for it.
* Times are counted from the input that led to the command, which is when the command was given:
  so a world that nothing disturbs is the recorded one to the microsecond. While credentials were
  got for a server its clock stood still: a bent run has them.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from pipeline.bending.clock import MICRO, us_of
from pipeline.bending.links import is_answer, meaning, named_in
from pipeline.bending.script import Asked, Asking, Attempt, Reply, Said, Script, Started
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
    StartTimer,
)
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    Input,
    Json,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    PostAnswered,
    PromptCancelled,
    QuestionAnswered,
    RunResumed,
    SignInEnded,
    SignInStarted,
    StreamLost,
    StreamOpened,
    TimerFired,
    Tool,
    is_input,
)
from pipeline.core.question_table import SAMPLE
from pipeline.mocks import model_script


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
        self._signing_in: dict[str, int] = {}
        self._stood: dict[str, int] = {}
        self._wished: set[tuple[str, str]] = set()
        self._talk: tuple[Json, ...] = ()
        self._tools: tuple[Tool, ...] = ()
        self._timers: dict[str, Started] = {}
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
                asked = self._ask(seq, item, meaning(item), item.server)
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
                self._began[server] = self._clock(server)
                self._connections.pop(server, None)
            case Reconnect(server=server, reason=reason) | Close(server=server, reason=reason):
                self._wished.add((server, reason))
            case StartTimer(id=id_, seconds=seconds):
                self._timers[id_] = Started(seq, id_, seconds, self._now)
                self.script.timers.append(self._timers[id_])
            case ReadPrompt():
                self._is_read, self._listened_at = True, self._now
            case _:
                pass

    def _ask(self, seq: int, command: Asking, meant: Json, server: str = "") -> Asked:
        clock = self._clock(server)
        asked = Asked(seq=seq, at=self._now, clock=clock, command=command, meaning=meant)
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
                self._signing_in.clear()
                self._timers.clear()
                self._is_read = False
            case SignInStarted(server=server):
                self._signing_in[server] = self._now
            case SignInEnded(server=server):
                self._stood[server] = self._now - self._clock(server)
                self._signing_in.pop(server, None)
                self.script.sign_ins.append(self._came(seq, item, self._now))
            case StreamOpened(server=server):
                self._connections[server] = self._attempt(seq, server, item)
                self._latest.pop(server, None)
            case StreamLost():
                self._on_lost(seq, item)
            case FrameReceived():
                self._on_frame(seq, item)
            case PostAnswered(server=server, id=id_):
                self._reply(self._messages.get((server, id_)), seq, item, server)
            case AnswerEnded(server=server, id=id_):
                self._answer(server, self._messages.get((server, id_)), seq, item)
            case ModelSpoke() | ModelThought() | ModelFinished() | ModelFailed():
                self._reply(self._models.get(item.call), seq, item)
            case QuestionAnswered(question=question):
                self._reply(self._questions.get(question), seq, item)
            case TimerFired(id=id_) if id_ in self._timers:
                started = self._timers.pop(id_)
                started.lasted = self._now - started.at
            case _ if isinstance(item, Said):
                self._on_said(seq, item)
            case _:
                pass

    def _clock(self, server: str) -> int:
        """The time, without that in which credentials for this server were got."""
        began = self._signing_in.get(server, self._now)
        return began - self._stood.get(server, 0)

    def _came(self, seq: int, item: Input, began: int, server: str = "") -> Reply:
        return Reply(seq, self._now, max(0, self._clock(server) - began), item)

    def _reply(self, asked: Asked | None, seq: int, item: Input, server: str = "") -> None:
        if asked is not None:  # else nobody had asked: noise, that no bent run needs
            asked.replies.append(self._came(seq, item, asked.clock, server))

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
            self._reply(asked, seq, item, server)
        else:
            assert isinstance(asked.command, Post | Get), "kept with the messages"
            reply = self._came(seq, item, told.clock, server)
            told.replies.append(replace(reply, of=asked.command.id))

    def _follow(self, server: str, seq: int, item: Input) -> None:
        """It names nothing that it answers."""
        before = self._latest.get(server) or self._connections.get(server)
        if before is not None:
            reply = self._came(seq, item, before.clock, server)
            before.replies.append(replace(reply, is_own=False))

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
            self._began[server] = self._clock(server) + round(lost.retry_in * MICRO)

    def _attempt(self, seq: int, server: str, item: StreamOpened | StreamLost) -> Attempt:
        clock = self._clock(server)
        began = self._began.get(server, clock)
        attempt = Attempt(self._came(seq, item, began, server), clock)
        self.script.attempts.setdefault(server, []).append(attempt)
        return attempt

    def _on_said(self, seq: int, item: Said) -> None:
        said = self._came(seq, item, self._listened_at)
        self.script.said.append(replace(said, is_own=self._is_read))
        self._listened_at = self._now
        self._is_read = self._is_read and isinstance(item, PromptCancelled)
