"""An MCP server that dies in mid call, once: `python bench/faults_stdio.py LEDGER`.

It executes the first call that it ever gets, which LEDGER knows, and is gone. Started again it is a
good server of 2025-11-25. It imports nothing of ours, for it may run in any environment.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
}
_ABOUT: dict[str, Any] = {
    "protocolVersion": "2025-11-25",
    "serverInfo": {"name": "mortal", "version": "1"},
    "capabilities": {"tools": {}},
}


def result_of(message: dict[str, Any], ledger: Path) -> dict[str, Any] | None:
    """The result of a request; None: no such method here."""
    match message["method"]:
        case "initialize":
            return _ABOUT
        case "tools/list":
            return {"tools": [{"name": "act", "inputSchema": _SCHEMA}]}
        case "tools/call":
            n = message["params"]["arguments"]["n"]
            is_first = not ledger.exists()
            with ledger.open("a") as file:
                file.write(f"{n}\n")
            if is_first:
                os._exit(1)
            return {"content": [{"type": "text", "text": f"did {n}"}]}
        case "ping":
            return {}
        case _:
            return None


def main(ledger: Path) -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message or "method" not in message:
            continue
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        result = result_of(message, ledger)
        if result is None:
            answer["error"] = {"code": -32601, "message": "Method not found"}
        else:
            answer["result"] = result
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
