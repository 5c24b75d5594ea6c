"""Seconds on a line."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.looks.timescale import Timescale

SPANS = st.lists(
    st.tuples(st.floats(0, 5000), st.floats(0, 500)).map(lambda s: (s[0], s[0] + s[1])), max_size=20
)


def test_a_busy_time_is_a_straight_line() -> None:
    scale = Timescale([(0.0, 10.0)], 10.0, 100.0, 200.0)
    assert scale.folds == ()
    assert [scale.x(at) for at in (-1.0, 0.0, 5.0, 10.0, 11.0)] == [
        100.0,
        100.0,
        150.0,
        200.0,
        200.0,
    ]


def test_a_long_pause_is_folded_and_the_rest_keeps_its_proportions() -> None:
    scale = Timescale([(0.0, 10.0), (1010.0, 1020.0)], 1020.0, 0.0, 440.0)
    (fold,) = scale.folds
    assert fold.end - fold.x == 40.0
    assert 990.0 < fold.seconds < 1000.0
    assert scale.x(10.0) - scale.x(0.0) == pytest.approx(scale.x(1020.0) - scale.x(1010.0))
    assert round(scale.x(1020.0), 6) == 440.0


def test_of_many_pauses_the_longest_are_folded() -> None:
    busy = [(at * 100.0 + at, at * 100.0 + at + 1.0) for at in range(100)]
    scale = Timescale(busy, 10_000.0, 0.0, 800.0)
    assert len(scale.folds) == 8
    assert scale.x(10_000.0) == pytest.approx(800.0)


def test_a_short_pause_is_not() -> None:
    assert Timescale([(0.0, 1.0), (2.5, 3.0)], 3.0, 0.0, 100.0).folds == ()


def test_a_run_of_no_length_has_a_place() -> None:
    scale = Timescale([], 0.0, 10.0, 20.0)
    assert scale.x(0.0) == 10.0
    assert scale.ticks(50.0) == [(0.0, 10.0)]


def test_ticks_are_round_apart_and_outside_of_folds() -> None:
    scale = Timescale([(0.0, 10.0), (1010.0, 1020.0)], 1020.0, 0.0, 440.0)
    ticks = scale.ticks(50.0)
    assert [seconds for seconds, _ in ticks] == [0.0, 5.0, 10.0, 1010.0, 1015.0, 1020.0]
    places = [x for _, x in ticks]
    assert min(b - a for a, b in itertools.pairwise(places)) >= 50.0
    (fold,) = scale.folds
    assert not [x for x in places if fold.x < x < fold.end]


@given(SPANS, st.floats(0, 6000))
def test_later_is_never_further_left_and_all_is_on_the_line(
    spans: list[tuple[float, float]], duration: float
) -> None:
    scale = Timescale(spans, duration, 100.0, 900.0)
    times = sorted([0.0, duration, *(time for span in spans for time in span)])
    places = [scale.x(time) for time in times]
    assert all(a <= b + 1e-6 for a, b in itertools.pairwise(places))
    assert len(scale.ticks(80.0)) <= 25
