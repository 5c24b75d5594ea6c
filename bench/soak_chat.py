"""One chat of the soak: a whole run of the client, and five servers that fail, one of each kind."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak_checks import ChatChecks, check_calls, check_turn, is_end_at, is_result
from bench.soak_draw import HTTP, Turn
from bench.soak_faults import FAULTS, LATE, STDIO, Picker
from bench.soak_files import OpenFile, open_files
from bench.soak_watch import Point, check_files, check_memory, growth, held, settled
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import (
    AnswerCompleted,
    SessionReady,
    StreamLost,
    ToolEnded,
    ToolRepeated,
)
from tests.faults.dialects import Dialect
from tests.faults.switchboard import Switchboard, switchboard
from tests.support.in_process import Lines, playing

ROOT = Path(__file__).parents[1]
MOST_GROWTH = 12_288.0  # bytes for each turn of a chat: the conversation, which it has to keep
_DEADLINE = 30.0  # seconds for a turn: whatever fails, nothing takes so long
_TOLD = 240  # characters of each event of a turn that went wrong
_ENV = {
    "RXMCP_RETRY_FIRST_DELAY": "0.01",
    "RXMCP_RETRY_MAX_DELAY": "0.05",
    "RXMCP_RETRY_ATTEMPTS": "10000",
    "RXMCP_RETRY_FIRST_ATTEMPTS": "10000",
    "RXMCP_CALL_TIMEOUT": "1",
    "RXMCP_CALL_TIMEOUT_MAX": "3",
    "RXMCP_CONNECT_TIMEOUT": "2",
}
_TYPES: Mapping[str, Mapping[str, str]] = {
    "seed": {},  # which has no name in a configuration: it is found out
    "sse": {"type": "sse"},
    "http": {"type": "http"},
    "modern": {"type": "http"},
}


class WrongError(Exception):
    """Something that must hold does not; the text says what."""


@dataclass
class Totals:
    """What the summary tells; `faults` by server and kind, `seen` by event, `growths` by chat."""

    turns: int = 0
    calls: Counter[str] = field(default_factory=Counter[str])
    faults: Counter[str] = field(default_factory=Counter[str])
    seen: Counter[str] = field(default_factory=Counter[str])
    growths: list[float] = field(default_factory=list[float])


class TurnSink:
    """Puts the items of each turn, up to its answer, into `turns`; `rest` are those behind it."""

    name = "turns"

    def __init__(self) -> None:
        self.turns: asyncio.Queue[list[Item]] = asyncio.Queue()
        self.rest: list[Item] = []

    def wants(self, item: Item) -> bool:  # noqa: ARG002  the protocol's
        return True

    async def open(self) -> None: ...

    async def emit(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self.rest.append(entry.item)
            if isinstance(entry.item, AnswerCompleted):
                self.turns.put_nowait(self.rest)
                self.rest = []

    async def close(self) -> None: ...


class Chat:
    """One run of these turns; `folder` is empty, and what was seen is added to `totals`."""

    def __init__(self, turns: Iterable[Turn], folder: Path, totals: Totals) -> None:
        self._turns = turns
        self._ledger = folder / "ledger"
        self._totals = totals
        self._pickers: dict[Dialect, Picker] = {dialect: Picker(dialect) for dialect in HTTP}
        self._servers: dict[Dialect, Switchboard] = {}
        self._checks = ChatChecks()
        self._asked: Counter[str] = Counter()
        self._troubled: set[str] = set()
        self._has_backlog = False
        self._before: Sequence[OpenFile] = ()
        self._sizes: list[Point] = []

    async def run(self) -> None:
        """Chat, and check after each turn, and at the end.

        Raises:
            WrongError: If something is not as it must be.
        """
        self._ledger.touch()
        async with self._serving(), AsyncExitStack() as stack:
            self._before = open_files()
            lines, sink = Lines(is_open=True), TurnSink()
            words = ("--mcp-config", self._config(), "--model", "direct")
            client = playing(*words, lines=lines, env=_ENV, sinks=[sink], kept=0)
            run = await stack.enter_async_context(client)
            for turn in self._turns:
                await self._play(turn, lines, sink)
            self._totals.growths.append(growth(self._sizes, enough=1) or 0.0)
            self._judge(check_memory(self._sizes, MOST_GROWTH))
            lines.end()
            await run.ended()
            self._checks.take(sink.rest)
            self._judge(check_calls(sink.rest, self._executed()))
            self._fold()
            self._judge(self._checks.wrong(self._asked + self._noted("id")))
            for server in self._servers.values():
                self._judge([f"{server.dialect}: {crash!r}" for crash in server.crashes])
                try:
                    await server.is_alone()
                except TimeoutError:
                    raise WrongError(f"{server.dialect}: a connection is left") from None

    @asynccontextmanager
    async def _serving(self) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            for dialect, pick in self._pickers.items():
                server = switchboard(dialect, pick=pick)
                self._servers[dialect] = await stack.enter_async_context(server)
            yield

    async def _play(self, turn: Turn, lines: Lines, sink: TurnSink) -> None:
        if turn.hindrance is not None:
            dialect, kind = turn.hindrance
            self._pickers[dialect].hindrances.append(kind)
            self._totals.faults[f"{dialect} handshake {kind}"] += 1
        wishes = turn.wishes
        self._totals.faults.update(f"{w.server} {w.fault}" for w in wishes if w.fault)
        lines.say(turn.words)
        try:
            async with asyncio.timeout(_DEADLINE):
                items = await sink.turns.get()
        except TimeoutError:
            self._judge([f"no answer within {_DEADLINE:g} s"], turn, sink.rest)
            raise
        self._judge(check_turn(items, wishes, self._executed(), self._calm(turn)), turn, items)
        self._note_backlog(turn, items)
        self._checks.take(items)
        self._count(items)
        self._judge(await settled(self._look), turn)
        self._fold()
        self._sizes.append((len(self._sizes), held()))

    def _calm(self, turn: Turn) -> list[str]:
        """The servers with which nothing goes wrong, and nothing went wrong in the turn before."""
        now = {wish.server for wish in turn.wishes if wish.fault}
        now |= {dialect for dialect, pick in self._pickers.items() if pick.is_hindering}
        troubled, self._troubled = now | self._troubled, now
        if self._has_backlog:
            troubled.add(STDIO)
        return [server for server in FAULTS if server not in troubled]

    def _note_backlog(self, turn: Turn, items: Sequence[Item]) -> None:
        """The process takes one call after the other: what was given up strikes turns later.

        A call that has its result shows that all before it are done with.
        """
        if any(wish.fault for wish in turn.wishes if wish.server == STDIO):
            self._has_backlog = True
        elif last := [each for each in items if is_end_at(each, STDIO)][-1:]:
            self._has_backlog = self._has_backlog and not is_result(last[0])

    def _look(self) -> list[str]:
        """What is left of the turn that is over."""
        servers = self._servers.values()
        wrong = [
            f"{server.dialect}: {len(server.streams)} streams are open, expected one"
            for server in servers
            if len(server.streams) > 1
        ]
        return wrong + check_files(open_files(), self._before, [each.port for each in servers])

    def _fold(self) -> None:
        """Keep of what the servers were asked no more than is judged: it is memory, too."""
        for server in self._servers.values():
            self._asked += server.asked
            server.seen.clear()

    def _judge(
        self, wrong: Sequence[str], turn: Turn | None = None, items: Sequence[Item] = ()
    ) -> None:
        if wrong:
            asked = [] if turn is None else [f"in the turn {turn.words}"]
            events = [f"  {item!r:.{_TOLD}}" for item in items]
            raise WrongError("\n  ".join([*wrong, *asked, *events]))

    def _count(self, items: Sequence[Item]) -> None:
        totals = self._totals
        totals.turns += 1
        for item in items:
            match item:
                case ToolEnded(is_error=True):
                    totals.calls["error"] += 1
                case ToolEnded(outcome=outcome):
                    totals.calls[outcome] += 1
                case ToolRepeated() | StreamLost() | SessionReady():
                    totals.seen[type(item).__name__] += 1
                case _:
                    pass

    def _config(self) -> str:
        servers: dict[str, object] = {
            name: {**_TYPES[name], "url": server.url} for name, server in self._servers.items()
        }
        args = ["-m", "bench.soak_child", str(self._ledger), str(LATE)]
        servers[STDIO] = {"command": sys.executable, "args": args, "cwd": str(ROOT)}
        return json.dumps({"mcpServers": servers})

    def _noted(self, what: str) -> Counter[str]:
        lines = (line.split() for line in self._ledger.read_text("ascii").splitlines())
        return Counter(name for kind, name in lines if kind == what)

    def _executed(self) -> Counter[int]:
        found = Counter({int(n): count for n, count in self._noted("call").items()})
        for server in self._servers.values():
            found.update(server.ledger.executed)
        return found
