"""A server that sends as fast as it is let, and a sink that takes nothing for a while.

`python -m bench.backpressure` is the same with a million events, processes, and a slow disk.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from config.options import MailboxOptions
from pipeline.core.codec import Entry
from pipeline.core.events import ServerLogged, StreamLost, ToolEnded
from pipeline.mailbox import Mailbox
from tests.faults.dialects import CALL, FLAGS, JSON_RPC, Dialect
from tests.faults.exchange import On
from tests.faults.flood import Flood, text_of_event
from tests.faults.good import accept, answer, end, run
from tests.faults.switchboard import DEADLINE, switchboard
from tests.support.in_process import Lines, Played, playing
from tests.support.runtimes import GatedSink

KIB, MIB = 1024, 1024 * 1024
HIGH = 64
_FEW = {"RXMCP_MAILBOX_HIGH": str(HIGH), "RXMCP_MAILBOX_LOW": "16"}
_LATER = ("--call-timeout", "60")
_MOST_READ = 512 * KIB  # bytes that may be read at once, before anybody asks whether there is room


class HeldSink(GatedSink):
    """Says when it is held up, its first batch in its hands."""

    def __init__(self) -> None:
        super().__init__()
        self.is_held = asyncio.Event()

    async def emit(self, entries: Sequence[Entry]) -> None:
        self.is_held.set()
        await super().emit(entries)


class Watched:
    """The mailboxes of a run: its inbox, that of a quick sink, that of `slow`, and others.

    `full` is set when neither `slow` nor the core takes anything any more.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow = HeldSink()
        self.full = asyncio.Event()
        self._made: list[Mailbox[Any]] = []
        make, put = vars(Mailbox)["__init__"], vars(Mailbox)["put"]

        def noting(mailbox: Mailbox[Any], *given: Any, **named: Any) -> None:
            make(mailbox, *given, **named)
            if "weigh" in named:
                self._made.append(mailbox)

        def telling(mailbox: Mailbox[Any], item: Any) -> None:
            put(mailbox, item)
            inbox, _, slow = self._made[:3]
            if self.slow.is_held.is_set() and slow.is_choked and inbox.is_choked:
                self.full.set()

        monkeypatch.setattr(Mailbox, "__init__", noting)
        monkeypatch.setattr(Mailbox, "put", telling)

    @property
    def most_items(self) -> int:
        return max(mailbox.peak for mailbox in self._made)

    @property
    def most_bytes(self) -> int:
        return max(mailbox.heaviest for mailbox in self._made)


async def flooded(
    dialect: Dialect, flood: Flood, watched: Watched, *, env: Mapping[str, str]
) -> tuple[Played, int]:
    """A chat with one call; the slow sink begins when the server feels that it is slow.

    How many events the server had sent by then, beside the run.
    """
    lines, slow = Lines(["act n=1"]), watched.slow
    async with switchboard(dialect, On(CALL, run, accept, flood, answer, end)) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect], *_LATER)
        async with playing(*argv, lines=lines, env=env, sinks=[slow]) as client:
            async with asyncio.timeout(DEADLINE):
                await watched.full.wait()
                await flood.choked.wait()
            sent = flood.sent
            slow.gate.set()
            played = await client.ended()
    assert slow.items == played.items, "the slow sink got what the quick one got"
    return played, sent


def assert_whole(played: Played, flood: Flood, filler: str) -> None:
    """Nothing was lost or doubled, and all came in order, the result last."""
    said = [each.text for each in played.only(ServerLogged)]
    assert said == [text_of_event(n) + filler for n in range(1, flood.count + 1)]
    last = max(n for n, item in enumerate(played.items) if isinstance(item, ServerLogged))
    assert last < played.items.index(played.one(ToolEnded))
    assert played.one(ToolEnded).outcome == "answered"
    assert played.only(StreamLost) == []


@pytest.mark.parametrize("dialect", JSON_RPC)
async def test_a_slow_sink_is_felt_by_the_server_and_costs_nothing_but_time(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sink → mailbox → core → inbox → socket → TCP → the server's write, and nothing is lost."""
    filler, watched = "x" * 8 * KIB, Watched(monkeypatch)
    flood = Flood(3_000, filler=filler, buffer=64 * KIB)
    played, sent = await flooded(dialect, flood, watched, env=_FEW)
    assert sent < flood.count
    assert flood.waits, "its socket took no more"
    assert_whole(played, flood, filler)
    assert watched.most_items <= HIGH + _MOST_READ // len(filler)


@pytest.mark.parametrize("dialect", JSON_RPC)
async def test_large_events_are_bounded_by_their_bytes_however_few_they_are(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler, watched = "x" * MIB, Watched(monkeypatch)
    flood = Flood(64, filler=filler, buffer=64 * KIB)
    played, sent = await flooded(dialect, flood, watched, env={})
    assert sent < flood.count
    assert_whole(played, flood, filler)
    # Each event is two items, and is let in as long as there is a byte of room.
    assert watched.most_bytes <= MailboxOptions().max_bytes + 2 * (MIB + _MOST_READ)
