"""One client meets one fault: where the server is started, how it is mended, what it executed.

    python -m bench.faults_places NUMBER           # the server of a case, in a process of its own
    python -m bench.faults_places NUMBER CLIENT    # server and client of it: a cell, as JSON

Both are for `bench.faults` itself: the one for a server that freezes, the other for a network where
packets vanish. NUMBER is that of the case in `bench.faults_cases`.
"""

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from bench.faults_cases import CASES, ELSEWHERE, Case
from bench.faults_clients import BOUND, CLIENTS, Meeting, Name, Told, kill, meet
from bench.faults_peer import ASTRAY, ERROR, NOTHING, RESULT, SECRET
from bench.page import ROOT
from tests.faults.dialects import FLAGS, Dialect
from tests.faults.network import close_hole, in_own_network, why_no_network
from tests.faults.switchboard import Switchboard, switchboard

_A_WHILE, _A_MOMENT = 2.0, 0.5  # seconds
_SERVER = (sys.executable, "-m", "bench.faults_places")


class Cell(msgspec.Struct, frozen=True):
    """One client, one fault.

    `executed` is how often a call that met the fault was, at most; `told` and `after` are what came
    of those and of the next one. `grown` is in MiB. `strays` are the requests that brought the
    user's key to another origin. `why_not` says why nothing could be measured.
    """

    seconds: float = 0.0
    told: str = RESULT
    executed: int = 0
    after: str = RESULT
    grown: int = 0
    strays: int = 0
    why_not: str = ""

    @property
    def is_mute(self) -> bool:
        return self.told == NOTHING

    @property
    def is_wrong(self) -> bool:
        """Told as a failure, although the tool ran: whoever believes that does it twice."""
        return self.told == ERROR and self.executed > 0

    @property
    def is_astray(self) -> bool:
        """Told the result of another call: whoever believes that knows something false."""
        return self.told == ASTRAY

    @property
    def is_dead(self) -> bool:
        return self.after != RESULT


async def measure(case: Case, name: Name) -> Cell:
    """One client meets one fault, wherever that is made."""
    if case.dialect == "stdio":
        return await _by_process(case, name)
    match case.place:
        case "here":
            return await _here(case, case.dialect, name)
        case "process":
            return await _frozen(case, case.dialect, name)
        case "network":
            return await _in_a_network(case, name)


def cell(case: Case, told: Told, executed: Mapping[int, int], strays: int = 0) -> Cell:
    """What the user was told, beside what the server did."""
    if told.connect.told != RESULT:
        return Cell(told.connect.seconds, told.connect.told, strays=strays)
    seconds, first, _ = told.first
    ran = max(executed.get(n, 0) for n in case.first)
    grown = round(told.grown / 1024)
    return Cell(seconds, first, ran, told.later.told, grown, strays)


async def _here(case: Case, dialect: Dialect, name: Name) -> Cell:
    async with switchboard(dialect, *case.faults) as server:

        async def mend() -> None:
            if case.place == "network":
                await close_hole()
            if case.shows == "held":
                await _listed(server)

        meeting = Meeting(_transport(dialect), server.url, case.first, mend)
        told = await meet(name, meeting)
        return cell(case, told, server.ledger.executed, _strays(server))


async def _listed(server: Switchboard) -> None:
    """Let the client read the tools again, if it wants to, and see that they are others now."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_A_WHILE):
            await server.got("tools/list", 2)
            await asyncio.sleep(_A_MOMENT)


def _transport(dialect: Dialect) -> str:
    return FLAGS[dialect]


def _strays(server: Switchboard) -> int:
    """Requests to the server's other name, with a key in them that is not for it."""
    asked = (x.request for x in server.seen if x.request.target.startswith(ELSEWHERE))
    return sum(SECRET.encode() in request.raw for request in asked)


# --- a server that freezes ----------------------------------------------------------------------


async def _frozen(case: Case, dialect: Dialect, name: Name) -> Cell:
    """The server is a process that stops itself; it goes on when the client has been told."""
    process = await asyncio.create_subprocess_exec(
        *(*_SERVER, str(CASES.index(case))),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    async def thaw() -> None:
        process.send_signal(signal.SIGCONT)

    try:
        async with asyncio.timeout(6 * BOUND):
            url = (await process.stdout.readline()).decode().strip()
            told = await meet(name, Meeting(_transport(dialect), url, case.first, thaw))
            await thaw()
            process.stdin.close()
            executed = msgspec.json.decode(await process.stdout.readline(), type=dict[int, int])
            await process.wait()
    except BaseException:
        await kill(process)
        raise
    return cell(case, told, executed)


async def serve(case: Case) -> None:
    """A server on its own: says where it is; and at the end of its input, what it executed."""
    async with switchboard(cast("Dialect", case.dialect), *case.faults) as server:
        _say(server.url)
        await asyncio.to_thread(sys.stdin.read)
        _say(json.dumps(server.ledger.executed))


# --- a network where packets vanish -------------------------------------------------------------


async def _in_a_network(case: Case, name: Name) -> Cell:
    """Server and client in namespaces of their own, where the same is measured as here."""
    if why := why_no_network():
        return Cell(why_not=why)
    words = (*_SERVER, str(CASES.index(case)), name)
    process = await asyncio.create_subprocess_exec(
        *in_own_network(*words), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(6 * BOUND):
            out, _ = await process.communicate()
    except BaseException:
        await kill(process)
        raise
    return msgspec.json.decode(out, type=Cell)


# --- a process that dies ------------------------------------------------------------------------


async def _by_process(case: Case, name: Name) -> Cell:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        script = str(Path(__file__).with_name("faults_stdio.py"))
        target = json.dumps([sys.executable, script, str(ledger)])
        told = await meet(name, Meeting("stdio", target, case.first))
        lines = ledger.read_text("utf-8").split() if ledger.exists() else []
        return cell(case, told, Counter(map(int, lines)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def main(number: str, *names: str) -> None:
    case = CASES[int(number)]
    if not names:
        await serve(case)
    for name in CLIENTS:
        if name in names:
            _say(
                msgspec.json.encode(await _here(case, cast("Dialect", case.dialect), name)).decode()
            )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
