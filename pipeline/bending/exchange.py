"""One message of a bent run on its way, and what comes back for it."""

from collections.abc import Callable, Iterable
from typing import TypeAlias

from msgspec.structs import replace
from reactivex import abc
from reactivex.disposable import Disposable

from pipeline.bending.bends import Bends
from pipeline.bending.clock import MICRO, VirtualClock
from pipeline.bending.connection import Server
from pipeline.bending.line import Due, End, Line
from pipeline.bending.links import Message
from pipeline.bending.script import Reply
from pipeline.core.commands import Get
from pipeline.core.events import AnswerEnded, FrameReceived, Input, PostAnswered
from pipeline.core.session.state import is_accepted
from pipeline.core.session.wire import is_proof

Put: TypeAlias = Callable[[Input], None]


class Exchange(End):
    """A message, and its answer: what comes with the response, and what comes on the stream.

    The `End` of the connection that the message went over. As in a live run it is answered exactly
    once, and what takes too long is given up.
    """

    def __init__(
        self, message: Message, server: Server, *, clock: VirtualClock, bends: Bends, put: Put
    ) -> None:
        self.message = message
        self.line = Line(clock, bends, self)
        self.last_event_id = ""
        self.rest: tuple[Reply, ...] = ()
        """Of an answer that broke off: what would have come then, counted from there."""
        self._server = server
        self._clock = clock
        self._put = put
        self._is_answered = False
        self._is_open = False
        self._is_cut = False
        self._elsewhere: list[Due] = []
        self._deadline: abc.DisposableBase = Disposable()

    def wait(self, began: int, seconds: float, flag: str = "") -> None:
        """From `began` (µs) on the answer may take so many seconds; that of a `Get` to begin."""
        within = f"within {seconds:g} s{flag}"

        def give_up() -> None:
            place = self._server.place
            what = f"the answer of {place} did not end" if self._is_open else ""
            self._break_off(f"{what or f'no answer came from {place}'} {within}")

        self._deadline = self._clock.at(began + round(seconds * MICRO), give_up)

    def go_on(self, earlier: Iterable[Input]) -> None:
        """What came of it before was heard."""
        for item in earlier:
            match item:
                case PostAnswered():
                    self._is_answered, self._is_open = True, item.is_open
                case FrameReceived(id=id_) if self._is_open:
                    self.last_event_id = id_ or self.last_event_id
                case AnswerEnded():
                    self._is_open = False
                case _:
                    pass

    def expect(self, due: int, item: Input, seq: int) -> None:
        """Something of the answer comes at that time (µs); `seq` is its place in the recording."""
        is_with_response = isinstance(item, PostAnswered | AnswerEnded)
        if isinstance(item, FrameReceived):
            is_with_response = item.stream == self.message.id
        if is_with_response and not self._is_cut:
            self.line.expect(due, item, seq)
        elif not is_with_response and self._server.line is not None:
            self._elsewhere.append(self._server.line.expect(due, item, seq))

    def say(self, *, status: int, body: str = "", frame: FrameReceived | None = None) -> None:
        """Answer at once, with what no recording holds."""
        server, id_, now = self._server.name, self.message.id, self._clock.us
        self.expect(now, PostAnswered(server=server, id=id_, status=status, body=body), 0)
        if frame is not None:
            self.expect(now, frame, 0)

    def take_up(self, broken: "Exchange") -> None:
        """Answer a `Get` for the rest of an answer that broke off."""
        server, id_ = self._server.name, self.message.id
        began = self._clock.us
        opened = PostAnswered(server=server, id=id_, status=200, is_open=True)
        self.line.expect(began, opened, is_first=True)
        for reply in broken.rest:
            match reply.item:
                case FrameReceived():
                    item: Input = replace(reply.item, stream=id_)
                case item:
                    item = replace(item, id=id_)
            self.line.expect(reply.due(began), item, reply.seq)

    def cut(self, words: str) -> None:
        """Nothing more of it is wanted; if it is unanswered, `words` say why it stays so."""
        self._forget()
        if not self._is_answered:
            self._answer(self._posted(words))

    def _forget(self) -> None:
        """Nothing more of it comes."""
        self._is_cut = True
        self._deadline.dispose()
        self.line.cut()

    # --- the end of the line --------------------------------------------------------------------

    def hand(self, item: Input) -> None:
        """The response, or an event of it."""
        # That a process takes a message says nothing of the process: the pipe takes it.
        is_said = self._server.transport != "stdio" or not isinstance(item, PostAnswered)
        if self._server.is_silent and is_said:
            return
        match item:
            case PostAnswered():
                self._answer(item)
            case FrameReceived(id=id_):
                self.last_event_id = id_ or self.last_event_id
                self._put(item)
            case _:
                self._is_open = False
                self._forget()
                self._put(item)

    def drop(self, bent: str, lost: list[Due]) -> None:
        """The connection breaks; a server that numbers its events keeps what was lost."""
        now = self._clock.us
        if self._is_open:
            self.rest = tuple(
                Reply(due.seq, due.due, max(0, due.due - now), due.item) for due in lost
            )
        self._break_off(f"the connection was dropped ({bent})")

    def refuse(self, status: int, bent: str) -> None:
        """The status says all: what was asked for is not done, and not answered elsewhere."""
        for due in self._elsewhere:
            due.cancel()
        self._answer(self._posted(bent, status))

    def fall_silent(self, lost: list[Due]) -> None:
        """Nothing more is heard of the server; that a pipe took a message, it did not say."""
        self._server.is_silent = True
        for due in lost:
            self.hand(due.item)

    def _answer(self, posted: PostAnswered) -> None:
        self._is_answered, self._is_open = True, posted.is_open
        is_good = is_accepted(posted.status) and self._is_proof()
        if is_good and self._server.connection is not None:
            self._server.connection.be_of_use()
        if not posted.is_open or isinstance(self.message, Get):
            self._deadline.dispose()
        self._put(posted)

    def _is_proof(self) -> bool:
        return isinstance(self.message, Get) or is_proof(self.message.message)

    def _break_off(self, words: str) -> None:
        self._forget()
        if not self._is_answered:
            self._answer(self._posted(words))
        elif self._is_open:
            self._is_open = False
            server, id_, last = self._server.name, self.message.id, self.last_event_id
            self._put(AnswerEnded(server=server, id=id_, reason=words, last_event_id=last))

    def _posted(self, reason: str, status: int | None = None) -> PostAnswered:
        server, id_ = self._server.name, self.message.id
        return PostAnswered(server=server, id=id_, status=status, reason=reason)
