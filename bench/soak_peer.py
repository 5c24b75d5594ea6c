"""What the faulty servers of the soak say, whatever they say it over: handshakes, tools, results.

Two tools: `act` may do harm, so that nobody may call it twice unasked; `look` only reads. Both take
`n`, a number that no other call has, by which a ledger counts what was really executed, and
`fault`, which is what goes wrong with the first call of that number.
"""

import json
from typing import Any

Json = dict[str, Any]

FAULTS = {
    "sse": (
        *(
            "progress",
            "drip",
            "late",
            "mute",
            "twice",
            "cut",
            "rst",
            "drop",
            "restart",
            "restart_first",
        ),
        *("down", "refuse_500", "refuse_503", "refuse_404", "fail_500"),
    ),
    "http": (
        *(
            "progress",
            "drip",
            "late",
            "mute",
            "twice",
            "cut",
            "rst",
            "drop",
            "restart",
            "restart_first",
        ),
        *("down", "refuse_500", "refuse_503", "refuse_404", "fail_500", "expire", "resume"),
    ),
    "modern": (
        *(
            "progress",
            "drip",
            "late",
            "mute",
            "twice",
            "cut",
            "rst",
            "drop",
            "restart",
            "restart_first",
        ),
        *("down", "refuse_500", "refuse_503", "refuse_404", "fail_500"),
    ),
    "stdio": ("progress", "drip", "late", "mute", "twice", "cut", "noise", "kill", "kill_first"),
}
"""What can go wrong with a call, by the dialect of its server; a name that ends in `_first` happens
before the call is executed, as `drop`, `down`, `expire` and `refuse_…` do."""

HINDRANCES = ("refuse_500", "refuse_503", "drop")
"""What can go wrong with any other message."""

SPARED = ("drop", "down", "expire", "refuse_500", "refuse_503", "refuse_404")
STEPS = 3  # progress reports of a call that makes them
RETRY_MS = 10

_MODERN = "2026-07-28"
_REVISIONS = {"sse": "2024-11-05", "http": "2025-11-25", "modern": _MODERN, "stdio": "2025-11-25"}
_SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "fault": {"type": "string"}},
    "required": ["n"],
}
_TOOLS = [
    {"name": "act", "inputSchema": _SCHEMA},
    {"name": "look", "inputSchema": _SCHEMA, "annotations": {"readOnlyHint": True}},
]


def is_spared(fault: str) -> bool:
    """Is a call with this fault not executed?"""
    return fault in SPARED or fault.endswith("_first")


def result_of(dialect: str, method: str) -> Json | None:
    """The result of a request that is no tool call; None: the server does not know the method."""
    more = {"resultType": "complete"} if dialect == "modern" else {}
    offers: Json = {"capabilities": {"tools": {}}, **more}
    about = {"name": f"soak-{dialect}", "version": "1"}
    match method:
        case "initialize" if dialect != "modern":
            return {"protocolVersion": _REVISIONS[dialect], "serverInfo": about, **offers}
        case "server/discover" if dialect == "modern":
            return {"supportedVersions": [_MODERN], "_meta": {}, **offers}
        case "tools/list":
            return {"tools": _TOOLS, **more}
        case "ping":
            return {}
        case _:
            return None


def done(dialect: str, n: int) -> Json:
    """The result of a call: its number, so that an answer that went astray is seen."""
    more = {"resultType": "complete"} if dialect == "modern" else {}
    return {"content": [{"type": "text", "text": f"did {n}"}], **more}


def encode(message: Json) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode()


def event(text: bytes) -> bytes:
    """A message as an event of a stream."""
    return b"event: message\ndata: " + text + b"\n\n"


def unknown_method(id_: Any) -> bytes:
    return encode({"id": id_, "error": {"code": -32601, "message": "Method not found"}})


def messages_of(dialect: str, call: Json, fault: str) -> list[bytes]:
    """What a server says of a call that it executed: progress if wished for, then the result."""
    params = call["params"]
    said: list[bytes] = []
    token = params.get("_meta", {}).get("progressToken")
    if fault in ("progress", "resume") and token is not None:
        for step in range(1, STEPS + 1):
            report = {"progressToken": token, "progress": step, "total": STEPS}
            said.append(encode({"method": "notifications/progress", "params": report}))
    return [*said, encode({"id": call["id"], "result": done(dialect, params["arguments"]["n"])})]
