"""Patterns of a person, under a deadline: some regular expressions never end on some texts.

Python's engine looks for signals while it searches, so an alarm ends it. Hence the main thread of a
system with `setitimer`, which is where commands run.
"""

import re
import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from types import FrameType

from pipeline.core.redaction import Finder, Why
from pipeline.shell.recordings import RecordingError

SECONDS = 5.0
"""For one pattern on one text. What can be searched at all takes milliseconds."""


@contextmanager
def finders(patterns: Sequence[str], *, seconds: float = SECONDS) -> Generator[list[Finder]]:
    """Finders for regular expressions that compile; to be used inside the block.

    They are called by their number, as in `--pattern 1`: a pattern may hold the secret itself.

    Raises:
        RecordingError: From a finder, if a search takes longer than `seconds`.
    """

    def on_alarm(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError

    if not patterns:
        yield []
        return
    before = signal.signal(signal.SIGALRM, on_alarm)
    try:
        yield [_finder(number, text, seconds) for number, text in enumerate(patterns, 1)]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _finder(number: int, text: str, seconds: float) -> Finder:
    name, pattern = f"--pattern {number}", re.compile(text)
    return Finder(Why("pattern", name), _search(name, pattern, seconds))


def _search(
    name: str, pattern: re.Pattern[str], seconds: float
) -> Callable[[str], list[tuple[int, int]]]:
    def find(text: str) -> list[tuple[int, int]]:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            found = [match.span() for match in pattern.finditer(text)]
            signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeoutError:
            raise RecordingError(
                f"{name} searched a text of {len(text):,} characters for more than {seconds:g} s: "
                "leave out nested repeats such as (a+)+, or give what it is to find with "
                "--secret-env"
            ) from None
        return found

    return find
