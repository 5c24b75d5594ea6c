"""What every test stands under: no real model, and nothing left behind."""

import os
import tempfile
from collections.abc import Iterator

import pytest

from tests.support import leaks

_tasks_left: list[str] = []
_told: set[str] = set()


@pytest.fixture(autouse=True, scope="session")
def _everything_is_seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Orphans, tasks of closed loops, and temporary files come to where `leaks` looks for them.

    What is kept for the next run is kept in a home of the tests' own.
    """
    folder = str(tmp_path_factory.mktemp("temporary"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr(tempfile, "tempdir", folder)
        with leaks.orphans_are_ours(), leaks.tasks_are_told(_tasks_left.append):
            yield


@pytest.fixture(autouse=True, scope="module")
def nothing_left_by_a_file() -> Iterator[None]:
    """Fails the last test of a file whose fixtures leave something."""
    yield from _nothing_left()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves a task, a thread, a descriptor, a process or a temporary file.

    Fixtures of a wider scope, such as servers that a whole file shares, are there before it begins.
    """
    yield from _nothing_left()


def _nothing_left() -> Iterator[None]:
    before = leaks.now()
    yield
    words = [each for each in (*_tasks_left, *leaks.left_behind(before)) if each not in _told]
    _tasks_left.clear()
    _told.update(words)
    if words:
        pytest.fail("\n  ".join(["it left behind", *words]), pytrace=False)


@pytest.fixture(autouse=True)
def no_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill switch: nothing that this machine knows of a model is there for a test."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC")]:
        monkeypatch.delenv(name)
