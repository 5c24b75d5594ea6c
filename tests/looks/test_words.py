"""The words for times and counts."""

import pytest

from pipeline.looks.words import count, duration, names


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 ms"), (0.0004, "0 ms"), (0.0123, "12 ms"), (0.9994, "999 ms"), (0.9996, "1.00 s"),
        (1.256, "1.26 s"), (59.94, "59.9 s"), (60.0, "1 min 0 s"), (125.0, "2 min 5 s"),
        (3599.0, "59 min 59 s"), (3600.0, "1 h 0 min"), (90_000.0, "1 d 1 h"),
    ],
)  # fmt: skip
def test_a_length_of_time_has_the_digits_that_a_person_uses(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_counts_have_their_plural() -> None:
    assert (count(1, "call"), count(0, "call"), count(1200, "call")) == (
        "1 call",
        "0 calls",
        "1,200 calls",
    )


def test_many_names_are_counted() -> None:
    assert names([str(n) for n in range(14)]).endswith("10, 11 and 2 more")
