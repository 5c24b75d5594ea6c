"""What a recording tells of its servers: when each was there, and when it was not."""

from typing import Any

from msgspec.structs import replace

from pipeline.core.commands import Item, Open
from pipeline.core.events import RunResumed, SessionClosed, SessionReady, StreamLost, ToolsChanged
from pipeline.core.plan import Plan
from pipeline.core.story import Outage, Server

_BROKEN_OFF = "the run was cut off"


class Servers:
    """The servers of a run by name, fed one item at a time."""

    def __init__(self, plan: Plan) -> None:
        self._servers = {each.name: Server(name=each.name, url=each.url) for each in plan.servers}

    def told(self) -> tuple[Server, ...]:
        """All of them, those of the plan first."""
        return tuple(self._servers.values())

    def read(self, item: Item, now: float) -> None:
        """Take note of what it says of a server."""
        match item:
            case Open(server=name):
                opened = self._get(name).opened
                self._set(name, opened=now if opened is None else opened)
            case SessionReady(server=name):
                if self._get(name).ready is None:
                    self._set(name, ready=item, ready_at=now)
                self._end_outage(name, now)
            case ToolsChanged(server=name, tools=tools):
                self._set(name, tools=tools)
            case StreamLost(server=name, reason=reason):
                self._lose(name, reason, now, losses=1)
            case SessionClosed(server=name, reason=reason):
                # After a `StreamLost` this is the same loss, told to those who used the session.
                self._lose(name, reason, now, losses=0)
            case RunResumed(servers=servers):
                for server in servers:
                    self._set(server.name, url=server.url)
            case _:
                pass

    def break_off(self, now: float) -> None:
        """The process ended, and all connections with it."""
        for server in self.told():
            if server.ready is not None:
                self._lose(server.name, _BROKEN_OFF, now, losses=0)

    def _lose(self, name: str, reason: str, now: float, *, losses: int) -> None:
        outages = self._get(name).outages
        if outages and outages[-1].ended is None:
            last = replace(outages[-1], reason=reason, losses=outages[-1].losses + losses)
            self._set(name, outages=(*outages[:-1], last))
        else:
            new = Outage(server=name, began=now, reason=reason)
            self._set(name, outages=(*outages, new))

    def _end_outage(self, name: str, now: float) -> None:
        outages = self._get(name).outages
        if outages and outages[-1].ended is None:
            self._set(name, outages=(*outages[:-1], replace(outages[-1], ended=now)))

    def _get(self, name: str) -> Server:
        return self._servers.setdefault(name, Server(name=name))

    def _set(self, name: str, **fields: Any) -> None:
        self._servers[name] = replace(self._get(name), **fields)
