"""How a server is told that nobody waits for its answer any more.

MCP: basic/utilities/cancellation, and since 2026-07-28 basic/patterns/cancellation.
"""

from pipeline.core import jsonrpc
from pipeline.core.commands import Cut, Post
from pipeline.core.events import Json, Route
from pipeline.core.session import wire


def cancel(route: Route, name: str, wire_id: str, reason: str) -> tuple[Post | Cut, ...]:
    """Cancel the request `wire_id`; `name` is that of the message which does it, if one does.

    Over HTTP, closing the answer is what cancels since 2026-07-28; before, it only tidies up.
    """
    cut = (Cut(server=route.server, id=wire_id),) if route.dialect == "http" else ()
    if cut and wire.is_modern(route):
        return cut
    params: Json = {"requestId": wire_id, "reason": reason}
    message = jsonrpc.notification("notifications/cancelled", params)
    return (wire.post(route, name, message), *cut)
