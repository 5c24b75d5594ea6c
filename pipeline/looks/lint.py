"""Looks for what is wrong with a recording: secrets, unknown lines, gaps, calls without an end.

A secret is never printed: how it begins and how long it is must do, and the place is named.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from msgspec.structs import replace

from pipeline.core.codec import Header, NotARecordingError, decode_header
from pipeline.core.pieces import Pieces, Streamed, head_of
from pipeline.core.secrets import Secret, find_secrets
from pipeline.looks.lint_run import Finding, Run
from pipeline.looks.manifest import (
    Manifest,
    NotAManifestError,
    expected_in,
    missing_in,
    read_manifest,
)
from pipeline.looks.words import count
from pipeline.shell.recording_lines import HEADER, is_whole, parts_of, read_lines
from pipeline.shell.recordings import RecordingError, why_missing


def lint(path: Path) -> list[Finding]:
    """All that is wrong with a recording, by line; all runs of the file are looked at.

    A secret that stands in many places is told where it stands first, with a count.

    Raises:
        RecordingError: If the file cannot be read, or is no recording at all.
    """
    files = parts_of(path)
    secrets = _Secrets()
    claims = _Claims(path)
    findings = [*_read(path, files, secrets, claims), *secrets.findings(), *claims.findings()]
    order = {file: place for place, (_, file) in enumerate(files)}
    return sorted(findings, key=lambda each: (order[each.path], each.line))


def _read(
    path: Path, files: Iterable[tuple[int, Path]], secrets: "_Secrets", claims: "_Claims"
) -> Iterator[Finding]:
    run: Run | None = None
    last = 0
    for part, file in files:
        damage: list[Finding] = []
        for number, _, line in read_lines(file, on_damage=_noted(file, damage)):
            secrets.read(file, number, line)
            if file == path:
                claims.read(number, line)
            if not is_whole(line):
                size = count(len(line), "byte")
                text = f"the last line is not whole ({size}), as after a crash; it does not count"
                yield Finding(number, file, "torn-tail", text)
            elif line.startswith(HEADER):
                header = _header_of(line)
                goes_on = run is not None and run.go_on(file, number, header)
                if header.after and not (goes_on and part == last + 1):
                    text = why_missing(path, file, header, last)
                    yield Finding(number, file, "missing-part", text)
                if goes_on:
                    continue
                if run is not None:
                    yield from run.end()
                run = Run(file, number, header)
                yield from run.header(number, line)
            elif run is not None:
                yield from run.entry(number, line)
            else:
                found = f"found {line[:40]!r}, expected {HEADER.decode()}…"
                raise RecordingError(f"{file}:{number}: not a recording: {found}")
        yield from damage
        last = part
    if run is None:
        raise RecordingError(f"{str(path)!r} is empty, expected a recording")
    yield from run.end()


def _noted(file: Path, findings: list[Finding]) -> Callable[[int, str], None]:
    def note(number: int, why: str) -> None:
        text = f"what is compressed cannot be read from here on: {why}"
        findings.append(Finding(number, file, "damaged", text))

    return note


def _header_of(line: bytes) -> Header:
    """What a header says; of one that cannot be read, nothing."""
    try:
        return decode_header(line)
    except NotARecordingError:
        return Header()


class _Secrets:
    """The secrets of a file, each where it stands first; also those that are cut into pieces."""

    def __init__(self) -> None:
        self._file = Path()
        self._pieces = Pieces()
        self._first: dict[str, tuple[Path, int, Secret]] = {}
        self._times: dict[str, int] = {}

    def read(self, file: Path, number: int, line: bytes) -> None:
        self._file = file
        # What is no JSON may hold a secret all the same.
        for secret in find_secrets(line.decode("utf-8", "replace")):
            self._first.setdefault(secret.value, (file, number, secret))
            self._times[secret.value] = self._times.get(secret.value, 0) + 1
        self._join(self._pieces.read(number, head_of(line)))

    def _join(self, ended: Iterable[Streamed]) -> None:
        """A secret that no piece shows as a whole."""
        for streamed in ended:
            for secret in find_secrets(streamed.text):
                if secret.value not in self._first:
                    found = replace(secret, path=".text, put together with the pieces after it")
                    self._first[secret.value] = self._file, streamed.line, found
                    self._times[secret.value] = 1

    def findings(self) -> Iterator[Finding]:
        self._join(self._pieces.end())
        for value, (file, number, secret) in self._first.items():
            more = self._times[value] - 1
            again = f", and {count(more, 'time')} more in this file" if more else ""
            text = f"{secret.rule} {secret.hint} at {secret.path}{again}"
            yield Finding(number, file, "secret", text)


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
