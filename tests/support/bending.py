"""Recordings made by hand for bending: inputs with their times, and what the core makes of them."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias, TypeVar

from config.recording_values import read_faults
from pipeline.bending.bend import Bent, bend
from pipeline.core.codec import Entry, Header, encode_entry, encode_header
from pipeline.core.commands import Get, Passing, Post
from pipeline.core.events import FrameReceived, Json, RunStarted
from pipeline.core.plan import Plan
from pipeline.shell.recordings import RecordedRun, last_run
from sinks.base import Sink
from tests.support.play import Core

T = TypeVar("T")
Timed: TypeAlias = tuple[float, Passing | Callable[[Sequence[Passing]], Passing]]
"""A second of the run, and what comes in then; or who makes it of all that came out before."""
BEGAN = datetime(2026, 11, 24, 6, 28, 23, tzinfo=UTC)


def at(seconds: float) -> str:
    """A time of the run, as recordings write it."""
    time = BEGAN + timedelta(seconds=seconds)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def to(method: str, make: Callable[[str], Passing]) -> Callable[[Sequence[Passing]], Passing]:
    """What answers the latest request of this method (`GET`: for a stream), made of its id."""

    def answer(log: Sequence[Passing]) -> Passing:
        ids = [item.id for item in log if isinstance(item, Post | Get) and _method(item) == method]
        return make(ids[-1])

    return answer


def _method(item: Post | Get) -> str:
    return "GET" if isinstance(item, Get) else str(item.message.get("method", ""))


def record(path: Path, plan: Plan, *timed: Timed, settings: Json | None = None) -> RecordedRun:
    """A run that begins with `RunStarted` and gets these inputs, each at its second."""
    core, entries = Core(plan), list[Entry]()
    for seconds, given in ((0.0, RunStarted()), *timed):
        item = given(core.log) if callable(given) else given
        for out in core.feed(item):
            entries.append(Entry(len(entries) + 1, at(seconds), out))
    return write(path, entries, Header(session="c0ffee", plan=plan, settings=settings or {}))


def write(path: Path, entries: Iterable[Entry], header: Header) -> RecordedRun:
    """A recording of these entries."""
    lines = [encode_header(header), *map(encode_entry, entries)]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return last_run(path)


def seq_of(run: RecordedRun, kind: type[T], number: int = 1, **fields: object) -> int:
    """The place of the so-manieth item of a kind, of those with these fields."""
    found = [
        entry.seq
        for entry in run.entries()
        if isinstance(entry.item, kind)
        and all(getattr(entry.item, name) == value for name, value in fields.items())
    ]
    return found[number - 1]


def seq_with(run: RecordedRun, text: str) -> int:
    """The place of the first frame with this text in it."""
    frames = [(e.seq, e.item) for e in run.entries() if isinstance(e.item, FrameReceived)]
    return next(seq for seq, frame in frames if text in frame.data)


async def bent(run: RecordedRun, *faults: str, sinks: Sequence[Sink] = ()) -> Bent:
    """Bend a recording."""
    wishes = read_faults(list(faults))
    assert isinstance(wishes, tuple)
    return await bend(run, sinks, wishes)


def only(kind: type[T] | tuple[type[T], ...], run: Bent | RecordedRun) -> list[T]:
    """The items of a kind, or of several."""
    entries = run.entries() if isinstance(run, RecordedRun) else run.entries
    return [entry.item for entry in entries if isinstance(entry.item, kind)]


def after(run: Bent, kind: type[object], number: int = 1) -> float:
    """When the so-manieth item of a kind came, in seconds since the beginning of the run."""
    times = [entry.at for entry in run.entries if isinstance(entry.item, kind)]
    return (datetime.fromisoformat(times[number - 1]) - BEGAN).total_seconds()
