"""What was approved of tools, in a file that outlives runs and that nothing spoils."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.plan import ToolPin
from pipeline.shell import pins_file
from pipeline.shell.pins_file import PinsError, PinsFile

ROOT = Path(__file__).resolve().parents[2]
ADD = ToolPin(digest="sha256:1", said={"description": "Add."}, cut=("inputSchema",))
OTHER = ToolPin(digest="sha256:2")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "rxmcp" / "tools.json"


def test_a_pin_comes_back_as_it_was(path: Path) -> None:
    PinsFile(path).keep("https://h.test/mcp", {"add": ADD}, is_approval=False)
    assert PinsFile(path).read() == {"https://h.test/mcp": {"add": ADD}}


def test_what_is_not_there_is_nothing(path: Path) -> None:
    assert PinsFile(path).read() == {}


def test_what_is_seen_first_stays_and_what_is_approved_takes_its_place(path: Path) -> None:
    file = PinsFile(path)
    file.keep("s", {"add": ADD}, is_approval=False)
    file.keep("s", {"add": OTHER, "sub": OTHER}, is_approval=False)
    assert file.read() == {"s": {"add": ADD, "sub": OTHER}}
    file.keep("s", {"add": OTHER}, is_approval=True)
    file.keep("t", {"add": ADD}, is_approval=False)
    assert file.read() == {"s": {"add": OTHER, "sub": OTHER}, "t": {"add": ADD}}


def test_a_person_can_read_it_and_nobody_else(path: Path) -> None:
    PinsFile(path).keep("s", {"add": ADD}, is_approval=False)
    text = path.read_text("utf-8")
    assert '\n   "add": {\n' in text
    assert '\n    "digest": "sha256:1",\n' in text
    assert json.loads(text)["format"] == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is not what rxmcp writes"),
        (b"{", "it is not what rxmcp writes"),
        (b"\xff", "it is not what rxmcp writes"),
        (b"[]", "it is not what rxmcp writes"),
        (b"[" * 100_000, "it is not what rxmcp writes"),
        (b'{"servers":{"s":{"add":{"digest":1}}}}', r"servers\[\.\.\.\]"),
        (b'{"servers":{"s":{"add":{}}}}', "missing required field `digest`"),
        (b'{"format":2}', "found format 2, expected 1; another version wrote it"),
    ],
)
def test_a_file_that_is_not_ours_is_told_and_kept(path: Path, content: bytes, words: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(PinsError, match=words) as caught:
        PinsFile(path).read()
    assert "tools.json" in str(caught.value)
    with pytest.raises(PinsError, match=words):
        PinsFile(path).keep("s", {"add": ADD}, is_approval=True)
    assert path.read_bytes() == content


def test_a_file_that_is_too_large_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PinsFile(path).keep("s", {"add": ADD}, is_approval=False)
    monkeypatch.setattr(pins_file, "_MOST_BYTES", 50)
    with pytest.raises(PinsError, match="larger than it may be"):
        PinsFile(path).read()


def test_it_does_not_grow_without_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins_file, "_MOST_BYTES", 500)
    file = PinsFile(path)
    file.keep("s", {"add": ADD}, is_approval=False)
    with pytest.raises(PinsError, match="it would grow beyond 500 bytes"):
        file.keep("t", {"add": ToolPin(digest="x" * 500)}, is_approval=False)
    assert file.read() == {"s": {"add": ADD}}


def test_others_must_not_be_able_to_approve(path: Path) -> None:
    PinsFile(path).keep("s", {"add": ADD}, is_approval=False)
    path.chmod(0o666)
    with pytest.raises(PinsError, match="do `chmod 600` on it"):
        PinsFile(path).read()


def test_a_write_that_breaks_off_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = PinsFile(path)
    file.keep("s", {"add": ADD}, is_approval=False)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(PinsError, match="cannot be written: No space left"):
        file.keep("s", {"add": OTHER}, is_approval=True)
    assert file.read() == {"s": {"add": ADD}}
    assert {each.name for each in path.parent.iterdir()} == {"tools.json", "tools.json.lock"}


async def test_runs_that_write_at_the_same_time_lose_nothing(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.core.plan import ToolPin\n"
        "from pipeline.shell.pins_file import PinsFile\n"
        "for n in range(5):\n"
        "    pins = {f'{sys.argv[2]}{n}': ToolPin(digest='d')}\n"
        "    PinsFile(Path(sys.argv[1])).keep('s', pins, is_approval=False)\n"
    )
    runs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(path), name, cwd=ROOT, stderr=subprocess.PIPE
        )
        for name in "abc"
    ]
    async with asyncio.timeout(60):
        said = await asyncio.gather(*(run.communicate() for run in runs))
    assert [err for _, err in said] == [b""] * 3
    assert set(PinsFile(path).read()["s"]) == {f"{name}{n}" for name in "abc" for n in range(5)}
