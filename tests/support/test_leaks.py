"""What is left behind is found and named; what has ended, or is the loop's own, is not."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from tests.support import leaks

ROOT = Path(__file__).parents[2]
SHELL = shutil.which("sh") or "sh"
SLEEP = (shutil.which("sleep") or "sleep", "600")
needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="there is no /proc")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE", 0.05)


def test_nothing_is_left_where_nothing_happens() -> None:
    assert leaks.left_behind(leaks.now()) == []


def test_a_thread_is_named_with_the_line_it_is_at() -> None:
    before, may_end = leaks.now(), threading.Event()
    thread = threading.Thread(target=may_end.wait, name="forgotten")
    thread.start()
    (words,) = leaks.left_behind(before)
    may_end.set()
    thread.join()
    assert words.startswith("thread 'forgotten', at ")
    assert "threading.py:" in words
    assert leaks.left_behind(before) == []


@needs_proc
def test_a_descriptor_is_named_by_what_it_leads_to(tmp_path: Path) -> None:
    before = leaks.now()
    fd = os.open(tmp_path / "file", os.O_CREAT)
    words = leaks.left_behind(before)
    os.close(fd)
    assert words == [f"descriptor {fd}: {tmp_path / 'file'}"]


@needs_proc
def test_a_socket_is_named_by_its_addresses() -> None:
    before = leaks.now()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            mine = client.getsockname()[1]
            words = leaks.left_behind(before)
    assert [each.partition(": ")[2] for each in words] == [
        f"socket, AF_INET SOCK_STREAM, from ('127.0.0.1', {port})",
        f"socket, AF_INET SOCK_STREAM, from ('127.0.0.1', {mine}) to ('127.0.0.1', {port})",
    ]


@needs_proc
def test_a_descriptor_that_was_closed_and_leads_elsewhere_now_is_seen(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    before = leaks.now()
    os.close(fd)
    again = os.open(tmp_path.parent, os.O_RDONLY)
    assert again == fd
    words = leaks.left_behind(before)
    os.close(fd)
    assert words == [f"descriptor {fd}: {tmp_path.parent}"]


@needs_proc
def test_a_process_is_named_by_its_command_line_until_it_has_ended() -> None:
    before = leaks.now()
    with subprocess.Popen(SLEEP) as process:
        words = leaks.left_behind(before)
        process.kill()
    assert words == [f"process {process.pid}: {' '.join(SLEEP)}"]
    assert leaks.left_behind(before) == []


@needs_proc
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has subreapers")
def test_a_process_that_another_one_left_is_ours() -> None:
    before = leaks.now()
    told = subprocess.run(
        (SHELL, "-c", "sleep 600 >/dev/null & echo $!"), stdout=subprocess.PIPE, check=True
    )
    orphan = int(told.stdout)
    words = leaks.left_behind(before)
    os.kill(orphan, 9)
    assert words == [f"process {orphan}: sleep 600"]
    assert leaks.left_behind(before) == [], "nobody else would wait for it"


def test_a_temporary_file_is_named() -> None:
    before = leaks.now()
    handle, name = tempfile.mkstemp()
    os.close(handle)
    words = leaks.left_behind(before)
    Path(name).unlink()
    assert words == [f"file {Path(name).name}"]


async def wait_for(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_task_is_told_when_its_loop_is_closed_with_the_line_at_which_it_waits() -> None:
    told: list[str] = []

    async def forget() -> None:
        asyncio.create_task(wait_for(asyncio.Event()), name="forgotten")  # noqa: RUF006

    with leaks.tasks_are_told(told.append):
        await asyncio.to_thread(asyncio.run, forget())
    (words,) = told
    assert words.startswith("task 'forgotten': wait_for, waits at ")
    assert "locks.py:" in words


async def test_a_task_that_is_about_to_end_is_none() -> None:
    told: list[str] = []

    async def let_go() -> None:
        event = asyncio.Event()
        asyncio.create_task(wait_for(event))  # noqa: RUF006
        asyncio.get_running_loop().call_soon(event.set)

    with leaks.tasks_are_told(told.append):
        await asyncio.to_thread(asyncio.run, let_go())
    assert told == []


async def test_in_a_loop_its_tasks_are_seen_and_its_own_threads_are_not() -> None:
    before, tasks = leaks.now(), asyncio.all_tasks()
    await asyncio.to_thread(int)
    event = asyncio.Event()
    task = asyncio.create_task(wait_for(event), name="forgotten")
    await asyncio.sleep(0)
    (words,) = await leaks.left_behind_in_loop(before, tasks)
    assert "task 'forgotten': wait_for" in words
    event.set()
    await task
    assert await leaks.left_behind_in_loop(before, tasks) == []


LEAKY = """
import asyncio, os, subprocess, tempfile, threading
import pytest
from tests.support import leaks

leaks.GRACE = 0.05
kept = []

async def test_task():
    kept.append(asyncio.create_task(asyncio.sleep(600)))

def test_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

def test_descriptor():
    os.pipe()

def test_process():
    kept.append(subprocess.Popen(("sleep", "600")))

def test_file():
    tempfile.mkstemp()[0]

@pytest.fixture(scope="module")
def server():
    kept.append(subprocess.Popen(("sleep", "500")))
    yield
    kept[-1].kill()
    kept[-1].wait()

def test_innocent(server):
    assert kept[-1].poll() is None

def test_last():
    for each in kept:
        if isinstance(each, subprocess.Popen):
            each.kill()
            each.wait()
"""


@needs_proc
def test_each_test_that_leaves_something_fails_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "test_leaky.py"
    path.write_text(LEAKY)
    words = ("-q", "-p", "tests.conftest", "-p", "no:cacheprovider", "--basetemp", "base")
    config = ("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path))
    told = subprocess.run(
        (sys.executable, "-m", "pytest", *words, *config, path.name),
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False, timeout=60,
    ).stdout  # fmt: skip
    failed = re.findall(r"^ERROR .*::(\w+) - Failed: it left behind", told, re.MULTILINE)
    assert failed == ["test_task", "test_thread", "test_descriptor", "test_process", "test_file"]
    assert "7 passed, 5 errors" in told
