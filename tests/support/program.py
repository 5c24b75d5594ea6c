"""The program as people start it: `python main.py …` in a process, and always under a deadline.

    ended = await run("call", "add", "a=2", "b=3", cwd=tmp_path)
    assert (ended.code, ended.out) == (0, "5\\n")

    async with running("--dialect", "sse", cwd=tmp_path) as program:
        await program.say("wait seconds=20\\n")
        await program.told("> wait")

It starts in an empty environment: what this machine has set up reaches no run, least of all the key
of a real model. Whatever happens, no process is left behind.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

MAIN = Path(__file__).parents[2] / "main.py"
DEADLINE = 40.0  # seconds for anything that a test waits for; generous, for a machine under load
_KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "COVERAGE_PROCESS_CONFIG")


@dataclass(frozen=True)
class Ended:
    """A run that is over; a signal's death is its negative number, as in `subprocess`."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Standard error without a traceback: a test that looks at it wants words."""
        assert "Traceback" not in self.err, self.err
        return self.err


def environment(home: Path, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that a run gets to see: what a process needs to start, and `variables`."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    base = {"HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    return {**kept, **base, **(variables or {})}


class Program:
    """A run that goes on. `out` and `err` hold what it wrote so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.out = bytearray()
        self.err = bytearray()
        self._process = process
        self._changed = asyncio.Condition()
        self._open = 2
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.out)),
            asyncio.create_task(self._read(process.stderr, self.err)),
        ]

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._process.pid

    async def say(self, text: str | bytes) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode() if isinstance(text, str) else text)
        await self._process.stdin.drain()

    def end_input(self) -> None:
        """Close its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self._process.send_signal(number)

    async def told(self, text: str, count: int = 1) -> None:
        """Wait until standard error holds `text` so many times."""
        await self._wait(self.err, text, count)

    async def answered(self, text: str, count: int = 1) -> None:
        """Wait until standard output holds `text` so many times."""
        await self._wait(self.out, text, count)

    async def ended(self, seconds: float = DEADLINE) -> Ended:
        """Wait for its end, and for the last byte it wrote.

        Raises:
            AssertionError: If it goes on: it hangs, and that is what tests are after.
        """
        try:
            async with asyncio.timeout(seconds):
                code = await self._process.wait()
                await asyncio.gather(*self._readers)
        except TimeoutError:
            raise AssertionError(f"still running after {seconds:g} s; {self._wrote()}") from None
        return Ended(code, self.out.decode("utf-8", "replace"), self.err.decode("utf-8", "replace"))

    async def stop(self) -> None:
        """Kill what is left of it, its children included."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait(self._readers)

    async def _wait(self, stream: bytearray, text: str, count: int) -> None:
        def is_there() -> bool:
            return stream.count(text.encode()) >= count

        try:
            async with asyncio.timeout(DEADLINE), self._changed:
                await self._changed.wait_for(lambda: is_there() or not self._open)
        except TimeoutError:
            raise AssertionError(f"{text!r} did not come; {self._wrote()}") from None
        assert is_there(), f"it ended without {text!r}; {self._wrote()}"

    async def _read(self, stream: asyncio.StreamReader | None, into: bytearray) -> None:
        assert stream is not None
        while chunk := await stream.read(65536):
            async with self._changed:
                into += chunk
                self._changed.notify_all()
        async with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def _wrote(self) -> str:
        return f"standard output: {bytes(self.out[-2000:])!r}; error: {bytes(self.err[-2000:])!r}"


@asynccontextmanager
async def running(
    *argv: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: int | None = asyncio.subprocess.PIPE,
    command: tuple[str, ...] = (sys.executable, str(MAIN)),
) -> AsyncGenerator[Program]:
    """The program, until the block ends. `command` is for a shell around it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        *argv,
        cwd=cwd,
        env=environment(cwd, env),
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    program = Program(process)
    try:
        yield program
    finally:
        await program.stop()


async def run(
    *argv: str,
    cwd: Path,
    stdin: bytes | None = b"",
    env: Mapping[str, str] | None = None,
    seconds: float = DEADLINE,
) -> Ended:
    """Run it to its end, with `stdin` on a pipe; None: /dev/null."""
    channel = asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE
    async with running(*argv, cwd=cwd, env=env, stdin=channel) as program:
        if stdin is not None:
            with suppress(ConnectionError):  # it may be over before it has read all
                await program.say(stdin)
            program.end_input()
        return await program.ended(seconds)


async def shell(script: str, cwd: Path, *, seconds: float = DEADLINE) -> Ended:
    """Run a script of bash to its end: in it, `rxmcp …` is the program."""
    start = f'rxmcp() {{ "{sys.executable}" "{MAIN}" "$@"; }}\n'
    async with running(cwd=cwd, command=("bash", "-c", start + script)) as program:
        program.end_input()
        return await program.ended(seconds)
