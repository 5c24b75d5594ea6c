"""A person's pattern finds what it matches, and is ended where it would never end."""

import re
import signal

import pytest

from pipeline.looks.patterns import finders
from pipeline.shell.recordings import RecordingError


def test_each_pattern_finds_its_places_under_its_number() -> None:
    with finders(["a+", "b"]) as (first, second):
        assert list(first.find("aab a")) == [(0, 2), (4, 5)]
        assert list(second.find("aab a")) == [(2, 3)]
        assert [each.why.rule for each in (first, second)] == ["--pattern 1", "--pattern 2"]


def test_a_search_that_does_not_end_is_ended_and_the_pattern_is_not_quoted() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with (
        pytest.raises(
            RecordingError, match=re.escape("--pattern 1 searched a text of 41")
        ) as caught,
        finders([r"(a+)+$"], seconds=0.05) as (never,),
    ):
        never.find("a" * 40 + "!")
    assert "(a+)+$" not in str(caught.value)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_no_alarm_is_left_behind() -> None:
    with finders(["a"]) as (found,):
        found.find("a")
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    with finders([]) as none:
        assert none == []
