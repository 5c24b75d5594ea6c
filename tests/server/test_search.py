import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from server import search as module
from server.search import SearchLimits, search, search_tool
from server.tool import ToolError
from server.tools import READS_ONLY, schema


def _search(root: Path, query: str, **more: Any) -> list[str]:
    defaults: dict[str, Any] = {
        "glob": "*",
        "max_results": 50,
        "max_files": 100,
        "is_over": lambda: False,
    }
    return search(root.resolve(), query, **(defaults | more)).split("\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "docs").mkdir(parents=True)
    (root / "a.txt").write_text("first\nneedle here\nlast Needle\n")
    (root / "docs" / "b.md").write_text("a NEEDLE in docs\n")
    return root


def test_hits_are_path_line_text_without_regard_to_case(folder: Path) -> None:
    assert _search(folder, "needle") == [
        "a.txt:2: needle here",
        "a.txt:3: last Needle",
        "docs/b.md:1: a NEEDLE in docs",
    ]


def test_no_hit_says_so(folder: Path) -> None:
    assert _search(folder, "straw") == ["no hit for 'straw'"]


@pytest.mark.parametrize(
    ("glob", "files"),
    [
        ("*.md", ["docs/b.md"]),
        ("*.txt", ["a.txt"]),
        ("docs/*", ["docs/b.md"]),
        ("**/*.md", ["docs/b.md"]),
        ("**/*.txt", ["a.txt"]),
        ("*.rs", []),
        ("../*", []),
        ("/etc/*", []),
    ],
)
def test_a_glob_names_the_files(folder: Path, glob: str, files: list[str]) -> None:
    lines = [line for line in _search(folder, "needle", glob=glob) if ":" in line]
    assert sorted({line.split(":")[0] for line in lines}) == files


def test_links_do_not_lead_out_of_the_folder(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("needle outside\n")
    (folder / "file_link.txt").symlink_to(outside / "secret.txt")
    (folder / "folder_link").symlink_to(outside)
    (folder / "inner_link.txt").symlink_to(folder / "a.txt")
    assert not any("outside" in line or "link" in line for line in _search(folder, "needle"))


def test_a_folder_swapped_for_a_link_during_the_walk_is_not_followed(
    folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.md").write_text("needle outside\n")

    def swap() -> bool:
        # The walk has listed docs/ by the time its file is asked about.
        if swaps and (folder / "docs").is_dir() and not (folder / "docs").is_symlink():
            (folder / "docs").rename(tmp_path / "moved")
            (folder / "docs").symlink_to(outside)
        swaps.append(1)
        return False

    swaps: list[int] = []
    asked = _search(folder, "needle", glob="*.md", is_over=_after(3, swap))
    assert (folder / "docs").is_symlink()
    assert asked == ["no hit for 'needle'"]


def _after(calls: int, then: Callable[[], bool]) -> Callable[[], bool]:
    count = 0

    def ask() -> bool:
        nonlocal count
        count += 1
        return then() if count >= calls else False

    return ask


def test_hidden_binary_large_and_special_files_are_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / ".env").write_text("KEY=needle\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("needle\n")
    (folder / "binary").write_bytes(b"needle\0\n")
    (folder / "large.txt").write_text("needle\n" * 100)
    os.mkfifo(folder / "pipe.txt")
    monkeypatch.setattr(module, "_MAX_FILE_BYTES", 100)
    assert [line.split(":")[0] for line in _search(folder, "needle")] == [
        "a.txt",
        "a.txt",
        "docs/b.md",
    ]


def test_a_file_that_cannot_be_opened_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "open", refuse)
    assert _search(folder, "needle") == ["no hit for 'needle'"]


def test_hits_are_limited_and_the_limit_is_told(folder: Path) -> None:
    lines = _search(folder, "needle", max_results=2)
    assert len(lines) == 3
    assert lines[-1] == "[more than 2 hits: search for less, or give a glob]"


def test_files_are_limited_and_the_limit_is_told(folder: Path) -> None:
    lines = _search(folder, "needle", max_files=1)
    assert lines[-1] == "[stopped after 1 files: search for less, or give a glob]"
    assert "docs" not in "".join(lines)


def test_a_search_that_is_over_stops_before_the_first_file(folder: Path) -> None:
    assert _search(folder, "needle", is_over=lambda: True) == [
        "[stopped after 0 files: search for less, or give a glob]"
    ]


def test_a_long_line_is_cut_around_the_hit_and_cannot_steer_a_terminal(folder: Path) -> None:
    (folder / "long.txt").write_text("x" * 5000 + "target\x1b[2J" + "y" * 5000)
    (line,) = _search(folder, "target")
    assert len(line) < 350
    assert "target\ufffd[2J" in line


def test_a_name_that_is_not_unicode_is_shown_with_marks(folder: Path) -> None:
    (folder / os.fsdecode(b"odd\xff\n.txt")).write_text("target\n")
    (line,) = _search(folder, "target")
    assert line == "odd\ufffd\ufffd.txt:1: target"


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="the server's folder is not there"):
        _search(tmp_path / "gone", "x")


async def test_the_tool_searches_off_the_loop_within_its_time(folder: Path) -> None:
    tool = search_tool(str(folder), schema, READS_ONLY)
    assert "a.txt:2:" in await tool.run({"query": "needle"}, lambda _d, _t: None)
    hurried = search_tool(str(folder), schema, READS_ONLY, limits=SearchLimits(seconds=-1))
    assert "[stopped after 0 files" in await hurried.run(
        {"query": "needle", "max_results": 2.0}, lambda _d, _t: None
    )


async def test_a_cancelled_search_stops_its_thread(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, ended = threading.Event(), threading.Event()

    def endless(*_: object, is_over: Callable[[], bool], **__: object) -> str:
        started.set()
        while not is_over():
            pass
        ended.set()
        return ""

    monkeypatch.setattr(module, "search", endless)
    tool = search_tool(str(folder), schema, READS_ONLY, limits=SearchLimits(seconds=60))

    async def run() -> str:
        return await tool.run({"query": "x"}, lambda _d, _t: None)

    task = asyncio.create_task(run())
    assert await asyncio.to_thread(started.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 5)
