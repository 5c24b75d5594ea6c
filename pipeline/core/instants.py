"""The `at` of an entry as a number: the core may read a time, it does not ask for one."""

import re

_AT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z", re.ASCII)
_LIMITS = ((1, 12), (1, 31), (0, 23), (0, 59), (0, 60))
_DAYS_BEFORE_1970 = 719_468
_MICRO = 1_000_000


class NotATimeError(ValueError):
    """A text is no RFC 3339 time in UTC."""


def microseconds(at: str) -> int:
    """Microseconds since 1970-01-01T00:00:00Z of a time as recordings write it.

    Raises:
        NotATimeError: If it is written in another way.
    """
    found = _AT.fullmatch(at)
    if found is None:
        raise NotATimeError(f"found {at[:40]!r}, expected a time such as 2026-11-24T06:28:23.5Z")
    year, *parts = (int(number) for number in found.groups()[:6])
    if not all(low <= part <= high for part, (low, high) in zip(parts, _LIMITS, strict=True)):
        raise NotATimeError(f"found {at!r}, which is no time: a part of it is out of range")
    month, day, hour, minute, second = parts
    seconds = ((_days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    return seconds * _MICRO + int((found[7] or "0").ljust(6, "0"))


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 (Gregorian): years begin in March, so that leap days end them."""
    year -= month <= 2  # noqa: PLR2004  January and February belong to the year before
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - _DAYS_BEFORE_1970
