"""What is wrong with one run of a recording: unknown lines, gaps, calls without an end."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipeline.core.codec import KINDS, Entry, Header, NotARecordingError, Upgrade, decode_entry
from pipeline.core.commands import CallModel, CancelModel
from pipeline.core.events import (
    ModelFailed,
    ModelFinished,
    QuestionAsked,
    QuestionClosed,
    RequestEnded,
    RequestStarted,
    RunEnded,
    RunResumed,
    ToolEnded,
    ToolStarted,
)
from pipeline.core.instants import NotATimeError, microseconds
from pipeline.looks.words import duration
from sinks.terminal_text import one_line

_MICRO = 1_000_000


class Finding(msgspec.Struct, frozen=True):
    """Something wrong, at a line of a file; `str` makes it `FILE:LINE: rule: words`, harmless."""

    line: int
    path: Path
    rule: str
    text: str

    def __str__(self) -> str:
        return one_line(f"{self.path}:{self.line}: {self.rule}: {self.text}")


class Run:
    """One run, line by line, in one file or several; each method gives what is wrong there."""

    def __init__(self, path: Path, number: int, header: Header) -> None:
        self._path = path
        self._line = number
        self._session = header.session
        self._seq = header.after
        self._at: int | None = None
        self._under_way: dict[str, Finding] = {}
        self._model_calls: dict[str, Finding] = {}
        self._is_over = False
        self._upgrade: Callable[[bytes], bytes] = bytes

    def header(self, number: int, line: bytes) -> Iterator[Finding]:
        """Its first line."""
        try:
            self._upgrade = upgrade = Upgrade(line)
        except NotARecordingError as exc:
            yield self._finding(number, "malformed", str(exc))
        else:
            if upgrade.header.at:
                yield from self._time(number, upgrade.header.at)

    def go_on(self, path: Path, number: int, header: Header) -> bool:
        """A new part of the same run, if that is what the header says."""
        if not header.after or header.session != self._session:
            return False
        self._path = path
        self._line = number
        return True

    def entry(self, number: int, line: bytes) -> Iterator[Finding]:
        """A line behind that."""
        self._line = number
        try:
            entry = decode_entry(self._upgrade(line))
        except NotARecordingError as exc:
            yield from self._unread(number, line, str(exc))
            return
        yield from self._order(number, entry.seq)
        yield from self._time(number, entry.at)
        yield from self._ends(number, entry)

    def end(self) -> Iterator[Finding]:
        """There are no more lines."""
        yield from (*self._under_way.values(), *self._model_calls.values())
        if not self._is_over:
            text = "the run has no run_ended: it was cut off, or goes on"
            yield self._finding(self._line, "no-end", text)

    def _unread(self, number: int, line: bytes, why: str) -> Iterator[Finding]:
        """A line of the future, or a broken one. Its `seq` counts where it can be read."""
        value: Any
        try:
            value = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            value = None
        match value:
            case {"kind": str() as kind} if kind not in KINDS:
                text = f"found {kind[:60]!r}, which is no kind that this version knows"
                yield self._finding(number, "unknown-kind", text)
            case _:
                yield self._finding(number, "malformed", why)
        match value:
            case {"seq": int() as seq}:
                yield from self._order(number, seq)
            case _:
                self._seq += 1

    def _order(self, number: int, seq: int) -> Iterator[Finding]:
        if seq != self._seq + 1:
            text = f"found seq {seq} after {self._seq}, expected {self._seq + 1}"
            yield self._finding(number, "seq-gap", text)
        self._seq = seq

    def _time(self, number: int, at: str) -> Iterator[Finding]:
        try:
            now = microseconds(at)
        except NotATimeError as exc:
            yield self._finding(number, "bad-time", str(exc))
            return
        if self._at is not None and now < self._at:
            back = duration((self._at - now) / _MICRO)
            text = f"{at} is {back} before the line above: the clock was set back"
            yield self._finding(number, "time-backwards", text)
        self._at = now

    def _ends(self, number: int, entry: Entry) -> Iterator[Finding]:
        match entry.item:
            case ToolStarted(call=call, tool=tool):
                yield from self._begin(number, f"the call {call!r}", f" of the tool {tool!r}")
            case RequestStarted(request=request, method=method):
                yield from self._begin(number, f"the request {request!r}", f" ({method})")
            case QuestionAsked(question=question, server=server):
                yield from self._begin(number, f"the question {question!r}", f" of {server!r}")
            case ToolEnded(call=call):
                yield from self._end(number, f"the call {call!r}")
            case RequestEnded(request=request):
                yield from self._end(number, f"the request {request!r}")
            case QuestionClosed(question=question):
                yield from self._end(number, f"the question {question!r}")
            case CallModel(call=call):
                self._model_calls[call] = self._open(number, f"the model call {call!r}")
            case ModelFinished(call=call) | ModelFailed(call=call) | CancelModel(call=call):
                self._model_calls.pop(call, None)
            case RunResumed():
                # What the model was saying is gone with the process; it is asked again.
                self._model_calls = {}
                self._is_over = False
            case RunEnded():
                self._is_over = True
            case _:
                pass

    def _begin(self, number: int, what: str, more: str) -> Iterator[Finding]:
        if what in self._under_way:
            yield self._finding(number, "started-twice", f"{what} is under way")
        self._under_way[what] = self._open(number, f"{what}{more}")

    def _end(self, number: int, what: str) -> Iterator[Finding]:
        if self._under_way.pop(what, None) is None:
            text = f"{what} ends, but is not under way"
            yield self._finding(number, "ended-twice", text)

    def _open(self, number: int, what: str) -> Finding:
        return self._finding(number, "open-call", f"{what} has no end in this run")

    def _finding(self, number: int, rule: str, text: str) -> Finding:
        return Finding(number, self._path, rule, text)
