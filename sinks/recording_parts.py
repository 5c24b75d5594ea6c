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
from pipeline.core.parts import COMPRESSED, part_name, part_number
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
    fresh = _next(path)
    try:
        new = _begin(full, fresh, after)
    except OSError as exc:
        _forget(fresh)
        raise CannotRotateError(f"{path.name} cannot go on in a new part: {exc.strerror}") from exc
    except SinkError as exc:
        _forget(fresh)
        raise CannotRotateError(f"{path.name} cannot go on in a new part: {exc}") from exc
    new.path = path
    full.close()
    try:
        sync_directory(path)
    except OSError as exc:
        new.close()
        raise SinkError(
            f"cannot flush the directory of {str(path)!r} to the disk: {exc.strerror}; after a loss "
            f"of power {part_name(path.name, full.part)!r} may still have the name {path.name!r}"
        ) from exc
    return new


def finished_part(file: RecordingFile) -> Path:
    """The name of the part before the one that is written to."""
    return file.path.with_name(part_name(file.path.name, file.part - 1))


def tidy(file: RecordingFile) -> list[str]:
    """Take away what a run that was killed left beside a recording; what was done, in words.

    Raises:
        OSError: If it cannot be.
    """
    path, notices = file.path, list[str]()
    _next(path).unlink(missing_ok=True)
    full = path.with_name(part_name(path.name, file.part))
    if full.exists() and full.samefile(path):
        full.unlink()
        notices.append(
            f"{path.name} had a second name, {full.name}, as after a crash while a new part was "
            "begun; that name is gone, and nothing else"
        )
    for other in list(path.parent.iterdir()):
        whole, ending = os.path.splitext(other.name)
        if ending == UNFINISHED and part_number(path.name, whole) is not None:
            other.unlink()
            notices.append(f"{other.name}, which a run had not finished before it died, is gone")
    return notices
