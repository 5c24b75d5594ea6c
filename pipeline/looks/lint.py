"""Looks for what is wrong with a recording: secrets, unknown lines, gaps, calls without an end.

A secret is never printed: how it begins and how long it is must do, and the place is named.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from pipeline.core.codec import (
    KINDS,
    Entry,
    NotARecordingError,
    Upgrade,
    decode_entry,
)
from pipeline.core.commands import CallModel, CancelModel
from pipeline.core.events import (
    ModelFailed,
    ModelFinished,
    RunEnded,
    RunResumed,
    ToolEnded,
    ToolStarted,
)
from pipeline.core.instants import NotATimeError, microseconds
from pipeline.core.pieces import Pieces, Streamed, head_of
from pipeline.core.secrets import Secret, find_secrets
from pipeline.looks.manifest import (
    Manifest,
    NotAManifestError,
    expected_in,
    missing_in,
    read_manifest,
)
from pipeline.looks.words import count, duration
from pipeline.shell.recordings import RecordingError
from sinks.terminal_text import one_line

_HEADER = b'{"kind":"recording"'
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
    claims = _Claims(path)
    findings: list[Finding] = []
    try:
        with path.open("rb") as file:
            findings += _read(path, file, secrets, claims)
    except OSError as exc:
        raise RecordingError(f"cannot read {str(path)!r}: {exc.strerror}") from exc
    found = [*findings, *secrets.findings(), *claims.findings()]
    return sorted(found, key=lambda each: each.line)


def _read(
    path: Path, lines: Iterable[bytes], secrets: "_Secrets", claims: "_Claims"
) -> Iterator[Finding]:
    run: _Run | None = None
    for number, line in enumerate(lines, 1):
        secrets.read(number, line)
        claims.read(number, line)
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
    """The secrets of a file, each where it stands first; also those that are cut into pieces."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces = Pieces()
        self._first: dict[str, tuple[int, Secret]] = {}
        self._times: dict[str, int] = {}

    def read(self, number: int, line: bytes) -> None:
        # What is no JSON may hold a secret all the same.
        for secret in find_secrets(line.decode("utf-8", "replace")):
            self._first.setdefault(secret.value, (number, secret))
            self._times[secret.value] = self._times.get(secret.value, 0) + 1
        self._join(self._pieces.read(number, head_of(line)))

    def _join(self, ended: Iterable[Streamed]) -> None:
        """A secret that no piece shows as a whole."""
        for streamed in ended:
            for secret in find_secrets(streamed.text):
                if secret.value not in self._first:
                    found = replace(secret, path=".text, put together with the pieces after it")
                    self._first[secret.value] = streamed.line, found
                    self._times[secret.value] = 1

    def findings(self) -> Iterator[Finding]:
        self._join(self._pieces.end())
        for value, (number, secret) in self._first.items():
            more = self._times[value] - 1
            again = f", and {count(more, 'time')} more in this file" if more else ""
            text = f"{secret.rule} {secret.hint} at {secret.path}{again}"
            yield Finding(number, self._path, "secret", text)


class _Claims:
    """What a manifest beside the file says of it, if there is one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = sha256()
        self._missing: list[Finding] = []
        self._manifest: Manifest | None = None
        self._expected: dict[int, list[tuple[str, str]]] = {}
        try:
            self._manifest = read_manifest(path)
        except NotAManifestError as exc:
            self._missing.append(Finding(1, path, "manifest", str(exc)))
        if self._manifest is not None:
            self._expected = expected_in(self._manifest)

    def read(self, number: int, line: bytes) -> None:
        if self._manifest is None:
            return
        self._digest.update(line)
        for path, placeholder in missing_in(line, self._expected.pop(number, [])):
            self._miss(number, path, placeholder)

    def findings(self) -> Iterator[Finding]:
        for number, places in self._expected.items():
            for path, placeholder in places:
                self._miss(number, path, placeholder)
        yield from self._missing
        digest = self._digest.hexdigest()
        if self._manifest is not None and digest != self._manifest.clean.sha256:
            text = f"the file was changed after it was redacted: its SHA-256 is {digest} now"
            yield Finding(1, self._path, "manifest", text)

    def _miss(self, number: int, path: str, placeholder: str) -> None:
        text = f"found no {placeholder} at {path}, where the manifest has it"
        self._missing.append(Finding(number, self._path, "manifest", text))


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
        self._upgrade: Callable[[bytes], bytes] = bytes

    def header(self, number: int, line: bytes) -> Iterator[Finding]:
        try:
            self._upgrade = upgrade = Upgrade(line)
        except NotARecordingError as exc:
            yield self._finding(number, "malformed", str(exc))
        else:
            if upgrade.header.at:
                yield from self._time(number, upgrade.header.at)

    def entry(self, number: int, line: bytes) -> Iterator[Finding]:
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
