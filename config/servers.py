"""Names for servers: short, unique in the run, safe in the name of a tool."""

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

EMBEDDED = "local"
"""The name of the server inside this process; no other server gets it."""

MAX_NAME = 24
_PORTS = {"http": 80, "https": 443}


def server_names(urls: Sequence[str]) -> tuple[str, ...]:
    """One name per URL, in order: `[a-z0-9-]`, at most 24 characters, no two the same.

    A server is called after its host (`mcp-example-com`), one on this machine with its port
    (`localhost-3001`). Servers that would share a name get their port too, and a number where
    that is not enough. `urls` are checked http(s) addresses.
    """
    plain = [_plain_name(url) for url in urls]
    shared = Counter(plain)
    taken = {EMBEDDED}
    names: list[str] = []
    for url, name in zip(urls, plain, strict=True):
        is_free = shared[name] == 1 and name != EMBEDDED
        wished = name if is_free else _ending(_slug(_host(url)), str(_port(url)))
        names.append(_untaken(wished, taken))
        taken.add(names[-1])
    return tuple(names)


def plain_url(url: str) -> str:
    """The address without user, password, query and fragment: fit for events and the screen."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def url_secrets(url: str) -> frozenset[str]:
    """What must not be printed of an address: its password, and the values of its query."""
    parts = urlsplit(url)
    values = {value for _, value in parse_qsl(parts.query)}
    return frozenset(values | {parts.password or ""}) - {""}


def _plain_name(url: str) -> str:
    host = _host(url)
    if _is_loopback(host):
        return _ending("localhost", str(_port(url)))
    return _slug(host)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or _PORTS[parts.scheme]


def _slug(host: str) -> str:
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        host = host.encode("ascii", "replace").decode("ascii")
    slug = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")
    return slug[:MAX_NAME].rstrip("-") or "server"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _ending(name: str, end: str) -> str:
    return f"{name[: MAX_NAME - len(end) - 1].rstrip('-')}-{end}"


def _untaken(wished: str, taken: set[str]) -> str:
    name, number = wished, 1
    while name in taken:
        number += 1
        name = _ending(wished, str(number))
    return name
