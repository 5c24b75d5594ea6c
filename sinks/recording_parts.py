"""A recording that grows too large for one file goes on in a new one, without a moment of neither.

The run writes to `run.jsonl`. To begin a new part

1. a new file, `run.jsonl.next`, gets the header,
2. the full one gets a second name, `run.0001.jsonl`,
3. the new one takes the name `run.jsonl`, which the full one loses by that.

So whenever the run is killed, `run.jsonl` is a recording, and all of it with what stands beside it.
What such a run leaves behind, `tidy` takes away. Blocking, and for whoever holds the lock.
"""

import contextlib
import os
from pathlib import Path

from msgspec.structs import replace

from pipeline.core.codec import decode_header
from pipeline.core.parts import part_name, part_number
from sinks.base import SinkError
from sinks.recording_file import RecordingFile, parts_beside, sync_directory

UNFINISHED = ".unfinished"
"""Stands behind the name of a file that is being compressed."""


class CannotRotateError(Exception):
    """There is no new part. The file is as it was, and can be written on; the text says why."""


def begin_part(full: RecordingFile, after: int) -> RecordingFile:
    """Go on in a new part behind the `seq` `after`; the full one is on the disk, and closed.

    Raises:
        CannotRotateError: If that cannot be.
        SinkError: If what was written may not be on the disk. Nothing may be added to it then.
    """
    full.sync()
    path = full.path
    try:
        new = _begin(full, after)
    except (OSError, SinkError) as exc:
        why = str(exc) if isinstance(exc, SinkError) else exc.strerror
        _forget(_next(path))
        raise CannotRotateError(f"{path.name} cannot go on in a new part: {why}") from exc
    new.path = path
    try:
        sync_directory(path)
    except OSError as exc:
        new.close()
        raise SinkError(
            f"cannot flush the directory of {str(path)!r} to the disk: {exc.strerror}; after a "
            f"loss of power {part_name(path.name, full.part)!r} may have its old name"
        ) from exc
    full.close()
    return new


def finished_part(file: RecordingFile) -> Path:
    """The name of the part before the one that is written to."""
    return file.path.with_name(part_name(file.path.name, file.part - 1))


def tidy(file: RecordingFile) -> list[str]:
    """Take away what a run that was killed left beside a recording; what was done, in words.

    Raises:
        OSError: If it cannot be.
    """
    path = file.path
    notices: list[str] = []
    _next(path).unlink(missing_ok=True)
    full = path.with_name(part_name(path.name, file.part))
    if full.exists() and full.samefile(path):
        full.unlink()
        notices.append(
            f"{path.name} had a second name, {full.name}, as after a crash while a new part was "
            "begun; that name is gone, and nothing else"
        )
    for other in sorted(path.parent.glob(f"*{UNFINISHED}")):
        if part_number(path.name, other.name.removesuffix(UNFINISHED)) is not None:
            other.unlink()
            notices.append(f"{other.name}, which a run had not finished before it died, is gone")
    notices += [
        f"{one.name} and {other.name} hold the same, as after a crash while one was made of the "
        "other; either may go"
        for one, other, *_ in (each for each in parts_beside(path).values() if len(each) > 1)
    ]
    return notices


def _begin(full: RecordingFile, after: int) -> RecordingFile:
    path, fresh = full.path, _next(full.path)
    if not full.is_in_place:
        raise SinkError("that name leads to another file now")
    if parts := {number for number in parts_beside(path) if number >= full.part}:
        raise SinkError(f"{part_name(path.name, max(parts))} is in the way")
    header = decode_header(full.last_header())
    fresh.unlink(missing_ok=True)
    new = RecordingFile(fresh, replace(header, part=full.part + 1, after=after))
    done = path.with_name(part_name(path.name, full.part))
    try:
        os.link(path, done, follow_symlinks=False)
        try:
            fresh.replace(path)
        except OSError:
            _forget(done)
            raise
    except OSError:
        new.close()
        raise
    return new


def _next(path: Path) -> Path:
    return path.with_name(f"{path.name}.next")


def _forget(path: Path) -> None:
    with contextlib.suppress(OSError):  # `tidy` tries again when the recording is opened next
        path.unlink(missing_ok=True)
