"""Writes a copy of a recording without its secrets, and a manifest of what was taken out."""

import fcntl
import hashlib
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from pipeline.core.codec import NotARecordingError, decode_entry
from pipeline.core.commands import CallModel
from pipeline.core.events import ToolsChanged
from pipeline.core.redaction import Redactor, Why
from pipeline.core.tools import digest
from pipeline.looks.manifest import (
    At,
    FileFacts,
    Manifest,
    Tally,
    manifest_path,
    places_in,
    write_manifest,
)
from pipeline.looks.patterns import finders
from pipeline.looks.redact_pins import with_own_digests
from pipeline.looks.redact_replay import Rehearsal
from pipeline.looks.words import count
from pipeline.shell.recordings import RecordedRun, RecordingError, read_runs
from sinks.terminal_text import one_line

KNOWN = Why("known", "a secret of the settings")


def named_by(variable: str) -> Why:
    """Why the value of a variable is a secret: somebody says so."""
    return Why("given", f"--secret-env {variable}")


class Redacted(msgspec.Struct, frozen=True):
    """What was done. `trouble` says where the copy cannot replay as the recording does, and why.

    `is_old_trouble`: the recording does not replay there either.
    """

    manifest: Manifest
    trouble: str
    is_old_trouble: bool


def redact(
    path: Path,
    target: Path,
    *,
    known: Mapping[str, Why],
    patterns: Sequence[str] = (),
    at: str,
    version: str,
) -> Redacted:
    """Copy all runs of `path` to the new file `target`, without secrets; its manifest beside it.

    `known` are secrets wherever they stand; `patterns` compile. Only what a secret changes is
    changed. A last line that is not whole stays behind.

    Raises:
        RecordingError: If the file cannot be read, a run is writing to it, `target` or its manifest
            exists or cannot be written, or a pattern takes too long; there is no new file then.
    """
    with _unchanging(path), finders(patterns) as extra, _new_files(target) as (file, beside):
        redactor = Redactor(known, extra)
        runs = read_runs(path)
        redactor.study(lambda: (_text(line) for run in runs for _, line in run.lines()))
        copy = _Copy(redactor, file)
        for run in runs:
            copy.add(run)
        file.flush()
        os.fsync(file.fileno())
        manifest = Manifest(
            rxmcp=version,
            at=at,
            source=_facts(path, is_told=not any(each.is_weak for each in redactor.taken)),
            clean=_facts(target, is_told=True),
            replay=copy.trouble,
            redactions=copy.tally.redactions(redactor.taken),
        )
        write_manifest(beside, manifest)
    return Redacted(manifest, copy.trouble, copy.is_old_trouble)


def in_words(target: Path, done: Redacted) -> str:
    """What was done, for a person; harmless."""
    found = done.manifest.redactions
    rows = [(each.placeholder, one_line(each.rule), count(each.count, "place")) for each in found]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    secrets = f"{count(len(found), 'secret')} taken out" if found else "no secret found"
    lines = [f"{target.name}: {secrets}", *(f"  {line}" for line in lines)]
    if not done.trouble:
        lines.append("It replays as the recording does.")
    elif done.is_old_trouble:
        lines.append(f"It replays as far as the recording does, up to {done.trouble}.")
    else:
        lines.append(f"It does not replay any more: {done.trouble}.")
    lines.append(f"What was where: {manifest_path(target).name}. Keep that; give away the other,")
    lines.append("but read it first: no tool finds every secret.")
    return "\n".join(one_line(line) for line in lines)


class _Copy:
    """The lines of the new file, and where in them placeholders are."""

    def __init__(self, redactor: Redactor, file: BinaryIO) -> None:
        self.trouble = ""
        self.is_old_trouble = False
        self.tally = Tally()
        self._redactor = redactor
        self._file = file
        self._line = 0

    def add(self, run: RecordedRun) -> None:
        """One run."""
        rehearsal: Rehearsal | None = None
        for _, line in run.lines():
            self._line += 1
            clean = with_own_digests(line, self._clean(line, self._line))
            if rehearsal is None:
                rehearsal = Rehearsal(line, clean, self._clean)
            else:
                clean = rehearsal.line(line, clean)
            if clean != line:
                clean = _with_own_digests(clean)
                self._count(clean)
            self._file.write(clean)
        if rehearsal is not None and not self.trouble:
            self.trouble, self.is_old_trouble = rehearsal.trouble, rehearsal.is_old_trouble

    def _clean(self, line: bytes, number: int | None = None) -> bytes:
        return _bytes(self._redactor.clean(_text(line), number))

    def _count(self, line: bytes) -> None:
        ours = {each.placeholder for each in self._redactor.taken}
        seq = _seq(line)
        for placeholder in self._redactor.rests(self._line):
            self.tally.add(placeholder, At(line=self._line, path=".text", seq=seq, is_rest=True))
        for path, placeholder in places_in(line):
            if placeholder in ours:
                self.tally.add(placeholder, At(line=self._line, path=path, seq=seq))


def _with_own_digests(line: bytes) -> bytes:
    """Digests of tools as they are described now: the old ones would let a secret be guessed.

    Where the core ran again they are so already.
    """
    try:
        item = decode_entry(line).item
    except NotARecordingError:
        return line
    tools = item.tools if isinstance(item, CallModel | ToolsChanged) else ()
    for tool in tools:
        if tool.digest and tool.digest != (now := digest(tool)):
            line = line.replace(tool.digest.encode(), now.encode())
    return line


class _Seq(msgspec.Struct):
    seq: int = 0


_seqs = msgspec.json.Decoder(_Seq)


def _seq(line: bytes) -> int:
    try:
        return _seqs.decode(line).seq
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return 0


def _text(line: bytes) -> str:
    """A line as text, whatever its bytes are: `_bytes` gives them back."""
    return line.decode("utf-8", "surrogateescape")


def _bytes(line: str) -> bytes:
    return line.encode("utf-8", "surrogateescape")


def _facts(path: Path, *, is_told: bool) -> FileFacts:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest() if is_told else None
        return FileFacts(name=path.name, bytes=os.fstat(file.fileno()).st_size, sha256=digest)


@contextmanager
def _unchanging(path: Path) -> Generator[None]:
    """Keep runs from writing to a recording that is read more than once."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield
    except BlockingIOError as exc:
        raise RecordingError(
            f"a run is writing to {str(path)!r}: redact it when that run has ended"
        ) from exc
    except OSError as exc:
        raise RecordingError(f"cannot read {str(path)!r}: {exc.strerror}") from exc


@contextmanager
def _new_files(target: Path) -> Generator[tuple[BinaryIO, Path]]:
    """A new file, and the name of the one beside it; neither is left behind if that fails."""
    made: list[Path] = []
    try:
        for path in (target, manifest_path(target)):
            path.touch(mode=0o600, exist_ok=False)
            made.append(path)
        with target.open("wb") as file:
            yield file, made[1]
    except FileExistsError as exc:
        _remove(made)
        raise RecordingError(f"there is {exc.filename!r} already; give --out a free name") from exc
    except OSError as exc:
        _remove(made)
        raise RecordingError(f"cannot write {str(target)!r}: {exc.strerror}") from exc
    except BaseException:
        _remove(made)
        raise


def _remove(made: Sequence[Path]) -> None:
    for path in made:
        path.unlink(missing_ok=True)
