"""How a call is answered: with a result, an error, or something malformed.

MCP: server/tools, "Tool Result", "Structured Content" and "Error Handling".
"""

import msgspec

from pipeline.core.call_table import Call, Calls, Move, Outputs, close, ended
from pipeline.core.content import read_content
from pipeline.core.events import Json, Problem, Tool
from pipeline.core.jsonrpc import shorten
from pipeline.core.structured import complaint


def succeed(calls: Calls, call: Call, result: Json) -> Move:
    """The tool's own result, which may be that it failed."""
    content = read_content(result)
    if content is None:
        found = shorten(msgspec.json.encode(result.get("content")).decode(), 80)
        reason = f"malformed result: found {found!r} as `content`, expected a list of objects"
        return fail(calls, call, reason)
    is_error = result.get("isError") is True
    structured = result.get("structuredContent")
    problems: Outputs = ()
    if not is_error and (wrong := _broken_promise(call.tool, result)):
        # Nobody gets to rely on what does not keep its schema; the content is there all the same.
        structured = None
        detail = f"the structured content of {call.tool.name!r} is dropped: {wrong}"
        problems = (Problem(where=call.tool.server, detail=detail),)
    calls, outputs = close(
        calls, call, ended(call, "answered", "", content, is_error=is_error, structured=structured)
    )
    return calls, (*problems, *outputs)


def refuse(calls: Calls, call: Call, error: str) -> Move:
    """A protocol error, which the model gets to read as well."""
    text: Json = {"type": "text", "text": error}
    return close(calls, call, ended(call, "answered", error, (text,), is_error=True))


def fail(calls: Calls, call: Call, reason: str) -> Move:
    """The server has answered, and nothing can be made of it; the words are ours."""
    return close(calls, call, ended(call, "answered", reason, is_error=True))


def _broken_promise(tool: Tool, result: Json) -> str:
    if tool.output_schema is None:
        return ""
    if "structuredContent" not in result:
        return "there is none, though the tool has an output schema"
    return complaint(tool.output_schema, result["structuredContent"])
