"""A server made with the official `mcp` package, over SSE: `python python_sse_server.py [PORT]`."""

import asyncio
import sys

from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Image

server = MCPServer("official", version="2")
PIXEL = b"\x89PNG\r\n\x1a\n not more than its signature"


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def echo(message: str) -> str:
    """Answer with the message."""
    return message


@server.tool()
def fail(message: str) -> str:
    """Fail with the message."""
    raise ValueError(message)


@server.tool()
async def slow(steps: int, context: Context) -> str:
    """Tell each step as progress."""
    for step in range(1, steps + 1):
        await context.report_progress(step, steps, f"step {step}")
        await asyncio.sleep(0)
    return f"{steps} steps"


@server.tool()
def picture() -> Image:
    """Answer with a picture."""
    return Image(data=PIXEL, format="png")


if __name__ == "__main__":
    server.run("sse", port=int(sys.argv[1]) if len(sys.argv) > 1 else 0)
