"""A server that is a process of ours: started in a group of its own, and surely ended.

MCP: basic/transports, "stdio", and basic/lifecycle, "Shutdown": its input is closed, then it gets
SIGTERM, then SIGKILL, all of its group. Should we die ourselves without a word (`kill -9`), a guard
sees that: a shell that waits for the end of a pipe of ours, and then kills the group.
"""

import asyncio
import contextlib
import os
import shutil
import signal
from asyncio.subprocess import SubprocessStreamProtocol
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from loguru import logger

from pipeline.deadline import Deadline

GRACE = 2.0  # seconds for each step of an end
_LIMIT = 64 * 1024  # bytes of output that are held while nobody reads
_GUARD = 'read -r line && exit 0; kill -s KILL -- "-$1" 2>/dev/null'
# What a program needs to run at all; nothing else of ours is its business. MCP: the official SDKs.
_INHERITED = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"),
    *("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "SystemRoot", "APPDATA", "LOCALAPPDATA"),
)


class ProgramError(OSError):
    """A program that cannot be started; the text says which, and why."""


@dataclass(frozen=True, slots=True, repr=False)
class Program:
    """What to start for a server. `args` and `env` may hold secrets, so `repr` shows neither."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    cwd: str | None = None

    @property
    def title(self) -> str:
        """What to call it on screen: the name of the program, without its arguments."""
        return os.path.basename(self.command) or self.command  # noqa: PTH119  a text, no path

    def __repr__(self) -> str:
        return f"Program({self.name!r}, {self.title!r})"


def environment(program: Program, environ: Mapping[str, str]) -> dict[str, str]:
    """What the program gets to see: a few variables of ours, and its own."""
    inherited = {
        name: value
        for name in _INHERITED
        if (value := environ.get(name)) is not None and not value.startswith("()")
    }
    return {**inherited, **program.env}


class ServerProcess:
    """A running server, whose pipes are `stdin`, `stdout` and `stderr`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        transport: asyncio.SubprocessTransport,
    ) -> None:
        assert process.stdin is not None, "it was started with pipes"
        assert process.stdout is not None, "it was started with pipes"
        assert process.stderr is not None, "it was started with pipes"
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr
        self._process = process
        self._transport = transport
        self._guard: _Guard | None = None

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group too."""
        return self._process.pid

    async def watch(self) -> None:
        """See to it that it does not outlive us, whatever happens to us."""
        self._guard = await _Guard.watch(self.pid)

    async def exited(self) -> str:
        """How it ended, in words; if it has not after `GRACE` seconds, it is killed."""
        try:
            async with asyncio.timeout(GRACE):
                status = await self._process.wait()
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await _killed(self._transport, self._process)
            return "closed its output and went on running, so it was killed"
        if status >= 0:
            return f"exited with status {status}"
        return f"was ended by {_signal_name(-status)}"

    async def end(self, shutdown: Deadline) -> None:
        """End it, and all that it started, however it takes it.

        It has two steps of `GRACE` seconds each for that, or of its parts of `shutdown`.
        """
        try:
            with contextlib.suppress(OSError):
                self.stdin.close()
            for number in (None, signal.SIGTERM):
                if number is not None:
                    self._signal(number)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(shutdown.part(GRACE)):
                        await self._process.wait()
                        return
        finally:
            await _to_the_end(self.kill())

    async def kill(self) -> None:
        """End it at once, and its children: what it left would hold on to its ports and files."""
        self._signal(signal.SIGKILL)
        await _killed(self._transport, self._process)
        if self._guard is not None:
            guard, self._guard = self._guard, None
            await guard.release()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


async def start(program: Program, environ: Mapping[str, str]) -> ServerProcess:
    """Start a program.

    Raises:
        ProgramError: If there is none of that name, or it cannot be run.
    """
    env = environment(program, environ)
    found = shutil.which(program.command, path=env.get("PATH"))
    if found is None:
        raise ProgramError(
            f"found no program {program.command!r}; install it, or give its whole path"
        )
    if program.cwd is not None and not os.path.isdir(program.cwd):  # noqa: PTH112, ASYNC240
        raise ProgramError(f"found no folder {program.cwd!r} to start {program.title!r} in")
    launched: list[ServerProcess] = []

    async def launch() -> None:
        try:
            launched.append(await _launch(program, found, env))
        except (OSError, ValueError) as exc:
            words = exc.strerror if isinstance(exc, OSError) else str(exc)
            raise ProgramError(f"cannot start {program.title!r}: {words}") from exc

    try:
        await _to_the_end(launch())
    except asyncio.CancelledError:
        for process in launched:
            await _to_the_end(process.kill())
        raise
    return launched[0]


async def _launch(program: Program, found: str, env: Mapping[str, str]) -> ServerProcess:
    loop = asyncio.get_running_loop()
    # As `create_subprocess_exec` does it, which keeps the transport to itself.
    transport, protocol = await loop.subprocess_exec(
        lambda: SubprocessStreamProtocol(limit=_LIMIT, loop=loop),
        found,
        *program.args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=env,
        cwd=program.cwd,
        start_new_session=True,
    )
    process = ServerProcess(asyncio.subprocess.Process(transport, protocol, loop), transport)
    try:
        await process.watch()
    except BaseException:
        await process.kill()
        raise
    return process


async def _killed(
    transport: asyncio.SubprocessTransport, process: asyncio.subprocess.Process
) -> None:
    """Wait for its end after SIGKILL, and for no other.

    Up to Python 3.12, `wait` lasts until its pipes are closed as well. Who has left the group may
    hold them for ever; and where nobody reads on, asyncio does not see their end.
    """
    transport.close()
    await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for what must end now; if the system does not let it (a dead disk), the log says so."""
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        logger.warning("process {} was killed and is still there", process.pid)


async def _to_the_end(body: Coroutine[Any, Any, None]) -> None:
    """Await `body`, which is short, also while we are cancelled; that is raised behind it.

    The end of a run cancels more than once. A process whose end its loop has not seen stays in the
    table of processes, and its guard stays for ever.
    """
    task = asyncio.create_task(body)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # it is heard, and what matters now is the cancellation
        raise cancelled
    await task


class _Guard:
    """A shell that kills a group once we are gone; a line says that it is not needed any more."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def watch(cls, group: int) -> "_Guard | None":
        shell = shutil.which("sh")
        if shell is None:
            return None
        process = await asyncio.create_subprocess_exec(
            *(shell, "-c", _GUARD, "rxmcp-guard", str(group)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        return cls(process)

    async def release(self) -> None:
        """The group has ended."""
        assert self._process.stdin is not None, "it was started with a pipe"
        with contextlib.suppress(OSError):
            self._process.stdin.write(b"\n")
            self._process.stdin.close()
        await _ended(self._process)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
