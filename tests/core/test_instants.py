"""Times as recordings write them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.instants import NotATimeError, microseconds

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = st.datetimes(datetime(1600, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


@given(TIMES)
def test_it_is_the_number_that_the_calendar_says(time: datetime) -> None:
    at = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert microseconds(at) == (time - EPOCH) // timedelta(microseconds=1)


def test_fractions_may_be_short_or_left_out() -> None:
    assert microseconds("1970-01-01T00:00:01Z") == 1_000_000
    assert microseconds("1970-01-01T00:00:01.5Z") == 1_500_000


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-11-24", "2026-11-24T06:28:23", "2026-11-24T06:28:23+01:00",
        "2026-13-24T06:28:23Z", "2026-11-32T06:28:23Z", "2026-11-24T24:00:00Z",
        "2026-11-24T06:28:23Z\n", "٢٠٢٦-11-24T06:28:23Z",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_words(text: str) -> None:
    with pytest.raises(NotATimeError, match="found"):
        microseconds(text)
