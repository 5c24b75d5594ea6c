"""Folds the entries of a recording into a `Story`."""

from collections.abc import Iterable

from pipeline.core.codec import Entry, Header
from pipeline.core.events import RunEnded, RunResumed
from pipeline.core.instants import microseconds
from pipeline.core.story import Story
from pipeline.core.telling.servers import Servers
from pipeline.core.telling.turns import Turns

_MICRO = 1_000_000


def tell(header: Header, entries: Iterable[Entry]) -> Story:
    """The story of one run; what it does not know it passes over.

    Time never runs backwards in it: where the clock was set back, it stands still.

    Raises:
        NotATimeError: If an `at` is no time.
    """
    turns, servers = Turns(header.plan.max_queued_prompts), Servers(header.plan)
    first: int | None = None
    now, events, end = 0.0, 0, None
    for events, entry in enumerate(entries, 1):  # noqa: B007  the count is used after the loop
        at = microseconds(entry.at)
        first = at if first is None else first
        before, now = now, max(now, (at - first) / _MICRO)
        match entry.item:
            case RunEnded() as item:
                end = item
            case RunResumed():
                # What was under way broke off when the recording did, not when it went on.
                end = None
                turns.break_off(before)
                servers.break_off(before)
            case _:
                pass
        turns.read(entry, now)
        servers.read(entry.item, now)
    return Story(
        header=header,
        events=events,
        duration=now,
        servers=servers.told(),
        chapters=turns.chapters(),
        spent=tuple(turns.spent),
        end=end,
    )
