"""An MCP server over stdio whose every text is poison: `python -m tests.security.poisoned_server`.

Which text it was can be told by the tag in front of it: `<title>`, `<log>` and so on; `TAGGED` has
them all. The poison is what `poison.EVERYTHING` has, so all of it in each text.
"""

import json
import sys
from typing import Any

from tests.security.poison import EVERYTHING, ORDER

TOOLS = {"tell": "answers", "fail": "fails", "ask": "asks first"}


def poison(tag: str) -> str:
    """A text with everything in it."""
    return f"<{tag}>{EVERYTHING}{ORDER}</{tag}>"


def main() -> None:
    """Answer until standard input ends."""
    sys.stderr.write(f"{poison('stderr')}\n")
    sys.stderr.flush()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message and "method" in message:
            send(id=message["id"], **_answer(message["method"], message.get("params", {})))


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def _answer(method: str, params: Any) -> dict[str, Any]:
    match method:
        case "initialize":
            return {"result": _greeting(params)}
        case "tools/list":
            return {"result": {"tools": [*map(_tool, TOOLS), {"name": poison("tool-name")}]}}
        case "tools/call":
            return _call(params)
        case "prompts/list":
            argument = {"name": poison("argument"), "description": poison("argument-description")}
            named = {"name": poison("prompt-name"), "arguments": [argument]}
            return {"result": {"prompts": [{**named, "description": poison("prompt-about")}]}}
        case "resources/list":
            named = {"uri": poison("uri"), "name": "n", "description": poison("resource-about")}
            return {"result": {"resources": [{**named, "mimeType": poison("mime")}]}}
        case "resources/templates/list":
            return {"result": {"resourceTemplates": [{"uriTemplate": poison("template")}]}}
        case "resources/read":
            contents = [{"uri": poison("read-uri"), "text": poison("read")}]
            return {"result": {"contents": contents}}
        case "prompts/get":
            content = {"type": "text", "text": poison("prompt")}
            return {"result": {"messages": [{"role": "user", "content": content}]}}
        case _:
            return {"error": {"code": -32601, "message": poison("no-such-method")}}


def _greeting(params: Any) -> Any:
    return {
        "protocolVersion": params["protocolVersion"],
        "capabilities": {"tools": {}, "prompts": {}, "resources": {}, "logging": {}},
        "serverInfo": {"name": poison("server"), "version": poison("version")},
        "instructions": poison("instructions"),
    }


def _tool(name: str) -> Any:
    parameter = {
        "type": "string",
        "title": poison("parameter-title"),
        "description": poison("parameter-about"),
        "enum": ["yes", poison("enum")],
    }
    schema = {"type": "object", "properties": {"a": parameter}}
    about = {"title": poison("title"), "description": f"{TOOLS[name]} {poison('description')}"}
    return {"name": name, **about, "inputSchema": schema}


def _call(params: Any) -> dict[str, Any]:
    if params["name"] == "fail":
        return {"error": {"code": -1, "message": poison("error"), "data": poison("data")}}
    token = params.get("_meta", {}).get("progressToken")
    progress = {"progressToken": token, "progress": 1, "message": poison("progress")}
    send(method="notifications/progress", params=progress)
    log = {"level": "error", "logger": poison("logger"), "data": poison("log")}
    send(method="notifications/message", params=log)
    if params["name"] == "ask":
        send(id="q1", method="elicitation/create", params=_form())
        json.loads(sys.stdin.readline())
    link = {"type": "resource_link", "uri": poison("link"), "name": poison("link-name")}
    return {"result": {"content": [{"type": "text", "text": poison("result")}, link]}}


def _form() -> Any:
    field = {
        "type": "string",
        "title": poison("field-title"),
        "description": poison("field-about"),
        "enum": ["one", poison("field-enum")],
        "enumNames": ["One", poison("field-name")],
    }
    schema = {"type": "object", "properties": {"f": field}, "required": ["f"]}
    return {"message": poison("question"), "requestedSchema": schema}


if __name__ == "__main__":
    main()
