"""How fast messages come to a webhook, and a real outage: `python -m bench.webhook [--outage 60]`.

First what an outbox costs beside a queue in memory: messages all at once, and one by one. Then a
receiver that is down for so many seconds while messages are made; afterwards each of them must have
come, once, in order.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from typing import Any

from config.options import WebhookOptions
from sinks.webhook import WebhookSink
from tests.support.receiver import Answer, Receiver
from tests.support.webhooks import answer, entries

_AT_ONCE, _ONE_BY_ONE = 900, 300
_KINDS: dict[str, dict[str, Any]] = {
    "memory": {"outbox": "memory"},
    "disk": {},
    "disk, --fsync always": {"fsync": "always"},
}


async def speed(kind: str) -> tuple[float, float, float]:
    """Messages a second, and milliseconds and those of CPU for one alone."""
    with tempfile.TemporaryDirectory() as home:
        async with Receiver() as receiver:
            options = WebhookOptions(state_home=home, **_KINDS[kind])
            sink = WebhookSink(receiver.url, options, session="bench", on_problem=print)
            await sink.open()
            text, began = answer("x" * 300), time.perf_counter()
            await sink.emit(entries(*[text] * _AT_ONCE))
            await receiver.received(_AT_ONCE, 60)
            rate = _AT_ONCE / (time.perf_counter() - began)
            took: list[float] = []
            cpu = time.process_time()
            for seq in range(_AT_ONCE + 1, _AT_ONCE + _ONE_BY_ONE + 1):
                began = time.perf_counter()
                await sink.emit(entries(text, start=seq))
                await receiver.received(seq, 60)
                took.append(time.perf_counter() - began)
            cpu = (time.process_time() - cpu) / _ONE_BY_ONE
            await sink.close()
    return rate, statistics.median(took) * 1000, cpu * 1000


async def outage(seconds: float) -> int:
    """A receiver that is down for so long; 1 if a message is missing, doubled or late."""
    began = time.monotonic()

    class Down(Receiver):
        def answer(self, posted: object) -> Answer:  # noqa: ARG002  the receiver's
            return Answer(503 if time.monotonic() - began < seconds else 200)

    with tempfile.TemporaryDirectory() as home:
        async with Down() as receiver:
            options = WebhookOptions(state_home=home, max_delay=5)
            sink = WebhookSink(receiver.url, options, session="bench", on_problem=print)
            await sink.open()
            made = 0
            while time.monotonic() - began < seconds:
                made += 1
                await sink.emit(entries(answer("x"), start=made))
                await asyncio.sleep(0.05)
            while len(receiver.accepted) < made:
                await receiver.received(len(receiver.posted) + 1, 60)
            await sink.close()
    ids = [posted.id for posted in receiver.accepted]
    is_right = ids == [f"msg_bench_{seq}" for seq in range(1, made + 1)]
    print(
        f"down for {seconds:g} s: {made} messages made, {len(ids)} delivered, "
        f"{len(receiver.posted) - len(ids)} attempts refused; "
        f"{'each once, in order' if is_right else 'NOT each once, in order'}"
    )
    return 0 if is_right else 1


async def main(seconds: float) -> int:
    """The exit status."""
    for kind in _KINDS:
        runs = [await speed(kind) for _ in range(3)]
        rate, took, cpu = (statistics.median(each) for each in zip(*runs, strict=True))
        print(f"{kind}: {rate:,.0f}/s at once; one by one {took:.2f} ms, {cpu:.2f} ms of CPU")
    return await outage(seconds) if seconds else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="how fast a webhook is, and an outage of one")
    parser.add_argument("--outage", type=float, default=0.0, help="seconds that it is down")
    raise SystemExit(asyncio.run(main(parser.parse_args().outage)))
