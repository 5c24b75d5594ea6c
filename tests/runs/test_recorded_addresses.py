"""Where a recording leads, nobody's credentials go: it may be from anybody."""

import re
from pathlib import Path

import pytest

from config.mcp_entry import McpEntry
from pipeline.servers import connect, withheld
from pipeline.shell.targets import Target
from tests.support.in_process import settings_of
from tests.support.program import Ended, run
from tests.support.servers import reference_server
from tests.support.wire import Wire, reply, serve

KEY, HEADER = "canary-key-0123456789", "canary-header-0123456789"
HELD = {"MCP_API_KEY": KEY, "RXMCP_HEADER": f"X-Team: {HEADER}"}
RECORDED = McpEntry("far", url="https://far.test/mcp", is_recorded=True)
TYPED = McpEntry("near", url="https://near.test/mcp")


async def a_recording_that_leads_to(address: str, folder: Path) -> None:
    """A run with a real server, in which somebody has then changed the address."""
    with reference_server(folder) as server:
        words = ("--server", server.url, "--sink", "jsonl=run.jsonl")
        await run(*words, cwd=folder, stdin=b"add a=2 b=3\n")
        real = re.escape(server.url)
    path = folder / "run.jsonl"
    text, changes = re.subn(real, address, path.read_text("utf-8"))
    assert changes
    path.write_text(text, "utf-8")


async def gone_on(wire: Wire, folder: Path, *words: str, is_named: bool = False) -> Ended:
    there = ("--server", wire.url) if is_named else ()
    return await run(*words, *there, "-p", "add a=1 b=1", cwd=folder, env=HELD)


@pytest.mark.parametrize("words", [("resume", "run.jsonl"), ("fork", "run.jsonl", "--at", "9")])
async def test_a_server_that_only_the_recording_names_sees_no_credential(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    async with serve([reply("404 Not Found")]) as wire:
        await a_recording_that_leads_to(wire.url, tmp_path)
        ended = await gone_on(wire, tmp_path, *words)
        seen = b"".join(request.raw for request in wire.requests)
    assert ended.code == 4
    assert seen
    assert KEY.encode() not in seen
    assert HEADER.encode() not in seen
    assert (
        "! MCP_API_KEY and --header are not sent to what only the recording names (localhost-"
    ) in ended.words
    assert "if that is where they belong, give --server URL" in ended.words


async def test_a_server_that_the_person_names_gets_them(tmp_path: Path) -> None:
    async with serve([reply("404 Not Found")]) as wire:
        await a_recording_that_leads_to(wire.url, tmp_path)
        ended = await gone_on(wire, tmp_path, "resume", "run.jsonl", is_named=True)
        seen = b"".join(request.raw for request in wire.requests)
    assert KEY.encode() in seen
    assert HEADER.encode() in seen
    assert "not sent" not in ended.words


def test_neither_key_nor_header_is_for_a_recorded_address() -> None:
    target = connect(RECORDED, settings_of(env=HELD))
    assert isinstance(target, Target)
    assert {KEY, HEADER}.isdisjoint(target.headers.values())
    assert target.secrets == ()


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, ""),
        ({"MCP_API_KEY": KEY}, "MCP_API_KEY is not sent to what only the recording names (far)"),
        ({"RXMCP_HEADER": "A: b"}, "--header is not sent to what only the recording names (far)"),
    ],
)
def test_what_is_held_back_is_told(env: dict[str, str], words: str) -> None:
    told = withheld([TYPED, RECORDED], settings_of(env=env))
    assert told.startswith(words)
    assert KEY not in told
    assert bool(told) is bool(words)
    assert withheld([TYPED], settings_of(env=env)) == ""
