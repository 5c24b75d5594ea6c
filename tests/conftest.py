"""What every test stands under: no real model, and nothing left behind.

Sockets and files that are left open are told by `filterwarnings = error`: Python warns of them.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

_GRACE = 2.0  # seconds for what was cancelled, or told to close, to end


@pytest.fixture(autouse=True)
def no_real_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kill switch: nothing that this machine knows of a model is there for a test."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves a task or a child process."""
    before = _children()
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_no_task_left")
    yield
    left = _children() - before
    assert not left, f"processes left: {[_command(pid) for pid in left]}"


@pytest.fixture
async def _no_task_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=_GRACE)
    assert not left, f"tasks left: {left}"


def _children() -> frozenset[int]:
    """The processes that this one has started and not yet waited for; none where /proc is not."""
    found: set[int] = set()
    for path in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, path.read_text().split()))
        except FileNotFoundError:  # a thread that ended meanwhile
            continue
    return frozenset(found)


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except FileNotFoundError:
        return f"process {pid}"
