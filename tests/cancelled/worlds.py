"""Whole runs to be interrupted, and servers that keep a ledger of what they executed."""

import json
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline import assembly
from pipeline.core.codec import Entry
from pipeline.core.events import RunEnded
from pipeline.going_on import earlier_run
from pipeline.headers import new_header
from pipeline.plans import goal_of, make_plan
from pipeline.servers import connect, server_plan
from pipeline.shell.recordings import last_run
from tests.faults.dialects import DIALECTS, FLAGS
from tests.faults.switchboard import Switchboard, switchboard
from tests.support.in_process import QUICK, Lines, servers_of, settings_of

KINDS = (*DIALECTS, "stdio")
PROMPT = "act n=1 ; look n=2"
_STDIO = Path(__file__).with_name("stdio_server.py")


class World(NamedTuple):
    """A server: the words that lead to it, and what it executed, by the number of the call."""

    words: tuple[str, ...]
    ledger: Path | Switchboard

    @property
    def executed(self) -> Counter[int]:
        if isinstance(self.ledger, Switchboard):
            return self.ledger.ledger.executed
        text = self.ledger.read_text() if self.ledger.exists() else ""
        return Counter(map(int, text.split()))

    def forget(self) -> None:
        """Begin the ledger anew."""
        if isinstance(self.ledger, Switchboard):
            self.ledger.ledger.executed.clear()
        else:
            self.ledger.unlink(missing_ok=True)

    async def is_alone(self) -> None:
        """Wait until nobody is connected; a process ended with its client."""
        if isinstance(self.ledger, Switchboard):
            await self.ledger.is_alone()


@asynccontextmanager
async def world(kind: str, folder: Path) -> AsyncGenerator[World]:
    """A server of a dialect, or one that is a process, which each run starts for itself."""
    if kind == "stdio":
        ledger = folder / "ledger"
        words = ["-S", str(_STDIO), str(ledger)]
        config = {"mcpServers": {"it": {"command": sys.executable, "args": words}}}
        yield World(("--mcp-config", json.dumps(config)), ledger)
        return
    dialect: Any = kind
    async with switchboard(dialect) as server:
        yield World(("--server", server.url, "--dialect", FLAGS[dialect]), server)


async def chat(world: World, path: Path) -> RunEnded:
    """A run with one prompt and a recording, as `main` puts it together."""
    settings = settings_of(*world.words, "--sink", f"jsonl={path}", env=QUICK)
    return await _run(settings, PROMPT, earlier=None)


async def resume(world: World, path: Path, *words: str) -> RunEnded:
    """The recorded run goes on to its end; nobody says anything more."""
    settings = settings_of("resume", str(path), *world.words, *words, env=QUICK)
    return await _run(settings, earlier=earlier_run(settings, new_header(settings)))


async def _run(settings: Any, *prompts: str, earlier: Any) -> RunEnded:
    entries = servers_of(settings)
    plan = make_plan(
        settings,
        [server_plan(entry, settings) for entry in entries],
        goal=goal_of(settings, None if earlier is None else earlier.plan.goal),
        is_interactive=False,
        may_ask=True,
    )
    targets = [connect(entry, settings) for entry in entries]
    client = assembly.Run(settings, plan, targets, prompts=Lines(prompts), earlier=earlier)
    inputs = assembly.first_inputs(settings, plan, before=None if earlier is None else earlier.plan)
    return await client.run(*inputs)


def entries_of(path: Path) -> list[Entry]:
    """The last run of a recording; its last line, too, is whole."""
    if not path.exists():
        return []
    assert path.read_bytes().endswith(b"\n")
    return list(last_run(path).entries())
