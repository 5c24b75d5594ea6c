"""A recording that fails in mid run: what is not written down is not done, or only if so wished."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from config.options import RecordingOptions
from pipeline.core.codec import Header
from pipeline.core.commands import Open
from pipeline.core.events import (
    AnswerCompleted,
    RunEnded,
    SinkFailed,
    ToolsChanged,
    ToolStarted,
)
from pipeline.shell.recordings import last_run
from server.arguments import Arguments
from server.options import ServerOptions
from server.run import serve
from server.tool import Progress, Tool
from server.tools import schema
from sinks.base import SinkError
from sinks.jsonl import JsonlSink
from tests.support.in_process import Lines, Played, play, playing

PROMPTS = ["act", "act ; act", "act"]
STOP = ("--on-recording-failure", "stop")


def sink(path: Path) -> JsonlSink:
    options = RecordingOptions(fsync="none")
    return JsonlSink(path, Header(), on_notice=pytest.fail, options=options)


def counting(calls: list[Arguments]) -> dict[str, Tool]:
    async def run(arguments: Arguments, _progress: Progress) -> str:
        calls.append(arguments)
        return "done"

    return {"act": Tool(name="act", description="", input_schema=schema({}), run=run)}


def full_from(n: int, path: Path) -> Callable[[int, bytes], int]:
    """`os.write` on a disk that is full when `path` is written to the n-th time."""
    write, count = os.write, 0

    def failing(fd: int, data: bytes) -> int:
        nonlocal count
        count += Path(f"/proc/self/fd/{fd}").readlink() == path
        if count >= n and Path(f"/proc/self/fd/{fd}").readlink() == path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(fd, data)

    return failing


async def played(
    path: Path, n: int, monkeypatch: pytest.MonkeyPatch, calls: list[Arguments], *words: str
) -> Played:
    async with serve(ServerOptions(), tools=counting(calls)) as server:
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", full_from(n, path))
            argv = ("--server", server.url, *words)
            done = await play(*argv, prompts=PROMPTS, sinks=[sink(path)])
    return done


async def test_whichever_write_fails_no_call_is_made_that_is_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th write fails, for n = 1, 2, 3 … until none does."""
    for n in range(1, 200):
        path, calls = tmp_path / f"{n}.jsonl", list[Arguments]()
        try:
            done = await played(path, n, monkeypatch, calls, *STOP)
        except SinkError:
            assert n == 1
            assert calls == []
            continue
        items = [entry.item for entry in last_run(path).entries()] if n > 1 else []
        assert len(calls) <= sum(isinstance(item, ToolStarted) for item in items)
        if not done.only(SinkFailed):
            assert n > 10
            assert done.ended == RunEnded(code=0)
            assert len(calls) == 4
            return
        (failed,) = done.only(SinkFailed)
        assert failed.ends_run
        assert done.items[-1] == done.ended
        if done.ended.code:  # else its end was all that was not written down any more
            assert done.ended == RunEnded(code=1, reason=f"sink jsonl={path}: {failed.reason}")
        assert done.ended.code == 1 or len(calls) == 4
    pytest.fail("no run was without a fault")


async def test_before_a_server_was_met_none_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first entries are one batch, and `open` is among them."""
    path = tmp_path / "run.jsonl"
    async with serve(ServerOptions()) as server:
        monkeypatch.setattr(os, "write", full_from(2, path))
        done = await play(
            "--server", server.url, *STOP, prompts=["add a=1 b=1"], sinks=[sink(path)]
        )
        assert server.session_count == 0
    assert done.one(Open)
    assert done.ended.code == 1


async def test_without_that_wish_the_run_goes_on_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "run.jsonl", list[Arguments]()
    done = await played(path, 5, monkeypatch, calls)
    (failed,) = done.only(SinkFailed)
    assert "No space left on device" in failed.reason
    assert not failed.ends_run
    assert len(calls) == 4
    assert [answer.text for answer in done.only(AnswerCompleted)] == ["done", "done\ndone", "done"]
    assert done.ended == RunEnded(code=0)


async def test_a_run_that_idles_ends_when_the_next_line_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls, lines = tmp_path / "run.jsonl", list[Arguments](), Lines(is_open=True)
    async with (
        serve(ServerOptions(), tools=counting(calls)) as server,
        playing("--server", server.url, *STOP, lines=lines, sinks=[sink(path)]) as run_,
    ):
        await run_.saw(ToolsChanged)
        monkeypatch.setattr(os, "write", full_from(1, path))
        lines.say("act")
        done = await run_.ended()
    assert calls == []
    assert done.ended.code == 1
