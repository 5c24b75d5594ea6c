"""What all requests share, and the running of calls: from a decision to events on a stream."""

from collections.abc import Callable, Hashable

import msgspec

from server import jsonrpc, seed
from server.arguments import Arguments
from server.mcp_sse import LIST_CHANGED
from server.options import ServerOptions
from server.sessions import Session, SessionRegistry
from server.tool import CallToolResult, Log, Progress, Tool, ToolBox, run_tool


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """The server's options and state. One per application."""

    options: ServerOptions
    tools: ToolBox
    sessions: SessionRegistry
    log: Log

    def has_room(self, session: Session) -> bool:
        """Whether the session may start another call."""
        return session.call_count < self.options.max_calls

    def start_call(
        self,
        session: Session,
        key: Hashable,
        tool: Tool,
        arguments: Arguments,
        *,
        progress: Progress,
        to_event: Callable[[CallToolResult], bytes],
        to_error: Callable[[str], bytes],
    ) -> None:
        """Run the tool beside other calls, and queue the event of its answer.

        Args:
            session: Whose call it is.
            key: What cancels it.
            tool: The tool.
            arguments: Already checked.
            progress: Where the tool tells how far it is.
            to_event: Makes the event of an answer.
            to_error: Makes the event of an answer that cannot be sent.
        """

        async def call() -> None:
            result = await run_tool(tool, arguments, progress, self.log)
            session.send(self._fitting(to_event, to_error, result))

        self.log(f"< session {session.number} calls {tool.name!r}")
        session.start(key, call())

    def _fitting(
        self,
        to_event: Callable[[CallToolResult], bytes],
        to_error: Callable[[str], bytes],
        result: CallToolResult,
    ) -> bytes:
        try:
            event = to_event(result)
        except ValueError:  # a lone surrogate, from a tool that reads foreign text
            return to_error("the answer holds text that is not Unicode")
        most = self.options.max_queue_bytes
        if len(event) > most:
            return to_error(f"the answer has {len(event)} bytes; this server sends at most {most}")
        return event

    def tell_tools(self) -> None:
        """Tell every session that the list of tools has changed, in the words it knows."""
        for session in self.sessions.all():
            if session.dialect == "seed":
                session.send(seed.tools_event(self.tools.described()))
            if session.phase == "ready":
                session.send(jsonrpc.notification_event(LIST_CHANGED))
