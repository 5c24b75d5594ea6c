"""Sizes in bytes, read as people write them and shown so that they can be read again."""

import pytest

from config.sizes import read_size, read_size_or_never, shown_size


@pytest.mark.parametrize(
    ("word", "size"),
    [("0", 0), ("1500", 1500), ("1.5KiB", 1536), (" 2 MB ", 2_000_000), ("1gib", 2**30), (7, 7)],
)
def test_a_size_is_a_number_of_bytes_or_has_a_unit(word: object, size: int) -> None:
    assert read_size(word) == read_size_or_never(word) == size


@pytest.mark.parametrize("word", ["", "x", "1 TB", "-1", "1e3", "1.2345KiB", "٣", "1MiB/s"])
def test_what_is_no_size_is_told(word: str) -> None:
    with pytest.raises(ValueError, match=r"^found .*, expected a number of bytes, or one with a"):
        read_size(word)


def test_never_is_for_those_that_may_be_without_one() -> None:
    assert read_size_or_never(" Never") is None
    with pytest.raises(ValueError, match="expected never, a number of bytes"):
        read_size_or_never("no")
    with pytest.raises(ValueError, match="found 'never'"):
        read_size("never")


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0"), (1000, "1000"), (1024, "1KiB"), (16 * 2**20, "16MiB")]
)
def test_what_is_shown_is_read_as_the_same_size(size: int, shown: str) -> None:
    assert shown_size(size) == shown
    assert read_size(shown) == size
