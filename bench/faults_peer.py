"""Another MCP client meets a fault: `python bench/faults_peer.py mcp|fastmcp sse|http URL SECONDS`.

It runs in the environment of that client, so it imports nothing of ours. It connects, calls `act`
twice, and prints a JSON line for each of the three: how many seconds it took until the caller was
told anything, and what. A call that says nothing within the bound of SECONDS is left alone.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

PATIENCE = 5  # seconds that each client is told to give a call


def make_client(name: str, transport: str, url: str) -> Any:
    """The client as it comes, but for its patience with a call."""
    if name == "fastmcp":
        fastmcp = importlib.import_module("fastmcp")  # not every environment has it
        return fastmcp.Client(url, timeout=PATIENCE, init_timeout=PATIENCE)
    mcp, sse = importlib.import_module("mcp"), importlib.import_module("mcp.client.sse")
    server = sse.sse_client(url) if transport == "sse" else url
    return mcp.Client(server, read_timeout_seconds=PATIENCE)


async def step(what: str, work: Coroutine[Any, Any, Any], bound: float) -> bool:
    """Do it, and say how that was; true if it came to a good end."""
    began = time.monotonic()
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=bound)
    seconds = time.monotonic() - began
    if not done:
        told, text = "nothing", ""
    elif task.cancelled():
        told, text = "error", "cancelled"
    elif (error := task.exception()) is not None:
        told, text = "error", str(error) or type(error).__name__
    else:
        told, text = "result", text_of(task.result())
    line = {"what": what, "seconds": seconds, "told": told, "text": text[:200]}
    print(json.dumps(line), flush=True)
    return told == "result"


def text_of(result: Any) -> str:
    return " ".join(str(getattr(block, "text", "")) for block in getattr(result, "content", []))


async def hold(client: Any, is_open: asyncio.Event) -> None:
    """Own the connection in a task of its own: should it fall, it takes down only that."""
    async with client:
        is_open.set()
        await asyncio.Event().wait()


async def connect(client: Any) -> None:
    is_open = asyncio.Event()
    holding = asyncio.ensure_future(hold(client, is_open))
    opening = asyncio.ensure_future(is_open.wait())
    done, _ = await asyncio.wait([holding, opening], return_when=asyncio.FIRST_COMPLETED)
    if holding in done:
        await holding


async def main(name: str, transport: str, url: str, bound: float) -> None:
    client = make_client(name, transport, url)
    if await step("connect", connect(client), bound):
        for n in (1, 2):
            await step(f"call {n}", client.call_tool("act", {"n": n}), bound)


if __name__ == "__main__":
    client, way, address, seconds = sys.argv[1:]
    asyncio.new_event_loop().run_until_complete(main(client, way, address, float(seconds)))
    os._exit(0)  # what it left open is not the question here, and may not end
