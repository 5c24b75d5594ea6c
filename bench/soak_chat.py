"""One chat of the soak: a whole run of the client, and four servers that fail, one of each kind."""

import asyncio
import itertools
import json
import random
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from bench.soak_checks import Wish, check_chat, check_turn
from bench.soak_peer import FAULTS, HINDRANCES
from bench.soak_server import FaultyServer, serving
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import (
    AnswerCompleted,
    Problem,
    SessionReady,
    StreamLost,
    ToolEnded,
    ToolRepeated,
    ToolStarted,
)
from tests.support.in_process import Lines, playing

ROOT = Path(__file__).parents[1]
TURNS = 25
HTTP = tuple(dialect for dialect in FAULTS if dialect != "stdio")
_MOST_CALLS = 5  # of one turn
_IS_FAULTY, _IS_HINDERED = 0.4, 0.25
_LATE = 0.9  # seconds, more than a call may take
_DEADLINE = 30.0  # seconds for a turn: whatever fails, nothing takes so long
_ENV = {
    "RXMCP_RETRY_FIRST_DELAY": "0.01",
    "RXMCP_RETRY_MAX_DELAY": "0.05",
    "RXMCP_RETRY_ATTEMPTS": "10000",
    "RXMCP_RETRY_FIRST_ATTEMPTS": "10000",
    "RXMCP_CALL_TIMEOUT": "0.6",
    "RXMCP_CALL_TIMEOUT_MAX": "3",
    "RXMCP_CONNECT_TIMEOUT": "2",
}


class WrongError(Exception):
    """Something that must hold does not; the text says what."""


@dataclass
class Totals:
    """What the summary tells; `faults` by server and kind, `seen` by event."""

    turns: int = 0
    calls: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    seen: Counter[str] = field(default_factory=Counter[str])


class Turn(NamedTuple):
    """What a person asks for, and what goes wrong beside it.

    `hindrance` is a dialect and what befalls the next message there that is no call.
    """

    wishes: Sequence[Wish]
    hindrance: tuple[str, str] | None = None


def draw(seed: str, count: int = TURNS) -> Iterator[Turn]:
    """So many turns; each call of them has a number of its own."""
    chance = random.Random(seed)
    numbers = itertools.count(1)
    for _ in range(count):
        wishes = [_wish(chance, next(numbers)) for _ in range(chance.randint(1, _MOST_CALLS))]
        hindrance = None
        if chance.random() < _IS_HINDERED:
            hindrance = chance.choice(HTTP), chance.choice(HINDRANCES)
        yield Turn(wishes, hindrance)


def _wish(chance: random.Random, n: int) -> Wish:
    server = chance.choice(tuple(FAULTS))
    fault = chance.choice(FAULTS[server]) if chance.random() < _IS_FAULTY else ""
    return Wish(server, chance.choice(("act", "look")), n, fault)


class TurnSink:
    """Puts the items of each turn, up to its answer, into `turns`, and the others behind it."""

    name = "turns"

    def __init__(self) -> None:
        self.turns: asyncio.Queue[list[Item]] = asyncio.Queue()
        self._items: list[Item] = []

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        return True

    async def open(self) -> None: ...

    async def emit(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._items.append(entry.item)
            if isinstance(entry.item, AnswerCompleted):
                self.turns.put_nowait(self._items)
                self._items = []

    async def close(self) -> None: ...


class Chat:
    """One run of these turns; `folder` is empty, and what was seen is added to `totals`."""

    def __init__(self, turns: Iterable[Turn], folder: Path, totals: Totals) -> None:
        self._turns = turns
        self._ledger = folder / "ledger"
        self._totals = totals
        self._servers: dict[str, FaultyServer] = {}

    async def run(self) -> None:
        """Chat, and check after each turn, and at the end.

        Raises:
            WrongError: If something is not as it must be.
        """
        self._ledger.touch()
        async with AsyncExitStack() as stack:
            for dialect in HTTP:
                serve = serving(dialect, late=_LATE)
                self._servers[dialect] = await stack.enter_async_context(serve)
            lines, sink = Lines(is_open=True), TurnSink()
            words = ("--mcp-config", self._config(), "--model", "direct")
            async with playing(*words, lines=lines, env=_ENV, sinks=[sink]) as run:
                for turn in self._turns:
                    await self._play(turn, lines, sink)
                lines.end()
                played = await run.ended()
            self._judge(check_chat(played.items, self._executed(), self._asked()))
            for server in self._servers.values():
                self._judge(server.crashes)
                if not await server.quiet(_DEADLINE):
                    raise WrongError(f"{server.dialect}: a connection is left")

    async def _play(self, turn: Turn, lines: Lines, sink: TurnSink) -> None:
        if turn.hindrance is not None:
            dialect, kind = turn.hindrance
            self._servers[dialect].hindrances.append(kind)
            self._totals.faults[f"{dialect} handshake {kind}"] += 1
        wishes = turn.wishes
        self._totals.faults.update(f"{w.server} {w.fault}" for w in wishes if w.fault)
        lines.say(" ; ".join(wish.words for wish in wishes))
        try:
            async with asyncio.timeout(_DEADLINE):
                items = await sink.turns.get()
        except TimeoutError:
            raise WrongError(f"no answer within {_DEADLINE:g} s to {wishes}") from None
        self._judge(check_turn(items, wishes, self._executed()), wishes)
        self._count(items)

    def _judge(self, wrong: Sequence[str], wishes: Sequence[Wish] = ()) -> None:
        if wrong:
            asked = f"\n  in the turn {' ; '.join(wish.words for wish in wishes)}" if wishes else ""
            raise WrongError("\n  ".join(wrong) + asked)

    def _count(self, items: Sequence[Item]) -> None:
        totals = self._totals
        totals.turns += 1
        for item in items:
            match item:
                case ToolEnded(is_error=True):
                    totals.calls["error"] += 1
                case ToolEnded(outcome=outcome):
                    totals.calls[outcome] += 1
                case ToolRepeated() | ToolStarted() | StreamLost() | SessionReady() | Problem():
                    totals.seen[type(item).__name__] += 1
                case _:
                    pass

    def _config(self) -> str:
        servers: dict[str, object] = {
            name: {"type": "sse" if name == "sse" else "http", "url": server.url}
            for name, server in self._servers.items()
        }
        args = ["-m", "bench.soak_child", str(self._ledger), str(_LATE)]
        servers["stdio"] = {"command": sys.executable, "args": args, "cwd": str(ROOT)}
        return json.dumps({"mcpServers": servers})

    def _noted(self, what: str) -> Counter[str]:
        lines = (line.split() for line in self._ledger.read_text("ascii").splitlines())
        return Counter(name for kind, name in lines if kind == what)

    def _executed(self) -> Counter[int]:
        found = Counter({int(n): count for n, count in self._noted("call").items()})
        for server in self._servers.values():
            found.update(server.executed)
        return found

    def _asked(self) -> Counter[str]:
        found = self._noted("id")
        for server in self._servers.values():
            found.update(server.asked)
        return found
