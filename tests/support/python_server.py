"""A small server on Python's `mcp` package: `TRANSPORT PORT [stateless] [json]`."""

import sys

from mcp.server import MCPServer

server = MCPServer("official")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def main(transport: str, port: str, *options: str) -> None:
    """Serve until killed."""
    match transport:
        case "stdio":
            server.run("stdio")
        case "sse":
            server.run("sse", port=int(port))
        case _:
            server.run(
                "streamable-http",
                port=int(port),
                stateless_http="stateless" in options,
                json_response="json" in options,
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
