"""What a server says that does what it should, in each dialect: the good side of the switchboard.

`seed` and `sse` (MCP 2024-11-05) have one stream that brings all answers; `http` (2025-11-25) and
`modern` (2026-07-28) answer each message where it was posted.

Two tools: `act` may do harm, so nobody may call it twice unasked; `look` only reads. Both take `n`,
a number that no other call of a test has: by it a ledger knows what was executed.
"""

import json
from typing import Any, Literal, NamedTuple, TypeAlias

Json: TypeAlias = dict[str, Any]
Dialect: TypeAlias = Literal["seed", "sse", "http", "modern"]

DIALECTS: tuple[Dialect, ...] = ("seed", "sse", "http", "modern")
OF_ONE_STREAM: tuple[Dialect, ...] = ("seed", "sse")
BY_ANSWER: tuple[Dialect, ...] = ("http", "modern")
JSON_RPC: tuple[Dialect, ...] = ("sse", "http", "modern")
FLAGS: dict[Dialect, str] = {"seed": "seed", "sse": "sse", "http": "http", "modern": "http"}
"""What `--dialect` is told."""

CALL = "tools/call"
_MODERN = "2026-07-28"
_REVISIONS = {"sse": "2024-11-05", "http": "2025-11-25"}
_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TOOLS: list[Json] = [
    {"name": "act", "inputSchema": _SCHEMA},
    {"name": "look", "inputSchema": _SCHEMA, "annotations": {"readOnlyHint": True}},
]


class Call(NamedTuple):
    """A tool call as it was posted: its id on the wire, and the number of the call."""

    id: Any
    n: int
    token: Any = None


def method_of(message: Json) -> str:
    """The method of a message, `tools/call` for a call of the seed dialect; empty for an answer."""
    return CALL if "tool" in message else str(message.get("method", ""))


def call_in(message: Json) -> Call:
    """The call that a message asks for."""
    n = arguments_in(message)["n"]
    if "tool" in message:
        return Call(message["id"], n)
    return Call(message["id"], n, message["params"].get("_meta", {}).get("progressToken"))


def arguments_in(message: Json) -> Json:
    """What a call is made with."""
    arguments: Json = message["args"] if "tool" in message else message["params"]["arguments"]
    return arguments


def text_of(n: int) -> str:
    """What a call says: its number, so that an answer that went astray is seen."""
    return f"did {n}"


def result_of(dialect: Dialect, method: str, n: int = 0) -> Json | None:
    """The result of a request; None: no such method here."""
    more = {"resultType": "complete"} if dialect == "modern" else {}
    hints = {"ttlMs": 0, "cacheScope": "private", **more} if dialect == "modern" else {}
    match method:
        case "initialize" if dialect in _REVISIONS:
            about = {"protocolVersion": _REVISIONS[dialect], "serverInfo": _about(dialect)}
            return {**about, "capabilities": {"tools": {"listChanged": True}}}
        case "server/discover" if dialect == "modern":
            meta = {"io.modelcontextprotocol/serverInfo": _about(dialect)}
            offers: Json = {"supportedVersions": [_MODERN], "capabilities": {"tools": {}}}
            return {**offers, "_meta": meta, **hints}
        case "tools/list":
            return {"tools": TOOLS, **hints}
        case "tools/call":
            return {"content": [{"type": "text", "text": text_of(n)}], **more}
        case "ping":
            return {}
        case _:
            return None


def answer_text(dialect: Dialect, id_: Any, result: Json) -> str:
    """The text of an answer, as JSON or as the data of an event."""
    if dialect == "seed":
        return json.dumps({"id": id_, **result})
    return json.dumps({"jsonrpc": "2.0", "id": id_, "result": result})


def unknown_method(id_: Any) -> str:
    """The refusal of a request that the server knows nothing of."""
    error = {"code": -32601, "message": "Method not found"}
    return json.dumps({"jsonrpc": "2.0", "id": id_, "error": error})


def notification(method: str, **params: Any) -> str:
    """Something that the server tells."""
    return json.dumps({"jsonrpc": "2.0", "method": method, "params": params})


def event(data: str, name: str = "", id_: str = "", end: str = "\n") -> bytes:
    """One SSE event; `end` is what its lines end with."""
    fields = [f"id: {id_}"] * bool(id_) + [f"event: {name}"] * bool(name)
    lines = [*fields, *(f"data: {line}" for line in data.split("\n")), "", ""]
    return end.join(lines).encode()


def answer_event(dialect: Dialect, text: str, id_: str = "") -> bytes:
    """An answer to a call as the event that the dialect makes of it."""
    return event(text, "result" if dialect == "seed" else "message", id_)


def _about(dialect: Dialect) -> Json:
    return {"name": f"switchboard-{dialect}", "version": "1"}
