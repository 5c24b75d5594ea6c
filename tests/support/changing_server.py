"""An MCP server over stdio whose tools are what a file says: `FOLDER`, with `tools.json` in it.

`calls.txt` there is its ledger: the name of each tool that was called. After a call of a tool NAME
for which there is a `NAME.json`, that file takes the place of `tools.json`, and the client is told;
a tool named `die` ends the process as well, before it answers.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])
TOOLS = FOLDER / "tools.json"


def send(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def call(name: str) -> dict[str, Any]:
    with (FOLDER / "calls.txt").open("a", encoding="utf-8") as ledger:
        ledger.write(f"{name}\n")
    following = FOLDER / f"{name}.json"
    if following.exists():
        following.replace(TOOLS)
        if name == "die":
            os._exit(1)
        send({"method": "notifications/tools/list_changed"})
    return {"content": [{"type": "text", "text": f"{name} ran"}]}


def answer(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            return {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": "changing", "version": "1"},
            }
        case "tools/list":
            return {"tools": json.loads(TOOLS.read_text("utf-8"))}
        case "tools/call":
            return call(params["name"])
        case _:
            return None


for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked or "method" not in asked:
        continue
    result = answer(asked["method"], asked.get("params", {}))
    if result is None:
        send({"id": asked["id"], "error": {"code": -32601, "message": "no such method"}})
    else:
        send({"id": asked["id"], "result": result})
