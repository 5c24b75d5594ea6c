"""What came of a bent recording, in words for people: harmless, and a line each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from pipeline.bending.bend import Bent
from pipeline.bending.bends import Bend
from pipeline.core.codec import Entry, to_json
from pipeline.core.divergence import Recorded, compare
from pipeline.core.events import Input, RunEnded, ToolEnded
from pipeline.core.instants import NotATimeError, microseconds
from pipeline.looks.words import count, duration
from pipeline.shell.recordings import RecordedRun
from sinks.terminal_text import clip, one_line

_MOST = 10  # calls, or requests without an answer, that are told of
_LONGEST = 300  # characters of a line


def report(run: RecordedRun, bent: Bent) -> str:
    """What was bent, what that changed first, how the calls ended, and the run.

    Raises:
        RecordingError: If the recording cannot be read.
    """
    recorded = list(run.entries())
    lines = [
        *_bends(bent),
        *_difference(run, bent),
        *_calls(recorded, bent.entries),
        *_gaps(bent),
        f"ended: {_end(bent.entries)}; recorded: {_end(recorded)}",
    ]
    return "\n".join(one_line(line) for line in lines)


def _bends(bent: Bent) -> Iterator[str]:
    for happened in bent.happened:
        yield f"bent: {_what(happened.bend)}, at {happened.at}"
    for bend in bent.missed:
        yield f"not bent: {_what(bend)}, never came: the run had gone another way, or had ended"


def _what(bend: Bend) -> str:
    instead = "" if bend.seq == bend.fault.at else f" in the place of {bend.fault.at}"
    return f"{bend.fault}: event {bend.seq}{instead}, {_name(bend.item)}"


def _name(item: Input) -> str:
    value = to_json(item)
    of = value.get("server") or value.get("call")
    about = [repr(text) for text in (of, value.get("id") or value.get("event")) if text]
    return f"{value['kind']} ({', '.join(about)})" if about else value["kind"]


def _difference(run: RecordedRun, bent: Bent) -> Iterator[str]:
    one, other = Recorded(run.header, run.entries), Recorded(bent.header, lambda: bent.entries)
    found = compare(one, other).divergence
    if found is None:
        yield "differs: in nothing that counts"
        return
    sides = [
        f"event {entry.seq} of {name}"
        for entry, name in ((found.one, "the recording (A)"), (found.other, "the bent run (B)"))
        if entry is not None
    ]
    yield f"differs: first in {found.lane}, {', '.join(sides)}"
    for line in found.text.split("\n"):
        yield f"  {clip(line, _LONGEST)}"


def _calls(recorded: Sequence[Entry], bent: Sequence[Entry]) -> Iterator[str]:
    before, after = _ends(recorded), _ends(bent)
    outcomes = Counter(_outcome(end) for end in after.values())
    told = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items())
    yield f"calls: {told or 'none'}"
    changed = [
        id_
        for id_ in dict.fromkeys((*before, *after))
        if _outcome(before.get(id_)) != _outcome(after.get(id_))
    ]
    for id_ in changed[:_MOST]:
        old, end = before.get(id_), after.get(id_)
        known = end or old
        assert known is not None, "a name of one of them"
        reason = f": {end.reason}" if end is not None and end.reason else ""
        words = f"{_outcome(end)} (recorded: {_outcome(old)}){reason}"
        yield f"  {id_} {known.tool}: {clip(words, _LONGEST)}"
    if len(changed) > _MOST:
        yield f"  and {len(changed) - _MOST} more that ended otherwise"


def _ends(entries: Iterable[Entry]) -> dict[str, ToolEnded]:
    return {e.item.call: e.item for e in entries if isinstance(e.item, ToolEnded)}


def _outcome(end: ToolEnded | None) -> str:
    if end is None:
        return "not made"
    return "answered with an error" if end.is_error else end.outcome.replace("_", " ")


def _gaps(bent: Bent) -> Iterator[str]:
    if bent.guesses:
        yield (
            f"note: the model was asked {count(bent.guesses, 'thing')} that the recording does not "
            "hold, and said what it said next there; what it would have said, nobody knows"
        )
    for miss in bent.misses[:_MOST]:
        yield f"note: answered with an error, for want of an answer: {clip(miss.line, _LONGEST)}"
    if len(bent.misses) > _MOST:
        yield f"note: and {len(bent.misses) - _MOST} more"


def _end(entries: Sequence[Entry]) -> str:
    ends = [entry.item for entry in entries if isinstance(entry.item, RunEnded)]
    if not ends:
        return "not at all"
    reason = f", {clip(ends[-1].reason, _LONGEST)}" if ends[-1].reason else ""
    return f"exit status {ends[-1].code}{reason}, after {_took(entries)}"


def _took(entries: Sequence[Entry]) -> str:
    try:
        return duration((microseconds(entries[-1].at) - microseconds(entries[0].at)) / 1_000_000)
    except NotATimeError:
        return "an unknown time"
