"""Which servers a person's request goes to: those that say that they take it.

MCP: basic/lifecycle, "Operation": only capabilities that were negotiated are used.
"""

from pipeline.core import skills
from pipeline.core.events import RequestSubmitted
from pipeline.core.request_table import LISTS, Requests
from pipeline.core.session import wire
from pipeline.core.shapes import is_object

SUBSCRIBE = ("resources/subscribe", "resources/unsubscribe")
_CAPABILITIES = {"resources": "resources", "prompts": "prompts", "completion": "completions"}


def servers_for(table: Requests, wish: RequestSubmitted) -> tuple[str, ...] | str:
    """Who is asked; words if nobody can be."""
    what = what_of(wish.method)
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
    if server in table.routes and wish.method not in LISTS:
        return (server,) if is_offered(table, server, wish.method) else not_offered(server, what)
    return (server,)


def not_offered(server: str, what: str) -> str:
    """Why a server is not asked, in words."""
    return f"the server {server!r} does not offer {what}"


def what_of(method: str) -> str:
    """The capability that a method is of, else the method."""
    return _CAPABILITIES.get(method.partition("/")[0], method)


def is_offered(table: Requests, server: str, method: str) -> bool:
    """Does a server that is ready say that it takes this? Only then it is asked (lifecycle)."""
    route, said = table.routes[server], table.offers.get(server, {})
    wanted = _CAPABILITIES.get(method.partition("/")[0])
    if route.dialect == "seed":
        return False
    if method == skills.LIST:
        extensions = said.get("extensions")
        return is_object(extensions) and skills.EXTENSION in extensions
    if method in SUBSCRIBE and not wire.is_modern(route):
        found = said.get("resources")
        return is_object(found) and found.get("subscribe") is True
    return wanted is None or wanted in said
