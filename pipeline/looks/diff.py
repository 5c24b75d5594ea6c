"""Two recordings side by side, to the first event that differs in meaning."""

import msgspec

from pipeline.core.codec import Entry, to_json
from pipeline.core.divergence import Divergence, Recorded, compare
from pipeline.core.plan import Plan
from pipeline.looks.words import count
from pipeline.shell.recordings import RecordedRun
from sinks.terminal_text import clip, harmless, one_line

_SHOWN = 100
_OWN = ("servers", "client_version")  # where servers are is of the run; what they do is compared


class DiffReport(msgspec.Struct, frozen=True):
    """`text` is for people, harmless, each line with its end."""

    is_same: bool
    text: str


def diff(a: RecordedRun, b: RecordedRun) -> DiffReport:
    """Compare by meaning: `pipeline.core.divergence` says what that is.

    Raises:
        RecordingError: If one of them cannot be read.
    """
    found = compare(Recorded(a.header, a.entries), Recorded(b.header, b.entries))
    lines = _plans(a.header.plan, b.header.plan)
    if found.divergence is None:
        lines.append(f"the same: {count(found.same, 'event')} mean the same in both")
    else:
        lines += _parting(a, b, found.same, found.divergence)
    return DiffReport(found.divergence is None, "".join(f"{line}\n" for line in lines))


def _plans(a: Plan, b: Plan) -> list[str]:
    """What the runs were told to do, where that differs: no difference by itself, but a reason."""
    names = [name for name in a.__struct_fields__ if name not in _OWN]
    pairs = [(name, getattr(a, name), getattr(b, name)) for name in names]
    return [
        f"set differently: {name} is {_value(one)} in A, {_value(other)} in B"
        for name, one, other in pairs
        if one != other
    ]


def _parting(a: RecordedRun, b: RecordedRun, same: int, found: Divergence) -> list[str]:
    lines = [f"they differ after {count(same, 'event')} that mean the same, in: {found.lane}"]
    if found.before:
        lines += ["", "before that, in both:"]
        lines += [f"  {_line(entry)}" for entry in found.before]
    lines += [
        "",
        f"A: {_place(a, found.one)}",
        f"B: {_place(b, found.other)}",
        "",
    ]
    lines += [f"  {line}" for line in found.text.split("\n")]
    return [one_line(line) for line in lines]


def _place(run: RecordedRun, entry: Entry | None) -> str:
    where = "which has no such event" if entry is None else f"event {entry.seq}"
    return f"{run.path}: {where}"


def _line(entry: Entry) -> str:
    value = to_json(entry.item)
    kind = value.pop("kind")
    return f"{entry.seq:>5}  {kind} {clip(msgspec.json.encode(value).decode(), _SHOWN)}"


def _value(value: object) -> str:
    return one_line(clip(harmless(msgspec.json.encode(value).decode()), _SHOWN))
