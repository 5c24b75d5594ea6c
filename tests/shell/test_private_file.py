"""A file of ours is whole, closed to others, and as it was if a change comes to nothing.

What else holds of it is shown by those who keep something in one: `oauth/test_storage.py` and
`test_pins_file.py`.
"""

import os
import sys
from pathlib import Path

import pytest

from pipeline.shell.private_file import PrivateFile


class UnusableError(Exception):
    """What the file raises here."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "file.json"


@pytest.fixture
def file(path: Path) -> PrivateFile:
    return PrivateFile(path, most_bytes=100, error=UnusableError)


def grown(text: bytes | None) -> bytes:
    return (text or b"") + b"x"


def test_a_change_gets_what_is_there_and_leaves_what_it_makes_of_it(
    file: PrivateFile, path: Path
) -> None:
    assert file.read() is None
    for content in (b"x", b"xx"):
        file.change(grown)
        assert file.read() == path.read_bytes() == content


def test_a_change_that_fails_changes_nothing(file: PrivateFile, path: Path) -> None:
    file.change(grown)

    def fails(text: bytes | None) -> bytes:
        raise KeyError(text)

    with pytest.raises(KeyError):
        file.change(fails)
    assert file.read() == b"x"
    file.change(grown)  # nobody holds the lock
    assert {each.name for each in path.parent.iterdir()} == {"file.json", "file.json.lock"}


def test_more_than_there_may_be_is_read_only_as_far_as_shows_that(
    file: PrivateFile, path: Path
) -> None:
    file.change(grown)
    path.write_bytes(b"y" * 1000)
    assert file.read() == b"y" * 101


def test_what_is_no_file_is_told_and_leaves_no_descriptor_open(
    file: PrivateFile, path: Path
) -> None:
    path.mkdir(parents=True)
    before = os.listdir("/dev/fd")  # noqa: PTH208  what it holds is numbers
    with pytest.raises(UnusableError, match="it is no ordinary file; move it away"):
        file.read()
    assert os.listdir("/dev/fd") == before  # noqa: PTH208  likewise


def test_where_the_system_has_no_such_locks_it_goes_on_without(
    file: PrivateFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    file.change(grown)
    assert file.read() == b"x"
    assert [each.name for each in path.parent.iterdir()] == ["file.json"]
