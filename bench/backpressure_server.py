"""The server of `bench.backpressure`, a process: `python -m bench.backpressure_server EVENTS`.

It speaks MCP 2024-11-05 and answers the first call with so many events before the result. Its first
line of output is its URL; then comes a line of JSON ten times a second, and one at the end:

    {"at": 12.3, "sent": 4100, "bytes": 800000, "waits": 7, "waited": 3.1}

`at` is the machine's monotonic clock, `sent` and `bytes` what the socket has taken, `waits` how
often it took no more, and `waited` how long, in seconds. It ends when its input ends.
"""

import asyncio
import json
import sys
import time

from tests.faults.dialects import CALL
from tests.faults.exchange import On
from tests.faults.flood import Flood
from tests.faults.good import accept, answer, run
from tests.faults.switchboard import switchboard

_TICK = 0.1  # seconds


def _report(flood: Flood) -> None:
    counts = {"sent": flood.sent, "bytes": flood.size, "waits": len(flood.waits)}
    line = {"at": time.monotonic(), **counts, "waited": flood.waited}
    print(json.dumps(line), flush=True)


async def main(events: int, filler: str) -> None:
    flood = Flood(events, filler=filler)
    async with switchboard("sse", On(CALL, run, accept, flood, answer)) as server:
        print(server.url, flush=True)
        over = asyncio.create_task(asyncio.to_thread(sys.stdin.buffer.read))
        while not over.done():
            await asyncio.wait([over], timeout=_TICK)
            _report(flood)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
