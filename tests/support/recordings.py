"""Reading recordings back, as strictly as a replay would."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipeline.core.codec import Entry, Header, decode_entry, decode_header
from pipeline.core.commands import Item

T = TypeVar("T")


class Recorded(NamedTuple):
    """One run of a recording."""

    header: Header
    entries: Sequence[Entry]

    @property
    def items(self) -> list[Item]:
        return [entry.item for entry in self.entries]

    @property
    def kinds(self) -> list[str]:
        return [str(type(item).__struct_config__.tag) for item in self.items]

    def only(self, kind: type[T]) -> list[T]:
        return [item for item in self.items if isinstance(item, kind)]


def read_runs(path: Path) -> list[Recorded]:
    """All runs of a file: each line must be whole and known, and `seq` has no gaps."""
    text = path.read_bytes()
    assert text.endswith(b"\n"), "the last line is whole"
    runs: list[Recorded] = []
    entries: list[Entry] = []
    for line in text.splitlines():
        if line.startswith(b'{"kind":"recording"'):
            entries = []
            runs.append(Recorded(decode_header(line), entries))
        else:
            assert runs, "the header comes first"
            entries.append(decode_entry(line))
    for run in runs:
        assert [entry.seq for entry in run.entries] == [*range(1, len(run.entries) + 1)]
    return runs


def read_run(path: Path) -> Recorded:
    """The only run of a file."""
    (run,) = read_runs(path)
    return run
