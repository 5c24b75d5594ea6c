"""Has a recording without its secrets replay as the recording did.

Not every outcome is what it was with a secret cut out: a text that the core shortens is cut at
another place, a digest is that of another text. So the core runs twice, with the inputs as recorded
and with the clean ones: where an outcome is not what the clean inputs lead to, the core's is taken.
"""

from collections import deque
from collections.abc import Callable

from msgspec.structs import replace
from reactivex import Subject

from operators.route import Parcel
from pipeline.core.codec import (
    Entry,
    NotARecordingError,
    Upgrade,
    decode_entry,
    encode_entry,
)
from pipeline.core.commands import Item, Passing
from pipeline.core.difference import is_same
from pipeline.core.events import is_input
from pipeline.core.plan import Plan
from pipeline.graph import stages


class Rehearsal:
    """One run, line by line, as recorded and clean; begun with its header in both forms.

    `clean` takes secrets out of a line of the core's. `trouble` says from which event on the clean
    run cannot replay as the recorded one does, and why; empty as long as it does.
    `is_old_trouble`: the recording does not replay there either.
    """

    def __init__(self, header: bytes, clean_header: bytes, clean: Callable[[bytes], bytes]) -> None:
        self.trouble = ""
        self.is_old_trouble = False
        self._clean = clean
        self._seq = 0
        self._old = self._new = Upgrade(header)
        try:
            self._new = Upgrade(clean_header)
        except NotARecordingError:
            self._stop("the header cannot be read without what was taken out")
        self._before, self._now = _Core(self._old.header.plan), _Core(self._new.header.plan)

    def line(self, line: bytes, clean: bytes) -> bytes:
        """What the clean recording has to hold in the place of a line."""
        if self.trouble:
            return clean
        # What cannot be read is not quoted: it may be a secret that keeps it from being read.
        try:
            recorded = decode_entry(self._old(line))
        except NotARecordingError:
            self._stop("the line behind it cannot be read, as `lint` tells", is_old=True)
            return clean
        self._seq = recorded.seq
        try:
            wanted = decode_entry(self._new(clean))
        except NotARecordingError:
            self._stop("it cannot be read without what was taken out")
            return clean
        if is_input(recorded.item) and is_input(wanted.item):
            self._before.feed(recorded.item)
            self._now.feed(wanted.item)
        before, now = self._before.next(), self._now.next()
        if before is None or not is_same(before, recorded.item):
            self._stop("the recording itself does not replay", is_old=True)
        elif type(now) is not type(before):
            self._stop("without the secret the client would do something else")
        elif now is not None and not is_same(now, wanted.item):
            return self._corrected(replace(wanted, item=now), clean)
        return clean

    def _corrected(self, entry: Entry, clean: bytes) -> bytes:
        if self._new.is_needed:
            self._stop("it is another without the secret, in an old format; migrate it first")
            return clean
        line = encode_entry(entry) + b"\n"
        if self._clean(line) != line:
            self._stop("the client itself makes what was taken out")
            return clean
        return line

    def _stop(self, why: str, *, is_old: bool = False) -> None:
        self.trouble = f"event {self._seq}: {why}"
        self.is_old_trouble = is_old


class _Core:
    """The stages, without a world: inputs in, items out."""

    def __init__(self, plan: Plan) -> None:
        self._head: Subject[Passing] = Subject()
        self._items: deque[Item] = deque()
        stages(plan, {}, now=str)(self._head).subscribe(self._take, self._fail)

    def feed(self, item: Passing) -> None:
        self._head.on_next(item)

    def next(self) -> Item | None:
        return self._items.popleft() if self._items else None

    def _take(self, parcel: Parcel) -> None:
        self._items.append(parcel.entry.item)

    def _fail(self, _: Exception) -> None:
        """A stage raised: nothing comes out any more, which is a difference like any other."""
        self._items.clear()
