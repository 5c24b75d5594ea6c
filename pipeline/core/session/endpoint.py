"""Where an `endpoint` event may send us: MCP 2024-11-05, transports, "HTTP with SSE".

The reference is resolved against the URL of the stream and must stay on its origin (scheme, host
and port). Anything else would let a server point our credentials at a third party.
"""

import re
from urllib.parse import SplitResult, parse_qs, urljoin, urlsplit

_FORBIDDEN = re.compile(r"[\x00-\x20\x7f\\]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SESSION_KEYS = ("session_id", "sessionId", "sessionid", "session")


class EndpointRefusedError(ValueError):
    """An `endpoint` that is not followed; the text says what was found and what is allowed."""


def resolve(base: str, reference: str) -> str:
    """The absolute URL that an `endpoint` event names.

    Raises:
        EndpointRefusedError: If it is empty, malformed or leaves the origin of `base`.
    """
    if not reference.strip():
        raise EndpointRefusedError("found an empty endpoint, expected a path or a URL")
    if _FORBIDDEN.search(reference):
        raise EndpointRefusedError(
            f"found {reference!r} as endpoint, expected no backslash, space or control character"
        )
    try:
        url = urljoin(base, reference)
        target, home = urlsplit(url), urlsplit(base)
        is_home = _origin(target) == _origin(home)
    except ValueError as exc:
        raise EndpointRefusedError(f"found {reference!r} as endpoint: {exc}") from exc
    if "@" in target.netloc:
        raise EndpointRefusedError(f"found {reference!r} as endpoint, expected no user in it")
    if not is_home:
        raise EndpointRefusedError(
            f"found {reference!r} as endpoint, expected the origin {home.scheme}://{home.netloc}"
        )
    return url


def session_id_in(url: str) -> str:
    """The session id in an endpoint's query, or an empty string."""
    query = parse_qs(urlsplit(url).query)
    return next((query[key][0] for key in _SESSION_KEYS if key in query), "")


def _origin(parts: SplitResult) -> tuple[str, str, int | None]:
    port = parts.port if parts.port is not None else _DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port
