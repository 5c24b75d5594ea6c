"""What the MCP mock says of itself: its greeting, its tools, and what else may be asked."""

from typing import Any

from pipeline.core.events import Json
from pipeline.core.session.wire import HANDSHAKE
from pipeline.core.shapes import is_object
from pipeline.core.tools import MalformedToolError, read_tool
from pipeline.mocks.mcp_script import McpScript

_CAPABILITIES = (
    ("tools/", "tools"),
    ("resources/", "resources"),
    ("prompts/", "prompts"),
    ("completion/", "completions"),
    ("logging/", "logging"),
)


class Offer:
    """What a recorded server offers again.

    What nobody asked of it, the mock does not offer: a client that reads capabilities then does not
    ask for what the recording cannot answer. Tools are always offered.
    """

    def __init__(self, script: McpScript) -> None:
        self._script = script
        asked = [str(exchange.asked["method"]) for exchange in script.exchanges]
        used = (name for start, name in _CAPABILITIES if any(m.startswith(start) for m in asked))
        self._names = {"tools", *used}

    def has(self, method: str) -> bool:
        """May a client ask this?"""
        names = (name for start, name in _CAPABILITIES if method.startswith(start))
        return any(name in self._names for name in names)

    def greeting(self, asked: Any) -> Json:
        """The result of `initialize`; `asked` is the revision that the client wants.

        The recorded revision, or an older one that the client wants: a server that knows the newer
        one knows the older one of the same transport.
        """
        greeting = self._recorded()
        version, offered = greeting.get("protocolVersion"), greeting.get("capabilities")
        are_known = asked in HANDSHAKE and version in HANDSHAKE
        is_older = are_known and HANDSHAKE.index(asked) < HANDSHAKE.index(version)
        capabilities = offered if is_object(offered) else {}
        return {
            **greeting,
            "protocolVersion": asked if is_older else version,
            "capabilities": {k: v for k, v in capabilities.items() if k in self._names},
        }

    def tools(self) -> list[Any]:
        """The result of `tools/list`, on one page."""
        if self._script.dialect != "seed":
            return list(self._script.tools)
        tools: list[Json] = []
        for raw in self._script.tools:
            try:
                tool = read_tool(self._script.server, raw)
            except MalformedToolError:
                continue  # The seed dialect passes it on as it is; here it would break the list.
            tools.append({**raw, "inputSchema": tool.input_schema})
        return tools

    def _recorded(self) -> Json:
        if self._script.greeting is not None:
            return self._script.greeting
        # The seed dialect has no greeting.
        info = {"name": self._script.server, "version": "recorded"}
        tools: Json = {"tools": {}}
        return {"protocolVersion": HANDSHAKE[0], "capabilities": tools, "serverInfo": info}
