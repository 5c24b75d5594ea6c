"""Another MCP client meets a fault: `python bench/faults_peer.py NAME TRANSPORT TARGET SECONDS`.

NAME is `mcp` or `fastmcp`; it runs in that client's environment, so it imports nothing of ours. It
speaks with whoever started it by lines. TARGET is a URL, or for `stdio` a command as JSON. It
connects, and then makes the calls of each line of its standard input (`1 3`: two at once). What the
caller was told of each step is a line of JSON: after how many seconds, what, and how much memory
the process ever had. A step that says nothing within SECONDS is left alone. Every request carries
the key in `SECRET`.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

PATIENCE = 5  # seconds that each client is told to give a call
SECRET = "the-key-of-the-user"  # noqa: S105  it opens nothing
HEADERS = {"X-Api-Key": SECRET}
RESULT, ERROR, NOTHING, ASTRAY = "result", "error", "nothing", "another's result"


def make_client(name: str, transport: str, target: str) -> Any:
    """The client as it comes, but for its patience with a call."""
    return _fastmcp(transport, target) if name == "fastmcp" else _mcp(transport, target)


def _fastmcp(transport: str, target: str) -> Any:
    fastmcp = importlib.import_module("fastmcp")  # not every environment has it
    ways = importlib.import_module("fastmcp.client.transports")
    match transport:
        case "stdio":
            command, *arguments = json.loads(target)
            way = ways.StdioTransport(command, arguments)
        case "sse":
            way = ways.SSETransport(target, headers=HEADERS)
        case _:
            way = ways.StreamableHttpTransport(target, headers=HEADERS)
    return fastmcp.Client(way, timeout=PATIENCE, init_timeout=PATIENCE)


def _mcp(transport: str, target: str) -> Any:
    mcp = importlib.import_module("mcp")
    match transport:
        case "stdio":
            command, *arguments = json.loads(target)
            server = mcp.StdioServerParameters(command=command, args=arguments)
        case "sse":
            server = importlib.import_module("mcp.client.sse").sse_client(target, headers=HEADERS)
        case _:
            http = importlib.import_module("mcp.shared._httpx_utils")
            way = importlib.import_module("mcp.client.streamable_http")
            own = http.create_mcp_http_client(headers=HEADERS)
            server = way.streamable_http_client(target, http_client=own)
    return mcp.Client(server, read_timeout_seconds=PATIENCE)


def tell(what: str, seconds: float, told: str) -> None:
    """One line for whoever started this."""
    line = {"what": what, "seconds": seconds, "told": told, "peak": peak()}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def peak() -> int:
    """The most memory that this process ever had, in KiB; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


async def step(what: str, work: Coroutine[Any, Any, str], bound: float) -> bool:
    """Do it, and say how that was; true if it came to a good end."""
    began = time.monotonic()
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait([task], timeout=bound)
    if not done:
        told = NOTHING
    elif task.cancelled() or task.exception() is not None:
        told = ERROR
    else:
        told = task.result()
    tell(what, time.monotonic() - began, told)
    return told == RESULT


async def call(client: Any, numbers: list[int]) -> str:
    """Make these calls at once, and see whether each got its own result."""
    work = (client.call_tool("act", {"n": n}) for n in numbers)
    results = await asyncio.gather(*work)
    if any(getattr(result, "is_error", False) for result in results):
        return ERROR
    pairs = zip(numbers, results, strict=True)
    return RESULT if all(f"did {n}" in text_of(result) for n, result in pairs) else ASTRAY


def text_of(result: Any) -> str:
    return " ".join(str(getattr(block, "text", "")) for block in getattr(result, "content", []))


async def hold(client: Any, is_open: asyncio.Event) -> None:
    """Own the connection in a task of its own: should it fall, it takes down only that."""
    async with client:
        is_open.set()
        await asyncio.Event().wait()


async def connect(client: Any) -> str:
    is_open = asyncio.Event()
    holding = asyncio.ensure_future(hold(client, is_open))
    opening = asyncio.ensure_future(is_open.wait())
    done, _ = await asyncio.wait([holding, opening], return_when=asyncio.FIRST_COMPLETED)
    if holding in done:
        await holding
    return RESULT


async def main(name: str, transport: str, target: str, bound: float) -> None:
    client = make_client(name, transport, target)
    if not await step("connect", connect(client), bound):
        return
    while line := await asyncio.to_thread(sys.stdin.readline):
        numbers = [int(word) for word in line.split()]
        await step(f"call {numbers[0]}", call(client, numbers), bound)


if __name__ == "__main__":
    which, way, where, seconds = sys.argv[1:]
    asyncio.new_event_loop().run_until_complete(main(which, way, where, float(seconds)))
    os._exit(0)  # what it left open is not the question here, and may not end
