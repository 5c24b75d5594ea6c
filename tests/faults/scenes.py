"""What happens in a network of its own: `python -m tests.faults.scenes NAME DIALECT…`, as its root.

Each scene is a test whose steps are protocol events; `tests/faults/test_network.py` says what it
shows.
"""

import asyncio
import socket
import sys
import tempfile
from pathlib import Path
from typing import cast

from pipeline.core.events import StreamLost, ToolEnded, ToolsChanged
from tests.faults.dialects import CALL, FLAGS, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, answer, end, run
from tests.faults.ledger import judge_run
from tests.faults.network import close_half, close_hole, look_up_by, open_half, open_hole
from tests.faults.switchboard import switchboard
from tests.support.in_process import QUICK, Lines, play, playing

NO_CONNECTION = 4
_QUICK = {**QUICK, "RXMCP_RETRY_ATTEMPTS": "1000", "RXMCP_RETRY_FIRST_ATTEMPTS": "1"}
_SHORT = ("--silence", "0.5", "--call-timeout", "1", "--connect-timeout", "0.5")


async def _vanish(_: Exchange) -> None:
    await open_hole()


async def _return(_: Exchange) -> None:
    await close_hole()


async def black_hole(dialect: Dialect) -> None:
    """The packets of an answer vanish, and all that follow, until the user has been told."""
    lines = Lines(["act n=1"], is_open=True)
    async with switchboard(dialect, On(CALL, run, accept, _vanish, answer, end)) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect], *_SHORT)
        async with playing(*argv, lines=lines, env=_QUICK) as client:
            await client.saw(ToolEnded, outcome="unknown")
            await close_hole()
            lines.say("act n=2")
            await client.saw(ToolEnded, outcome="answered")
            lines.end()
            played = await client.ended()
    assert [each.outcome for each in played.only(ToolEnded)] == ["unknown", "answered"]
    assert judge_run(server.ledger, played.items).is_clean
    assert played.ended.code == 0, played.ended


async def mute_way_back(dialect: Dialect) -> None:
    """What the server says vanishes, and what it is told arrives."""

    async def vanish(x: Exchange) -> None:
        await open_half("sport", x.server.port)

    lines = Lines(["act n=1"], is_open=True)
    async with switchboard(dialect, On(CALL, run, accept, vanish, answer, end)) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect], *_SHORT)
        async with playing(*argv, lines=lines, env=_QUICK) as client:
            await client.saw(ToolEnded, outcome="unknown")
            await close_half()
            lines.say("act n=2")
            await client.saw(ToolEnded, outcome="answered")
            lines.end()
            played = await client.ended()
    assert judge_run(server.ledger, played.items).is_clean
    assert played.ended.code == 0, played.ended


async def mute_way_there(dialect: Dialect) -> None:
    """What the server is told vanishes; TCP may bring it when the call was long given up."""
    lines = Lines(is_open=True)
    async with switchboard(dialect) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect], *_SHORT)
        async with playing(*argv, lines=lines, env=_QUICK) as client:
            await client.saw(ToolsChanged)
            await open_half("dport", server.port)
            lines.say("act n=1")
            await client.saw(ToolEnded)
            await close_half()
            lines.say("act n=2")
            await client.saw(ToolEnded, outcome="answered")
            lines.end()
            played = await client.ended()
        await server.is_alone()
    assert judge_run(server.ledger, played.items).is_clean
    assert played.only(ToolEnded)[0].outcome in ("unknown", "not_sent")
    assert played.ended.code == 0, played.ended


async def short_hole(dialect: Dialect) -> None:
    """Packets vanish for a moment that is shorter than any patience: TCP makes up for it."""
    fault = On(CALL, run, accept, _vanish, answer, end, _return)
    async with switchboard(dialect, fault) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect], "--silence", "10")
        played = await play(*argv, prompts=["act n=1", "act n=2"], env=_QUICK)
    assert [each.outcome for each in played.only(ToolEnded)] == ["answered", "answered"]
    assert played.only(StreamLost) == []
    assert server.ledger.executed == {1: 1, 2: 1}


async def nobody_there(dialect: Dialect) -> None:
    """Packets vanish before the first one: not even a refusal comes."""
    async with switchboard(dialect) as server:
        await open_hole()
        argv = ("--server", server.url, "--dialect", FLAGS[dialect], *_SHORT)
        played = await play(*argv, prompts=["act n=1"], env=_QUICK)
        await close_hole()
    assert played.ended.code == NO_CONNECTION
    assert "within 0.5 s (--connect-timeout)" in played.ended.reason, played.ended
    assert server.seen == []


async def mute_resolver(dialect: Dialect) -> None:
    """A name has to be looked up, and whoever knows it says nothing."""
    with (
        tempfile.NamedTemporaryFile("w", suffix=".conf") as conf,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver,
    ):
        conf.write("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
        conf.flush()
        await look_up_by(Path(conf.name))
        resolver.bind(("127.0.0.1", 53))
        argv = ("--server", "http://nowhere.test/sse", "--dialect", FLAGS[dialect], *_SHORT)
        played = await play(*argv, prompts=["act n=1"], env=_QUICK)
        assert resolver.recv(512), "nobody asked"
    assert played.ended.code == NO_CONNECTION
    assert "within 0.5 s (--connect-timeout)" in played.ended.reason, played.ended


SCENES = {
    each.__name__: each
    for each in (
        black_hole,
        mute_way_back,
        mute_way_there,
        short_hole,
        nobody_there,
        mute_resolver,
    )
}

if __name__ == "__main__":
    for word in sys.argv[2:]:
        asyncio.run(SCENES[sys.argv[1]](cast("Dialect", word)))
