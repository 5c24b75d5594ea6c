"""Seconds to places on a line, with the long times in which nothing happened folded."""

from bisect import bisect_right
from collections.abc import Iterable

import msgspec

_FOLD = 40.0  # the width of a folded time
_MOST_FOLDED = 0.4  # of the line: then the longest pauses are folded, and the others are drawn
_MIN_IDLE = 2.0  # seconds that are never worth a fold
_IDLE_SHARE = 0.2  # of the busy time: a shorter pause is part of the picture
_NICE = (1.0, 2.0, 5.0)


class Fold(msgspec.Struct, frozen=True):
    """A time left out of the line: from where to where, and how long it was."""

    x: float
    end: float
    seconds: float


class Timescale:
    """From 0 to `duration` seconds onto `left` to `right`; `busy` are times in which something is.

    Times outside of the scale are put at its ends.
    """

    def __init__(
        self, busy: Iterable[tuple[float, float]], duration: float, left: float, right: float
    ) -> None:
        most = int((right - left) * _MOST_FOLDED / _FOLD)
        longest = sorted(_idle(busy, duration), key=lambda gap: gap[0] - gap[1])[:most]
        idle = sorted(longest)
        shown = max(duration - sum(end - begin for begin, end in idle), 1e-6)
        per_second = max(right - left - _FOLD * len(idle), 1.0) / shown
        self._times, self._places = [0.0], [left]
        folds: list[Fold] = []
        for begin, end in idle:
            x = self._places[-1] + (begin - self._times[-1]) * per_second
            folds.append(Fold(x, x + _FOLD, end - begin))
            self._times += [begin, end]
            self._places += [x, x + _FOLD]
        last = self._places[-1] + (duration - self._times[-1]) * per_second
        self._times.append(max(duration, self._times[-1]))
        self._places.append(last)
        self.folds = tuple(folds)
        self._per_second = per_second

    def x(self, seconds: float) -> float:
        """Where a time is."""
        at = min(max(bisect_right(self._times, seconds) - 1, 0), len(self._times) - 2)
        begin, end = self._times[at], self._times[at + 1]
        if end <= begin:
            return self._places[at]
        share = min(max((seconds - begin) / (end - begin), 0.0), 1.0)
        return self._places[at] + share * (self._places[at + 1] - self._places[at])

    def ticks(self, apart: float) -> list[tuple[float, float]]:
        """Round times and their places, at least so far apart and outside of folds."""
        step = _round_up(apart / self._per_second)
        found: list[tuple[float, float]] = []
        # Every other stretch is a fold.
        for at in range(0, len(self._times) - 1, 2):
            begin, end = self._times[at], self._times[at + 1]
            number = -(-begin // step)
            while number * step <= end:
                x = self.x(number * step)
                if not found or x - found[-1][1] >= apart:
                    found.append((number * step, x))
                number += 1
        return found


def _idle(busy: Iterable[tuple[float, float]], duration: float) -> list[tuple[float, float]]:
    gaps: list[tuple[float, float]] = []
    reached = total = 0.0
    for begin, end in sorted((min(begin, duration), min(end, duration)) for begin, end in busy):
        if begin > reached:
            gaps.append((reached, begin))
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    if duration > reached:
        gaps.append((reached, duration))
    longest = max(_MIN_IDLE, total * _IDLE_SHARE)
    # A little of the pause stays on both sides, so that what is beside it does not touch the fold.
    margin = longest / 8
    return [(begin + margin, end - margin) for begin, end in gaps if end - begin > longest]


def _round_up(seconds: float) -> float:
    """The next of 1, 2, 5, 10, … (and 30, 60, … where a minute is near)."""
    unit = 1e-6
    while True:
        for nice in _NICE:
            if unit * nice >= seconds:
                return unit * nice
        unit *= 10
