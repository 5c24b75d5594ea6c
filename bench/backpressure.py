"""A server that sends a million events, a sink that takes 1 s for each batch: memory stays flat.

    pip install -c constraints.txt -e '.[bench]'     # what draws; strace is your system's
    python -m bench.backpressure     # some five minutes; writes the picture and its numbers
    python -m bench.backpressure --events 100000 --high 512 --no-docs

The server is a process that sends as fast as its socket takes. The client is `main.py` as it is,
with a recording on a disk that `strace` makes slow: each write takes a second. All events have to
come through, each once and in order, and behind them the result of the call that led to them.

A batch is what the sink's mailbox holds, and each event makes two lines: as it came, and what it
means. With the 512 items that a mailbox has as it comes, a million events take more than an hour;
here it holds 8,192 (`RXMCP_MAILBOX_HIGH`), which changes how long it takes, and how much is held,
but not that it is bounded.
"""

import argparse
import asyncio
import importlib.util
import sys
import tempfile
from pathlib import Path

from bench.backpressure_run import Measured, NotMeasuredError, measure
from bench.page import ROOT, write_block

PICTURE = ROOT / "docs" / "images" / "backpressure.png"
MIB = 2**20


def rows(measured: Measured) -> dict[str, str]:
    """What the table says, and its numbers."""
    last, samples, batches = measured.sent[-1], measured.samples, measured.batches
    early = measured.at_share(0.01)
    growth = max(s.client for s in samples if s.at >= early.at) - early.client
    ahead = max(count for _, count in measured.ahead())
    shares = [measured.at_share(share).client for share in (0.01, 0.1, 0.5, 1.0)]
    return {
        "events sent by the server, recorded once each and in order": f"{measured.events:,}",
        "their bytes on the wire": _mib(last.bytes),
        "seconds, from the first event to the last": f"{samples[-1].at:.0f}",
        "batches, each taking 1 s": f"{len(batches):,}",
        "lines in a batch, the median": f"{measured.lines_of_a_batch():,.0f}",
        "bytes in a batch, at most": _mib(max(batches)),
        "times that the server's socket took no more": f"{last.waits:,}",
        "seconds that the server could not send": f"{last.waited:.0f} of {_sending(measured):.0f}",
        "taken by its socket, and not yet through the sink, at most": (
            f"{ahead:,} events, {_mib(ahead * last.bytes / last.sent)}"
        ),
        "memory of the client at 1 %, 10 %, 50 %, 100 % of the events": (
            ", ".join(map(_mib, shares))
        ),
        "its growth after 1 %, at most": _mib(growth),
    }


def _sending(measured: Measured) -> float:
    """Seconds until the server had sent all."""
    return next(s.at for s in measured.sent if s.sent == measured.events)


def _mib(size: float) -> str:
    return f"{size / MIB:.1f} MiB"


def table(measured: Measured) -> str:
    """The rows in Markdown."""
    return "\n".join(
        ["| | |", "| --- | --- |", *(f"| {what} | {n} |" for what, n in rows(measured).items())]
    )


def require_matplotlib() -> None:
    """Find out that nothing can be drawn before minutes are spent on what is to be.

    Raises:
        NotMeasuredError: If it is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise NotMeasuredError(
            "found no matplotlib, which draws the picture: pip install -c constraints.txt -e "
            "'.[bench]', or give --no-docs for the numbers alone"
        )


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(description="a flood of events, and a sink that is slow")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--high", type=int, default=8192, help="items in the sink's mailbox [8192]")
    parser.add_argument("--no-docs", action="store_true", help="print only")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="backpressure-") as folder:
        try:
            if not given.no_docs:
                require_matplotlib()
            measured = asyncio.run(measure(given.events, given.high, Path(folder)))
        except NotMeasuredError as exc:
            print(exc, file=sys.stderr)
            return 1
    text = table(measured)
    print(text)
    if not given.no_docs:
        from bench.backpressure_plot import draw  # noqa: PLC0415  it needs `pip install .[bench]`

        draw(measured, PICTURE)
        write_block("bench.backpressure", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
