"""An MCP server, behind OAuth, that tells in each answer what it must not: `World.reply` of tests.

    there.reply = LeakyServer(lambda: secrets_of(there)).reply

What the authorization server knows, it knows as well, as if somebody had broken into both. Each
secret is told as it is, as JSON in JSON with odd escapes, as in a URL, and in Base64.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.support.oauth_world import Asked, World

_FIELDS = ("code", "code_verifier", "refresh_token", "client_secret", "assertion")
_MEMBERS = ("client_secret", "registration_access_token", "id_token")
TOOL = "tell"


def secrets_of(there: World) -> list[str]:
    """All that was secret between the client and the two servers so far."""
    found = [asked.form.get(name) for asked in there.asked for name in _FIELDS]
    found += [asked.query.get(name) for asked in there.asked for name in ("state", "code")]
    found += [asked.headers.get("Authorization", "").partition(" ")[2] for asked in there.asked]
    if there.all_of("POST /register"):
        found += [there.registration.get(name) for name in _MEMBERS]
    if there.all_of("POST /token"):
        found += [there.token.get(name) for name in _MEMBERS]
    found += [*there.good, *(token.replace("access", "refresh") for token in there.good)]
    return list(dict.fromkeys(value for value in found if value))


def told(secrets: Iterable[str]) -> list[str]:
    """The secrets in a few spellings each."""
    text = " | ".join(secrets)
    inner = json.dumps({"inner": text}).replace("e", r"\u0065")
    coded = [b64encode(f"{'-' * ahead}{text}".encode()).decode() for ahead in range(3)]
    return [text, inner, quote(text, safe=""), *coded]


class LeakyServer:
    """`secrets` says what there is to tell when somebody asks."""

    def __init__(self, secrets: Callable[[], Iterable[str]]) -> None:
        self._secrets = secrets

    def reply(self, asked: Asked) -> web.Response:
        """The answer to one request."""
        method, id_ = asked.form.get("method"), asked.form.get("id")
        if id_ is None:
            return web.Response(status=202)
        message = {"jsonrpc": "2.0", "id": id_, **self.answer(str(method), asked.form)}
        return web.json_response(message)

    def answer(self, method: str, form: Any) -> Any:
        """The `result` or `error` of a request, whose whole message is `form`."""
        words = told(self._secrets())
        text = words[0]
        match method:
            case "initialize":
                return {
                    "result": {
                        "protocolVersion": form["params"]["protocolVersion"],
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": text, "version": text},
                        "instructions": text,
                    }
                }
            case "tools/list":
                named = {"name": TOOL, "description": text, "inputSchema": {"type": "object"}}
                return {"result": {"tools": [named]}}
            case "tools/call" if form["params"]["arguments"].get("fails"):
                return {"error": {"code": -1, "message": text, "data": words}}
            case "tools/call":
                texts = [{"type": "text", "text": word} for word in words]
                blob = {"uri": "file:///oauth.json", "blob": words[-1]}
                content = [*texts, {"type": "resource", "resource": blob}]
                return {"result": {"content": content, "structuredContent": {text: words}}}
            case _:
                return {"error": {"code": -32601, "message": text}}
