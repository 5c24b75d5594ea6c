"""Scenarios side by side, as many as there are processors, in the order in which they are given.

    python -m tests.conformance.side_by_side CELL …      a line of JSON for each that has ended

They are started by a process of their own: who waits for one of them has nothing to do with what
the others start and end meanwhile.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from tests.conformance.suite import Cell, Outcome, run

_ROOT = Path(__file__).parents[2]
_MOST = 4  # scenarios have deadlines, too


class Outcomes:
    """What became of the scenarios that a process is running."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._found: dict[str, Outcome] = {}

    def of(self, cell: Cell) -> Outcome:
        """Wait for the end of one of them; each has its own deadline, so there is one here."""
        assert self._process.stdout is not None, "it was started with a pipe"
        while str(cell) not in self._found:
            line = self._process.stdout.readline()
            assert line, f"the runner ended without a word about {cell}"
            name, told = json.loads(line)
            self._found[name] = Outcome(**told)
        return self._found[str(cell)]


@contextmanager
def side_by_side(cells: Sequence[Cell], folder: Path) -> Generator[Outcomes]:
    """Start them all; at the end of the block none of them runs any more.

    Their temporary files are in `folder`.
    """
    words = ("-m", "tests.conformance.side_by_side", *map(str, cells))
    with subprocess.Popen(
        (sys.executable, *words),
        cwd=_ROOT, env={**os.environ, "TMPDIR": str(folder)}, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield Outcomes(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def main(words: Sequence[str]) -> None:
    """Run these cells."""
    cells = [Cell(*word.partition("@")[::2]) for word in words]
    at_once = min(_MOST, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(at_once) as threads:
        running = {threads.submit(run, cell): cell for cell in cells}
        for ended in as_completed(running):
            told = (str(running[ended]), asdict(ended.result()))
            print(json.dumps(told), flush=True)  # noqa: T201  a command


if __name__ == "__main__":
    main(sys.argv[1:])
