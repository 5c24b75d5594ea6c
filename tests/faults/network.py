"""A network of one's own, for what no process can fake: packets that vanish without a word.

    play_scene("black_hole", "sse", "http")   # runs tests/faults/scenes.py in new namespaces

`unshare -Urnm` needs no rights of its own on most systems, and a new network namespace has nothing
but its loopback device: what happens there reaches nobody. `tc` (iproute2) makes the hole, and
`nft` one for the packets of one direction. Where one of them is missing or forbidden, the test is
skipped and says why.
"""

import asyncio
import functools
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from tests.faults.dialects import Dialect

_ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0  # seconds for a scene
_UNSHARE = ("unshare", "--user", "--map-root-user", "--net", "--mount")
_UP = "ip link set lo up && exec"
_HOLE = ("root", "tbf", "rate", "8bit", "burst", "1", "limit", "1")
"""A bucket that no packet fits into: each is dropped, and nobody is told."""
_TABLE = "table ip hole { chain out { type filter hook output priority 0; tcp %s %d drop; }; }"


def play_scene(name: str, *dialects: Dialect) -> None:
    """Run a scene in each dialect; it fails the test with what the scene says."""
    if why := why_no_network():
        pytest.skip(why)
    done = subprocess.run(
        in_own_network(sys.executable, "-m", "tests.faults.scenes", name, *dialects),
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def in_own_network(*words: str) -> tuple[str, ...]:
    """The command that runs this one where there is nothing but a loopback device."""
    return (*_UNSHARE, "sh", "-c", f'{_UP} "$@"', "sh", *words)


async def open_hole() -> None:
    """From now on every packet vanishes; what is connected stays so."""
    await _tc("add", *_HOLE)


async def close_hole() -> None:
    """The network is there again; TCP sends again what was lost."""
    await _tc("del", "root")


async def open_half(way: Literal["sport", "dport"], port: int) -> None:
    """From now on what comes from this port vanishes, or what goes to it; the rest arrives."""
    await _run("nft", _TABLE % (way, port))


async def close_half() -> None:
    """Both ways are open again."""
    await _run("nft", "flush ruleset")


async def look_up_by(conf: Path) -> None:
    """Have names looked up as this `resolv.conf` says; nobody outside the namespace sees that."""
    place = str(Path("/etc/resolv.conf").resolve())
    await _run("mount", "--bind", str(conf), place)


async def _tc(verb: str, *words: str) -> None:
    await _run("tc", "qdisc", verb, "dev", "lo", *words)


async def _run(*words: str) -> None:
    program = await asyncio.create_subprocess_exec(*words)
    assert await program.wait() == 0, f"{' '.join(words)} failed"


@functools.cache
def why_no_network() -> str:
    """Why there are no namespaces here; empty if there are."""
    for program in ("unshare", "ip", "tc", "nft"):
        if shutil.which(program) is None:
            return f"{program!r} is not installed, and no network can be made without it"
    hole = " ".join(_HOLE)
    half = _TABLE % ("sport", 1)
    words = ("sh", "-c", f"ip link set lo up && tc qdisc add dev lo {hole} && nft '{half}'")
    done = subprocess.run((*_UNSHARE, *words), capture_output=True, text=True, check=False)
    return f"no network of one's own: {done.stderr.strip()}" if done.returncode else ""
