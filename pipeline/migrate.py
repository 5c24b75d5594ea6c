"""Writes a recording anew, in the current format."""

import os
from pathlib import Path

import msgspec

from pipeline.core.codec import Upgrade
from pipeline.shell.recordings import RecordedRun, RecordingError, read_runs


class Migrated(msgspec.Struct, frozen=True):
    """What was written: `lines` counts headers too, `formats` are those of the runs, in order."""

    formats: tuple[int, ...]
    lines: int


def migrate(path: Path, target: Path) -> Migrated:
    """Write all runs of `path` to the new file `target`, each line in the current format.

    Nothing else changes: members that this version does not know stay, and a last line that is not
    whole stays behind.

    Raises:
        RecordingError: If a line cannot be read, `target` exists, or it cannot be written; there is
            no new file then.
    """
    runs = read_runs(path)
    try:
        target.touch(mode=0o600, exist_ok=False)
    except FileExistsError as exc:
        raise RecordingError(f"there is {str(target)!r} already; give --out a free name") from exc
    except OSError as exc:
        raise RecordingError(f"cannot begin {str(target)!r}: {exc.strerror}") from exc
    try:
        lines = _write(runs, target)
    except BaseException:
        target.unlink()
        raise
    return Migrated(tuple(run.header.format for run in runs), lines)


def _write(runs: list[RecordedRun], target: Path) -> int:
    count = 0
    try:
        with target.open("wb") as file:
            for run in runs:
                lines = run.lines()
                _, first = next(lines)
                upgrade = Upgrade(first)
                file.write(upgrade.first.rstrip() + b"\n")
                # The entries are read beside the lines for what is wrong with them.
                for (_, line), _ in zip(lines, run.entries(), strict=True):
                    file.write(upgrade(line).rstrip() + b"\n")
                    count += 1
                count += 1
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise RecordingError(f"cannot write {str(target)!r}: {exc.strerror}") from exc
    return count
