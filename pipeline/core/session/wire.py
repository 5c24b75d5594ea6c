"""Dresses a message for its session: headers, `_meta` and the place it goes to.

The one place that knows what a revision wants around a message. Streamable HTTP 2025-06-18,
"Protocol Version Header" and "Session Management"; 2026-07-28, basic/transports, "Request Headers"
and basic/index, "Request Metadata".
"""

import re
from base64 import b64encode

from pipeline.core.commands import Get, Post
from pipeline.core.events import Headers, Json, Route
from pipeline.core.shapes import is_object

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
LATEST_HANDSHAKE = HANDSHAKE[-1]
META = "io.modelcontextprotocol/"
_WITHOUT_VERSION_HEADER = HANDSHAKE[:2]
_NAMES = {
    "tools/call": "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}
_PLAIN = re.compile(r"(?! )[\x20-\x7e]*(?<! )")
_SENTINEL = re.compile(r"=\?base64\?.*\?=", re.DOTALL)


_QUESTIONS = ("server/discover", "initialize")


def is_proof(message: Json) -> bool:
    """Does it show that a server is of use, if this message gets a 2xx?

    Not the first questions to it: a refusal may come as a JSON-RPC error under a 200, and who
    answers nothing else would be asked again and again.
    """
    return message.get("method") not in _QUESTIONS


def is_modern(route: Route) -> bool:
    """Is the session one of the stateless revisions, where each request says who asks?"""
    return route.protocol in MODERN


def post(
    route: Route,
    id_: str,
    message: Json,
    *,
    params: Headers | None = None,
    seconds: float | None = None,
) -> Post:
    """A JSON-RPC message on its way. `params` are `Mcp-Param-…` headers; `seconds` as in `Post`.

    Where the dialect is HTTP the answer may come with the response: each message then goes side by
    side with the others.
    """
    if is_modern(route) and "id" in message and "method" in message:
        message = _with_meta(message, route.meta)
    if route.dialect != "http":
        return Post(server=route.server, url=route.url, id=id_, message=message)
    headers = {**session_headers(route), **_method_headers(route, message), **(params or {})}
    return Post(
        server=route.server,
        url=route.url,
        id=id_,
        message=message,
        headers=headers,
        side_by_side=True,
        seconds=seconds,
    )


def get(route: Route, id_: str, *, last_event_id: str = "") -> Get:
    """Ask for the server's own stream, or for the rest of one that broke off."""
    headers = session_headers(route)
    if last_event_id:
        headers["Last-Event-ID"] = last_event_id
    return Get(server=route.server, url=route.url, id=id_, headers=headers)


def session_headers(route: Route) -> Headers:
    """What goes with every HTTP request of a session."""
    headers: Headers = {}
    if route.protocol and route.protocol not in _WITHOUT_VERSION_HEADER:
        headers["MCP-Protocol-Version"] = route.protocol
    if route.session_id and not is_modern(route):
        headers["Mcp-Session-Id"] = route.session_id
    return headers


def header_value(text: str) -> str:
    """Any text as a header value: as it is, or Base64 in the sentinel form that servers read back.

    Plain is printable ASCII that neither begins nor ends with a space and is no sentinel itself.
    """
    if _PLAIN.fullmatch(text) and not _SENTINEL.fullmatch(text):
        return text
    return f"=?base64?{b64encode(text.encode('utf-8', 'surrogatepass')).decode()}?="


def _method_headers(route: Route, message: Json) -> Headers:
    if not is_modern(route) or "method" not in message:
        return {}
    method, params = message["method"], message.get("params")
    headers = {"Mcp-Method": str(method)}
    key = _NAMES.get(method)
    if key is not None and is_object(params) and isinstance(params.get(key), str):
        headers["Mcp-Name"] = header_value(params[key])
    return headers


def _with_meta(message: Json, meta: Json) -> Json:
    params: Json = message["params"] if is_object(message.get("params")) else {}
    own: Json = params["_meta"] if is_object(params.get("_meta")) else {}
    return {**message, "params": {**params, "_meta": {**meta, **own}}}
