"""Names for servers: short, unique in the run, safe in the name of a tool."""

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import parse_qsl, urlsplit

EMBEDDED = "local"
"""The name of the server inside this process; no other server gets it."""

MAX_NAME = 24
_LOOPBACK = "localhost"
_KEY = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z]).{20,}")
_PORTS = {"http": 80, "https": 443}


def server_names(urls: Sequence[str]) -> tuple[str, ...]:
    """One name per URL, in order: `[a-z0-9-]`, at most 24 characters, no two the same.

    A server is called after its host (`mcp-example-com`), one on this machine with its port
    (`localhost-3001`). Servers that would share a name get their port too, and a number where
    that is not enough. `urls` are checked http(s) addresses.
    """
    hosts = [_host_name(url) for url in urls]
    shared = Counter(hosts)
    taken = {EMBEDDED}
    names: list[str] = []
    for url, host in zip(urls, hosts, strict=True):
        is_enough = shared[host] == 1 and host not in (EMBEDDED, _LOOPBACK)
        names.append(_untaken(host, "" if is_enough else str(_port(url)), taken))
        taken.add(names[-1])
    return tuple(names)


def url_secrets(url: str) -> frozenset[str]:
    """What must not be printed of an address.

    Its password, the values of its query, and what looks like a key in its path: some services put
    it there (`/s/MzQ1…/sse`).
    """
    parts = urlsplit(url)
    values = {value for _, value in parse_qsl(parts.query)}
    keys = {part for part in parts.path.split("/") if _KEY.fullmatch(part)}
    return frozenset(values | keys | {parts.password or ""}) - {""}


def _host_name(url: str) -> str:
    host = urlsplit(url).hostname or ""
    return _LOOPBACK if _is_loopback(host) else _slug(host)


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
        return host == _LOOPBACK or host.endswith(f".{_LOOPBACK}")


def _untaken(host: str, port: str, taken: set[str]) -> str:
    name, number = _name(host, port), 1
    while name in taken:
        number += 1
        name = _name(host, f"{port}-{number}".lstrip("-"))
    return name


def _name(host: str, end: str) -> str:
    """Cut the host, never the end."""
    return f"{host[: MAX_NAME - len(end) - 1].rstrip('-')}-{end}" if end else host
