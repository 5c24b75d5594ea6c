"""Looks for what is wrong with a recording: secrets, unknown lines, gaps, calls without an end.

A secret is never printed: how it begins and how long it is must do, and the place is named.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec

from pipeline.core.codec import (
    Entry,
    Header,
    NotARecordingError,
    decode_entry,
    decode_header,
)
from pipeline.core.commands import CallModel, CancelModel, Item
from pipeline.core.events import (
    ModelFailed,
    ModelFinished,
    RunEnded,
    RunResumed,
    ToolEnded,
    ToolStarted,
)
from pipeline.core.instants import NotATimeError, microseconds
from pipeline.core.secrets import Secret, find_secrets
from pipeline.looks.words import count, duration
from pipeline.shell.recordings import RecordingError
from sinks.terminal_text import one_line

_HEADER = b'{"kind":"recording"'
_KINDS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Item))
_MICRO = 1_000_000


class Finding(msgspec.Struct, frozen=True):
    """Something wrong, at a line of a file; `str` makes it `FILE:LINE: rule: words`, harmless."""

    line: int
    path: Path
    rule: str
    text: str

    def __str__(self) -> str:
        return one_line(f"{self.path}:{self.line}: {self.rule}: {self.text}")


def lint(path: Path) -> list[Finding]:
    """All that is wrong with a recording, by line; all runs of the file are looked at.

    A secret that stands in many places is told where it stands first, with a count.

    Raises:
        RecordingError: If the file cannot be read, or is no recording at all.
    """
    secrets = _Secrets(path)
    findings: list[Finding] = []
    try:
        with path.open("rb") as file:
            findings += _read(path, file, secrets)
    except OSError as exc:
        raise RecordingError(f"cannot read {str(path)!r}: {exc.strerror}") from exc
    return sorted([*findings, *secrets.findings()], key=lambda each: each.line)


def _read(path: Path, lines: Iterable[bytes], secrets: "_Secrets") -> Iterator[Finding]:
    run: _Run | None = None
    for number, line in enumerate(lines, 1):
        secrets.read(number, line)
        if not line.endswith(b"\n"):
            size = count(len(line), "byte")
            text = f"the last line is not whole ({size}), as after a crash; it does not count"
            yield Finding(number, path, "torn-tail", text)
        elif line.startswith(_HEADER):
            if run is not None:
                yield from run.end()
            run = _Run(path, number)
            yield from run.header(number, line)
        elif run is not None:
            yield from run.entry(number, line)
        else:
            found = f"found {line[:40]!r}, expected {_HEADER.decode()}…"
            raise RecordingError(f"{path}:{number}: not a recording: {found}")
    if run is None:
        raise RecordingError(f"{str(path)!r} is empty, expected a recording")
    yield from run.end()


class _Secrets:
    """The secrets of a file, each where it stands first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first: dict[str, tuple[int, Secret]] = {}
        self._times: dict[str, int] = {}

    def read(self, number: int, line: bytes) -> None:
        try:
            value: Any = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            # What is no JSON may hold a secret all the same.
            value = line.decode("utf-8", "replace")
        for secret in find_secrets(value):
            self._first.setdefault(secret.value, (number, secret))
            self._times[secret.value] = self._times.get(secret.value, 0) + 1

    def findings(self) -> Iterator[Finding]:
        for value, (number, secret) in self._first.items():
            more = self._times[value] - 1
            again = f", and {count(more, 'time')} more in this file" if more else ""
            text = f"{secret.rule} {secret.hint} at {secret.path}{again}"
            yield Finding(number, self._path, "secret", text)


class _Run:
    """One run of the file, line by line."""

    def __init__(self, path: Path, number: int) -> None:
        self._path = path
        self._line = number
        self._seq = 0
        self._at: int | None = None
        self._calls: dict[str, tuple[int, str]] = {}
        self._model_calls: dict[str, tuple[int, str]] = {}
        self._is_over = False

    def header(self, number: int, line: bytes) -> Iterator[Finding]:
        try:
            header: Header = decode_header(line)
        except NotARecordingError as exc:
            yield self._finding(number, "malformed", str(exc))
        else:
            if header.at:
                yield from self._time(number, header.at)

    def entry(self, number: int, line: bytes) -> Iterator[Finding]:
        self._line = number
        try:
            entry = decode_entry(line)
        except NotARecordingError as exc:
            yield from self._unread(number, line, str(exc))
            return
        yield from self._order(number, entry.seq)
        yield from self._time(number, entry.at)
        yield from self._ends(number, entry)

    def end(self) -> Iterator[Finding]:
        for number, what in (*self._calls.values(), *self._model_calls.values()):
            yield self._finding(number, "open-call", f"{what} has no end in this run")
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
            case {"kind": str() as kind} if kind not in _KINDS:
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
                if call in self._calls:
                    yield self._finding(number, "started-twice", f"the call {call!r} is under way")
                self._calls[call] = number, f"the call {call!r} of the tool {tool!r}"
            case ToolEnded(call=call):
                if self._calls.pop(call, None) is None:
                    text = f"the call {call!r} ends, but is not under way"
                    yield self._finding(number, "ended-twice", text)
            case CallModel(call=call):
                self._model_calls[call] = number, f"the model call {call!r}"
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

    def _finding(self, number: int, rule: str, text: str) -> Finding:
        return Finding(number, self._path, rule, text)
