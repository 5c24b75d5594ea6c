"""Servers that are processes: started, talked to, and surely ended, with all that they started."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from config.options import StreamOptions
from pipeline.core.commands import Get, Post
from pipeline.core.events import FrameReceived, PostAnswered, StreamOpened
from pipeline.deadline import Deadline
from pipeline.shell import process as processes
from pipeline.shell.http_sse import StreamEndedError, StreamTooLargeError, StreamUnreachableError
from pipeline.shell.process import Program, environment
from pipeline.shell.stdio import Pipe, PipeSender, read_process

DEADLINE = 20.0


class Line:
    """One server's link under test: what it pushes, and its task."""

    def __init__(self, pipe: Pipe) -> None:
        self.pipe = pipe
        self.items: list[Any] = []
        self.task: asyncio.Task[None] | None = None
        self.is_choked = False
        self.reads = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def push(self, item: Any) -> None:
        self.items.append(item)
        self._changed.set()

    def choke(self) -> None:
        self._room.clear()

    def relax(self) -> None:
        self._room.set()

    async def room(self) -> None:
        self.reads += 1
        self._changed.set()
        await self._room.wait()

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not is_so():
                self._changed.clear()
                await self._changed.wait()

    @property
    def lines(self) -> list[str]:
        return [item.data for item in self.items if isinstance(item, FrameReceived)]


@asynccontextmanager
async def running(*words: str, limit: int = 1 << 20, **more: Any) -> AsyncIterator[Line]:
    """A program is read until the block ends; then it has ended as well."""
    line = Line(Pipe(Program("it", words[0], tuple(words[1:]), **more)))
    options = StreamOptions(max_event_bytes=limit)
    line.task = asyncio.create_task(
        read_process(line.pipe, options=options, push=line.push, room=line.room)
    )
    try:
        yield line
    finally:
        line.task.cancel()
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(line.task, return_exceptions=True)


async def failure(line: Line) -> BaseException | None:
    assert line.task is not None
    async with asyncio.timeout(DEADLINE):
        await asyncio.wait([line.task])
    return line.task.exception()


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-uc", script)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2]
    except OSError:
        return False
    return not state.startswith("Z")


async def gone(*pids: int) -> None:
    """Wait until no such process is left."""
    loop = asyncio.get_running_loop()
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        loop.add_reader(watch, ended.set)
        try:
            async with asyncio.timeout(DEADLINE):
                await ended.wait()
        finally:
            loop.remove_reader(watch)
            os.close(watch)


def post(message: Any, id_: str = "1") -> Post:
    return Post(server="it", url="", id=id_, message=message)


# --- reading ----------------------------------------------------------------------------------


async def test_each_line_is_a_frame_whatever_it_says() -> None:
    async with running("printf", r'{"a":1}\n\nhello\r\n\377\nlast') as line:
        ended = await failure(line)
    assert line.items[0] == StreamOpened(server="it")
    assert line.lines == ['{"a":1}', "hello", "\ufffd"]
    assert isinstance(ended, StreamEndedError)
    assert str(ended) == "printf exited with status 0"


async def test_a_line_that_comes_in_pieces_is_whole() -> None:
    script = 'import sys,time\nfor c in \'{"k": "v"}\\n\': sys.stdout.write(c); sys.stdout.flush()'
    async with running(*python(script)) as line:
        await failure(line)
    assert line.lines == ['{"k": "v"}']


async def test_how_it_ended_is_told_with_its_last_words() -> None:
    async with running("sh", "-c", "echo first >&2; echo 'no such table' >&2; exit 3") as line:
        ended = await failure(line)
    assert str(ended) == "sh exited with status 3; it said 'no such table'"


async def test_a_signal_is_named() -> None:
    async with running("sh", "-c", "kill -TERM $$") as line:
        assert "was ended by SIGTERM" in str(await failure(line))


async def test_its_complaints_go_to_the_log_under_its_name() -> None:
    told: list[str] = []
    handler = logger.add(lambda message: told.append(str(message)), format="{level} {message}")
    try:
        async with running("sh", "-c", r"printf 'a\033[31mb\nc' >&2") as line:
            await failure(line)
    finally:
        logger.remove(handler)
    assert told == ["INFO it: 'a\\x1b[31mb'\n", "INFO it: 'c'\n"]


async def test_a_line_without_an_end_is_refused_in_words() -> None:
    async with running(*python("print('x' * 100_000)"), limit=2000) as line:
        ended = await failure(line)
    assert isinstance(ended, StreamTooLargeError)
    assert "wrote a line of more than 2000 bytes" in str(ended)
    assert "--max-event-bytes" in str(ended)


async def test_nothing_is_read_while_there_is_no_room() -> None:
    script = "import sys\nfor n in range(100_000): print(n)"
    async with running(*python(script)) as line:
        line.choke()
        await line.until(lambda: line.reads == 1)
        before = len(line.lines)
        assert before < 100_000
        line.relax()
        await failure(line)
    assert len(line.lines) == 100_000


@pytest.mark.parametrize(
    ("words", "more", "told"),
    [
        (("no-such-program",), {}, "found no program 'no-such-program'; install it, or give"),
        (("/dev/null",), {}, "found no program '/dev/null'"),
        (("cat",), {"cwd": "/no/such"}, "found no folder '/no/such' to start 'cat' in"),
        (("cat", "a\0b"), {}, "cannot start 'cat': "),
    ],
)
async def test_a_program_that_cannot_be_started_is_no_use_to_try_again(
    words: tuple[str, ...], more: dict[str, Any], told: str
) -> None:
    async with running(*words, **more) as line:
        ended = await failure(line)
    assert isinstance(ended, StreamUnreachableError)
    assert ended.is_fatal
    assert told in str(ended)
    assert line.items == []


def test_a_program_sees_what_it_needs_and_what_it_is_given() -> None:
    ours = {"PATH": "/bin", "HOME": "/root", "ANTHROPIC_API_KEY": "k", "SHELL": "() { :; }"}
    assert environment(Program("it", "x", env={"A": "b", "HOME": "/h"}), ours) == {
        "PATH": "/bin",
        "HOME": "/h",
        "A": "b",
    }


def test_no_argument_is_shown() -> None:
    program = Program("it", "/usr/bin/x", ("--key", "s3cret"), {"K": "s3cret"})
    assert repr(program) == "Program('it', 'x')"


# --- ending -----------------------------------------------------------------------------------


async def test_a_server_ends_when_its_input_is_closed() -> None:
    async with running("cat") as line:
        await line.until(lambda: bool(line.items))
        assert line.pipe.process is not None
        pid = line.pipe.process.pid
    assert not is_alive(pid)
    assert line.pipe.process is None


STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid)
while True: time.sleep(600)
"""


async def test_one_that_does_not_listen_is_killed_with_its_children(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    async with running(*python(STUBBORN)) as line:
        await line.until(lambda: bool(line.lines))
        pids = [int(word) for word in line.lines[0].split()]
        assert all(is_alive(pid) for pid in pids)
    await gone(*pids)


SLOW = """
import pathlib, sys, time
print("up")
sys.stdin.read()
time.sleep(1)
pathlib.Path("done").touch()
"""


async def test_when_the_time_for_the_end_is_over_it_is_not_waited_for(tmp_path: Path) -> None:
    over = Deadline(0)
    over.begin()
    command, *args = python(SLOW)
    program = Program("it", command, tuple(args), cwd=str(tmp_path))
    process = await processes.start(program, os.environ)
    async with asyncio.timeout(DEADLINE):
        assert await process.stdout.readline() == b"up\n"
        await process.end(over)
    assert not (tmp_path / "done").exists()


LEAVING = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
words = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(words, start_new_session=True{more}).pid, flush=True)
{then}
while True: time.sleep(600)
"""


@pytest.mark.parametrize(
    ("more", "then", "told"),
    [
        ("", "", "CancelledError"),
        (", stdout=subprocess.DEVNULL", "import os; os.close(1)", "StreamEndedError"),
    ],
)
async def test_a_child_that_has_left_and_holds_the_pipes_holds_nobody_up(
    more: str, then: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    left = 0
    try:
        async with running(*python(LEAVING.format(more=more, then=then))) as line:
            await line.until(lambda: bool(line.lines))
            left = int(line.lines[0])
            assert line.task is not None
            if then:
                await asyncio.wait([line.task], timeout=DEADLINE)
        (ended,) = await asyncio.gather(line.task, return_exceptions=True)
        assert type(ended).__name__ == told
    finally:
        if left:
            os.kill(left, signal.SIGKILL)
    await gone(left)


FLOOD = """
import sys
sys.stdout.write("x" * 180_000)
print("full", file=sys.stderr, flush=True)
while True: print("x" * 1000)
"""


async def test_one_that_is_ended_with_much_to_say_leaves_no_file_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While nobody reads on, asyncio does not see the end of a pipe, and does not close it."""
    monkeypatch.setattr(processes, "GRACE", 0.2)
    before, complained = open_pipes(), asyncio.Event()
    handler = logger.add(lambda _: complained.set(), level="INFO")
    try:
        async with running(*python(FLOOD)) as line, asyncio.timeout(DEADLINE):
            line.choke()
            await line.until(lambda: line.reads == 1)
            await complained.wait()
    finally:
        logger.remove(handler)
    assert open_pipes() <= before


def open_pipes() -> set[str]:
    links = [str(fd.readlink()) for fd in Path("/proc/self/fd").iterdir() if fd.is_symlink()]
    return {link for link in links if link.startswith("pipe:")}


async def test_one_that_closes_its_output_and_goes_on_is_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "GRACE", 0.2)
    async with running(*python("import os,time; os.close(1); time.sleep(600)")) as line:
        assert "closed its output and went on running, so it was killed" in str(await failure(line))


async def test_none_outlives_us_when_we_are_killed(tmp_path: Path) -> None:
    """A client that is killed with SIGKILL cannot end its servers: the guard does."""
    client = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pipeline.shell.process import Program, start
async def main():
    server = await start(Program("it", {sys.executable!r}, ("-uc", {STUBBORN!r})), {{}})
    print((await server.stdout.readline()).decode(), flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    ours = await asyncio.create_subprocess_exec(
        *python(client), stdout=asyncio.subprocess.PIPE, cwd=tmp_path
    )
    assert ours.stdout is not None
    async with asyncio.timeout(DEADLINE):
        pids = [int(word) for word in (await ours.stdout.readline()).split()]
        assert len(pids) == 2
        os.kill(ours.pid, signal.SIGKILL)
        await ours.wait()
    await gone(*pids)


# --- writing ----------------------------------------------------------------------------------


@asynccontextmanager
async def sending(pipe: Pipe, patience: float = DEADLINE) -> AsyncIterator[tuple[PipeSender, Line]]:
    answers = Line(pipe)
    sender = PipeSender(pipe, put=answers.push, patience=patience)
    task = asyncio.create_task(sender.run())
    try:
        yield sender, answers
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_messages_are_lines_in_order_and_each_is_answered() -> None:
    async with running("cat") as line, sending(line.pipe) as (sender, answers):
        await line.until(lambda: bool(line.items))
        for number in range(3):
            sender.send(post({"n": number, "text": "a\nb"}, str(number)))
        await line.until(lambda: len(line.lines) == 3)
        await answers.until(lambda: len(answers.items) == 3)
    assert line.lines == [f'{{"n":{n},"text":"a\\nb"}}' for n in range(3)]
    assert answers.items == [PostAnswered(server="it", id=str(n), status=202) for n in range(3)]


async def test_without_a_process_nothing_was_sent() -> None:
    async with sending(Pipe(Program("it", "cat"))) as (sender, answers):
        sender.send(post({}))
        await answers.until(lambda: bool(answers.items))
    (answer,) = answers.items
    assert (answer.status, answer.is_sent) == (None, False)
    assert answer.reason == "not sent: cat does not run"


async def test_a_process_that_does_not_read_is_told_after_a_while() -> None:
    async with (
        running(*python("import time; print(1); time.sleep(600)")) as line,
        sending(line.pipe, patience=0.2) as (sender, answers),
    ):
        await line.until(lambda: bool(line.lines))
        sender.send(post({"x": "y" * 1_000_000}))
        await answers.until(lambda: bool(answers.items))
    (answer,) = answers.items
    assert (answer.status, answer.is_sent) == (None, True)
    assert "takes no messages for 0.2 s (--post-timeout)" in answer.reason


async def test_a_message_that_is_cut_says_how_far_it_came_and_what_waited_never_leaves() -> None:
    """The process does not read: the first message fills its pipe, the second waits behind."""
    async with running(*python("import time; print(1); time.sleep(600)")) as line:
        await line.until(lambda: bool(line.lines))
        async with sending(line.pipe) as (sender, answers):
            sender.send(post({"x": "y" * 1_000_000}, "big"))
            sender.send(post({}, "small"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            sender.cut("small")
            sender.cut("big")
            sender.cut("nobody")
            await answers.until(lambda: len(answers.items) == 2)
    assert [(a.id, a.status, a.is_sent, a.reason) for a in answers.items] == [
        ("small", None, False, "cut off by us"),
        ("big", None, True, "cut off by us"),
    ]


async def test_what_is_under_way_at_the_end_is_answered() -> None:
    async with running(*python("import time; print(1); time.sleep(600)")) as line:
        await line.until(lambda: bool(line.lines))
        async with sending(line.pipe) as (sender, answers):
            sender.send(post({"x": "y" * 1_000_000}, "big"))
            sender.send(post({}, "small"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        sender.send(post({}, "late"))
    assert [(a.id, a.status, a.is_sent) for a in answers.items] == [
        ("big", None, True),
        ("small", None, False),
        ("late", None, False),
    ]


async def test_a_message_that_is_no_json_is_not_sent() -> None:
    async with running("cat") as line, sending(line.pipe) as (sender, answers):
        await line.until(lambda: bool(line.items))
        sender.send(post({"x": object()}))
        await answers.until(lambda: bool(answers.items))
    assert not answers.items[0].is_sent


async def test_a_process_has_one_stream_only() -> None:
    async with sending(Pipe(Program("it", "cat"))) as (sender, answers):
        sender.get(Get(server="it", url="", id="own"))
        sender.cut("own")
        sender.drop()
    (answer,) = answers.items
    assert (answer.id, answer.is_sent) == ("own", False)
