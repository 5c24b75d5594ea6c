"""The files of a recording and their lines, whatever they are: several parts, compressed, cut off.

Never more than one line is in memory, and there is a longest one, so that a small file that unpacks
to an endless line does no harm.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.compressed import DamagedFileError, open_file
from pipeline.core.codec import NotARecordingError, decode_header
from pipeline.core.parts import COMPRESSED, part_number, uncompressed

HEADER = b'{"kind":"recording"'
LONGEST_LINE = 128 * 1024 * 1024
_BLOCK = 1024 * 1024


class RecordingError(ValueError):
    """A file that cannot be read as a recording; the text names the file and the line."""


def read_lines(
    path: Path,
    number: int = 1,
    offset: int = 0,
    *,
    on_damage: Callable[[int, str], None] = lambda _number, _why: None,
) -> Iterator[tuple[int, int, bytes]]:
    """Lines from an offset on: number, offset, bytes with the newline, which the last may lack.

    An offset in a compressed file is one in what it unpacks to. Where that is damaged, there are no
    more lines; `on_damage` gets the number of the first that is missing, and words.

    Raises:
        RecordingError: If the file cannot be read, or a line is longer than any of ours.
    """
    try:
        with open_file(path) as file:
            _skip(file, offset)
            while line := file.readline(LONGEST_LINE + 1):
                if len(line) > LONGEST_LINE:
                    raise RecordingError(
                        f"{path}:{number}: found a line without an end in {LONGEST_LINE:,} bytes, "
                        "expected a shorter one: this is no recording"
                    )
                yield number, offset, line
                number, offset = number + 1, offset + len(line)
    except DamagedFileError as exc:
        on_damage(number, str(exc))
    except OSError as exc:
        hint = "".join(f"; there is {other.name}" for other in _compressed(path))
        raise RecordingError(f"cannot read {str(path)!r}: {exc.strerror}{hint}") from exc


def is_whole(line: bytes) -> bool:
    """A last line that is not, as after a crash, does not count."""
    return line.endswith(b"\n")


def parts_of(path: Path) -> list[tuple[int, Path]]:
    """The older parts of a recording, oldest first, then the file itself; each with its number.

    What only has such a name is none: a part says its number in its first line, unless that is
    damaged. Some may be missing. 1 is the number of a file that says none.

    Raises:
        RecordingError: If the file itself cannot be read.
    """
    number = _number_in(path) or 1
    if number == 1:
        return [(1, path)]
    name = uncompressed(path.name)
    found: dict[int, Path] = {}
    # Sorted, a file stands before the same one compressed: both are there after a crash.
    for other in sorted(path.parent.iterdir()):
        its = part_number(name, other.name)
        if its is None or its >= number or its in found:
            continue
        if _number_in(other) in (its, None):
            found[its] = other
    return [*sorted(found.items()), (number, path)]


def _number_in(path: Path) -> int | None:
    """What the first line says, 0 where it is no header, None where it cannot be read."""
    damage: list[int] = []
    _, _, line = next(read_lines(path, on_damage=lambda at, _: damage.append(at)), (1, 0, b""))
    if damage:
        return None
    try:
        return decode_header(line).part if line.startswith(HEADER) and is_whole(line) else 0
    except NotARecordingError:
        return 0


def _skip(file: BinaryIO, offset: int) -> None:
    if file.seekable():
        file.seek(offset)
        return
    while offset > 0 and (block := file.read(min(offset, _BLOCK))):
        offset -= len(block)


def _compressed(path: Path) -> list[Path]:
    names = (path.with_name(path.name + ending) for ending in COMPRESSED)
    return [] if path.exists() else [other for other in names if other.is_file()]
