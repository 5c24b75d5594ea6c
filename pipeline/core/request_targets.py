"""Which servers a person's request goes to: those that say that they take it.

MCP: basic/lifecycle, "Operation": only capabilities that were negotiated are used.
"""

from pipeline.core.events import RequestSubmitted
from pipeline.core.request_table import LISTS, Requests
from pipeline.core.session import wire
from pipeline.core.shapes import is_object

SUBSCRIBE = ("resources/subscribe", "resources/unsubscribe")
_CAPABILITIES = {"resources": "resources", "prompts": "prompts", "completion": "completions"}


def servers_for(table: Requests, wish: RequestSubmitted) -> tuple[str, ...] | str:
    """Who is asked; words if nobody can be."""
    what = _CAPABILITIES.get(wish.method.partition("/")[0], wish.method)
    if wish.server:
        return _named(table, wish, what)
    if wish.method in LISTS:
        return tuple(table.routes) or "no server is ready"
    able = tuple(name for name in table.routes if is_offered(table, name, wish.method))
    if not able:
        return f"no server that is ready offers {what}"
    if len(able) > 1:
        names = ", ".join(f"@{name}" for name in able)
        return f"several servers offer {what}; say which one, first of all: {names}"
    return able


def _named(table: Requests, wish: RequestSubmitted, what: str) -> tuple[str, ...] | str:
    server = wish.server
    known = [each.name for each in table.plan.servers]
    if server not in known:
        return f"no server is named {server!r}; these are: {', '.join(known) or 'none'}"
    if server in table.lost:
        return f"the server {server!r} is gone: {table.lost[server]}"
    is_able = wish.method in LISTS or is_offered(table, server, wish.method)
    if server in table.routes and not is_able:
        return f"the server {server!r} does not offer {what}"
    return (server,)


def is_offered(table: Requests, server: str, method: str) -> bool:
    """Does a server that is ready say that it takes this? Only then it is asked (lifecycle)."""
    route, said = table.routes[server], table.offers.get(server, {})
    wanted = _CAPABILITIES.get(method.partition("/")[0])
    if route.dialect == "seed":
        return False
    if method in SUBSCRIBE and not wire.is_modern(route):
        found = said.get("resources")
        return is_object(found) and found.get("subscribe") is True
    return wanted is None or wanted in said
