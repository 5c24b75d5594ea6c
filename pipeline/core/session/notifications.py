"""What a server tells without being asked: progress, log messages, and what has changed.

MCP: basic/utilities: progress, cancellation; server/utilities: logging; "List Changed" of tools,
prompts and resources. What is unknown is ignored, as it must be.
"""

from pipeline.core import jsonrpc
from pipeline.core.events import (
    Json,
    OffersChanged,
    ProgressReported,
    ResourceUpdated,
    ServerCancelled,
    ServerLogged,
)
from pipeline.core.plan import Plan
from pipeline.core.session import lists, standing, subscriptions
from pipeline.core.session.state import Move, Outputs, Session


def on_told(session: Session, plan: Plan, method: str, params: Json) -> Move:
    """One notification."""
    match method, params:
        case "notifications/progress", {"progressToken": str() as token, "progress": raw}:
            return session, _progress(session, token, raw, params)
        case "notifications/message", {"data": data}:
            text = data if isinstance(data, str) else jsonrpc.error_text(data)
            level = str(params.get("level", "info"))
            return session, (ServerLogged(server=session.server, level=level, text=text),)
        case "notifications/cancelled", {"requestId": id_} if isinstance(id_, str | int | float):
            if session.era == "modern" and id_ == session.stream_id:
                return standing.ended(session, plan)
            return session, (ServerCancelled(server=session.server, id=id_),)
        case _:
            return _on_change(session, plan, method, params)


def _on_change(session: Session, plan: Plan, method: str, params: Json) -> Move:
    if session.era == "modern":
        if subscriptions.is_stale(session, params):
            return session, ()
        if method == "notifications/subscriptions/acknowledged":
            return subscriptions.on_acknowledged(session, params)
        session = standing.proved(session)
    match method, params:
        case "notifications/tools/list_changed", _:
            return lists.again(session, plan)
        case _ if session.transport == "sse":
            return session, ()
        case "notifications/prompts/list_changed", _:
            return session, (OffersChanged(server=session.server, what="prompts"),)
        case "notifications/resources/list_changed", _:
            return session, (OffersChanged(server=session.server, what="resources"),)
        case "notifications/resources/updated", {"uri": str() as uri}:
            return session, (ResourceUpdated(server=session.server, uri=uri),)
        case _:
            return session, ()


def _progress(session: Session, token: str, raw: object, params: Json) -> Outputs:
    message, progress = params.get("message"), _number(raw)
    if progress is None:
        return ()
    report = ProgressReported(
        server=session.server,
        id=token,
        progress=progress,
        total=_number(params.get("total")),
        message=message if isinstance(message, str) else "",
    )
    return (report,)


def _number(value: object) -> float | None:
    """A JSON number as a float; None if it is none, or too large for one."""
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None
