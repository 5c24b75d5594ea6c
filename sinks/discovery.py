"""How a server was found out, for those who want to know: what it speaks, what that took."""

from collections.abc import Sequence
from datetime import datetime

from pipeline.core.codec import Entry
from pipeline.core.commands import Get, Open, Post
from pipeline.core.events import SessionReady, ToolsChanged
from sinks.notices import Notice
from sinks.terminal_text import clip

COUNTED = (Open, Post, Get)
"""The commands that are part of finding a server out."""

_LONGEST_NAME = 80


class Discovery:
    """Counts what goes to each server from its first `open` to its first tool list."""

    def __init__(self) -> None:
        self._began: dict[str, str] = {}
        self._requests: dict[str, int] = {}
        self._ready: dict[str, SessionReady] = {}

    def read(self, entry: Entry) -> Sequence[Notice]:
        """What to say about an entry, given all those before it."""
        match entry.item:
            case Open(server=server, transport=transport):
                self._began.setdefault(server, entry.at)
                # An event stream is a request of its own; the others are nothing yet.
                self._count(server, 1 if transport == "sse" else 0)
            case Post(server=server) | Get(server=server):
                self._count(server, 1)
            case SessionReady(server=server) as ready:
                self._ready.setdefault(server, ready)
            case ToolsChanged(server=server) if server in self._began:
                return self._told(server, entry.at)
            case _:
                pass
        return ()

    def _count(self, server: str, more: int) -> None:
        if server in self._began:
            self._requests[server] = self._requests.get(server, 0) + more

    def _told(self, server: str, at: str) -> Sequence[Notice]:
        began, ready = self._began.pop(server), self._ready.get(server)
        requests = self._requests.pop(server, 0)
        if ready is None:
            return ()
        seconds = (datetime.fromisoformat(at) - datetime.fromisoformat(began)).total_seconds()
        many = "1 request" if requests == 1 else f"{requests} requests"
        speaks = f"{ready.route.dialect}, {clip(ready.protocol, _LONGEST_NAME)}"
        text = (
            f"{clip(server, _LONGEST_NAME)}: speaks {speaks}; {many}, {seconds:.3f} s to its tools"
        )
        return (Notice("=", text),)
