"""The clients that `bench.faults` compares: each is a process that meets a server and says what it
was told.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from bench.faults_peer import NOTHING, RESULT
from bench.page import ROOT
from tests.support.real_servers import pypi

Name: TypeAlias = Literal["rxmcp", "mcp", "fastmcp"]
CLIENTS: tuple[Name, ...] = ("rxmcp", "mcp", "fastmcp")
BOUND = 30.0  # seconds for each step
_LATER = 2
"""The number of the call that is made when the server is well again."""


class Step(NamedTuple):
    """What a user was told of one step: after how many seconds, and what.

    `peak` is the most memory that the client ever had until then, in KiB.
    """

    seconds: float
    told: str
    peak: int = 0


_MUTE = Step(BOUND, NOTHING)


@dataclass
class Told:
    """What a user was told: of the connection, of the call that meets the fault, of the next."""

    connect: Step
    first: Step = _MUTE
    later: Step = _MUTE

    @property
    def grown(self) -> int:
        """The memory, in KiB, that the fault made the client take, then or later."""
        return max(0, self.first.peak - self.connect.peak, self.later.peak - self.connect.peak)


@dataclass(frozen=True)
class Meeting:
    """A server to meet: by which transport (`sse`, `http`, `stdio`), where.

    `first` are the calls that meet the fault, made at once. `mend` is awaited when the client has
    been told of them, or has said nothing for too long: then the server has to be well.
    """

    transport: str
    target: str
    first: Sequence[int] = (1,)
    mend: Callable[[], Awaitable[None]] | None = field(default=None)


async def meet(name: Name, meeting: Meeting) -> Told:
    """One client connects, makes the calls that meet the fault, and then another one.

    Raises:
        TimeoutError: If the process itself says nothing for longer than all its steps may take.
    """
    process = await asyncio.create_subprocess_exec(
        *_command(name, meeting.transport, meeting.target),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(4 * BOUND):
            told = Told(await _heard(process))
            if told.connect.told == RESULT:
                told.first = await _call(process, meeting.first)
                if meeting.mend is not None:
                    await meeting.mend()
                told.later = await _call(process, (_LATER,))
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
    except BaseException:
        await kill(process)
        raise
    return told


async def kill(process: asyncio.subprocess.Process) -> None:
    """End it, if it has not ended yet."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _command(name: Name, transport: str, target: str) -> Sequence[str]:
    if name == "rxmcp":
        return (sys.executable, "-m", "bench.faults_ours", transport, target, str(BOUND))
    python = sys.executable if name == "mcp" else str(pypi("servers") / "python")
    script = str(Path(__file__).with_name("faults_peer.py"))
    return (python, script, name, transport, target, str(BOUND))


async def _call(process: asyncio.subprocess.Process, numbers: Sequence[int]) -> Step:
    assert process.stdin is not None
    process.stdin.write(f"{' '.join(map(str, numbers))}\n".encode())
    return await _heard(process)


async def _heard(process: asyncio.subprocess.Process) -> Step:
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, "a client ended without a word"
    said: Mapping[str, Any] = json.loads(line)
    return Step(float(said["seconds"]), str(said["told"]), int(said["peak"]))
