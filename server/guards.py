"""Who may speak to the server: the Host, Origin and key of a request. Pure: headers in, words out.

Host and Origin are what keeps a web page from reaching a server on this machine through DNS
rebinding (MCP 2025-11-25, transports, "Security Warning").
"""

import hmac
import re
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d+))?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_BEARER = "bearer "


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is refused: an HTTP status, words, and headers to go with it."""

    status: int
    words: str
    headers: dict[str, str] = {}


def host_refusal(hosts: Sequence[str], *, bound: str) -> Refusal | None:
    """Refuse a Host that is not this server's.

    Bound to an address of the network, any name may lead here, so none is refused. Bound to this
    machine, only its names are right; the port is free, so that a forwarded port works.

    Args:
        hosts: All Host headers. None or several: 400 (RFC 9112, section 3.2).
        bound: The host the server was told to listen on.
    """
    if len(hosts) != 1:
        return Refusal(400, f"found {len(hosts)} Host headers, expected one")
    if not _is_loopback(bound) and _is_address(bound):
        return None
    name = _split_host(hosts[0])[0]
    if _is_loopback(name) or name == bound.lower():
        return None
    return Refusal(421, f"host {hosts[0][:100]!r} is not this server: use localhost or 127.0.0.1")


def origin_refusal(origins: Sequence[str], *, host: str) -> Refusal | None:
    """Refuse a web page that did not come from this server. No Origin: not a web page.

    Args:
        origins: All Origin headers.
        host: The Host header of the same request.
    """
    if not origins or (len(origins) == 1 and _is_same_origin(origins[0], host)):
        return None
    return Refusal(403, f"origin {', '.join(origins)[:100]!r} is foreign: web pages may not call")


def key_refusal(
    authorizations: Sequence[str], api_keys: Sequence[str], *, expected: str | None
) -> Refusal | None:
    """Refuse a request without the right key (RFC 6750, section 3).

    Args:
        authorizations: All Authorization headers; `Bearer KEY` counts.
        api_keys: All X-API-Key headers.
        expected: The key; None refuses nobody.
    """
    if expected is None:
        return None
    bearers = [
        text[len(_BEARER) :].strip()
        for text in authorizations
        if text[: len(_BEARER)].lower() == _BEARER
    ]
    given = [*bearers, *api_keys]
    # A list, not any(): the time taken does not tell which of them was right.
    if True in [hmac.compare_digest(_digest(key), _digest(expected)) for key in given]:
        return None
    challenge = 'Bearer realm="rxmcp"' + (', error="invalid_token"' if given else "")
    words = "the API key is wrong" if given else "an API key is needed: Authorization: Bearer KEY"
    return Refusal(401, words, {"WWW-Authenticate": challenge})


def is_open_to_network(bound: str) -> bool:
    """Whether a server bound so may be reached from other machines."""
    return not _is_loopback(bound)


def _is_same_origin(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default_port = _DEFAULT_PORTS.get(parts.scheme)
    if default_port is None:
        return False
    theirs, ours = _split_host(parts.netloc), _split_host(host)
    is_same_machine = theirs[0] == ours[0] or (_is_loopback(theirs[0]) and _is_loopback(ours[0]))
    return is_same_machine and (theirs[1] or default_port) == (ours[1] or default_port)


def _split_host(text: str) -> tuple[str, str | None]:
    """Name and port; ("", None) for what is no host, which matches nothing."""
    found = _HOST.fullmatch(text)
    if found is None:
        return "", None
    return (found["v6"] or found["name"]).lower(), found["port"]


def _is_loopback(host: str) -> bool:
    return host.lower() == "localhost" or (_is_address(host) and ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogateescape")).digest()
