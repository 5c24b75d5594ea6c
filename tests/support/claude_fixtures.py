"""What every test of `ClaudeModel` stands under; both fixtures work wherever they are imported."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.loopback import loopback_only


@pytest.fixture(autouse=True)
def kill_switch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """No request leaves loopback, and nothing that this machine has set is used."""
    for name in [*os.environ]:
        if name.startswith("ANTHROPIC") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with loopback_only() as attempts:
        yield attempts


@pytest.fixture(autouse=True)
async def deadline() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield
