"""Where side requests may go: what a server names must not lead us into a network of ours.

MCP, security best practices, "Server-Side Request Forgery": https only, but for loopback; private,
link-local and other special addresses are refused, unless the MCP server itself is there. The check
stands where the connection is made, in aiohttp's resolver: what it let through is what is connected
to, so a name that points elsewhere a moment later gains nothing.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from functools import reduce
from typing import Literal, TypeAlias

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.http import is_loopback, proxy_for
from pipeline.shell.oauth.errors import shown
from pipeline.shell.targets import origin

Zone: TypeAlias = Literal["public", "private", "loopback", "special"]
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_ALSO: dict[Zone, frozenset[Zone]] = {
    "public": frozenset({"public"}),
    "private": frozenset({"public", "private"}),
    # Whoever runs a server on this machine has its authorization server here, or in a container.
    "loopback": frozenset({"public", "private", "loopback"}),
    "special": frozenset({"public"}),
}


_ODD = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]*))*")  # `127.1`, `2130706433`


class RefusedAddressError(OSError):
    """A name led to addresses where side requests must not go."""


def zone(address: str) -> Zone:
    """What kind of network an IP address is of; `special` is where nobody has business.

    An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) counts as what it is.

    Raises:
        ValueError: If it is no IP address.
    """
    found = _inner(ipaddress.ip_address(address))
    if found.is_loopback:
        return "loopback"
    if found.is_link_local or found.is_unspecified or found.is_multicast or found.is_reserved:
        return "special"
    return "public" if found.is_global else "private"


class Guard:
    """The rule for the side requests of one MCP server.

    The hosts of `server_url` and of `trusted` (URLs that the user has set) are let through: they
    were not named by a server. `resolver` finds addresses; it is the caller's to close.
    """

    def __init__(
        self,
        server_url: str,
        *,
        trusted: Iterable[str] = (),
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._home = origin(server_url)
        self._trusted = {self._home.host, *(origin(url).host for url in trusted)}
        self._resolver = ThreadedResolver() if resolver is None else resolver
        self._zones: frozenset[Zone] | None = None

    def check(self, method: str, url: str) -> None:
        """See that a URL may be asked at all; its address is looked at when it is connected to.

        Of an MCP server that is itself spoken to over http, metadata may be read, as all is that it
        says; but nothing secret is sent there.

        Raises:
            AuthorizationError: If it may not.
        """
        try:
            there = origin(url)
        except ValueError:
            raise AuthorizationError(
                f"the server led to {shown(url)}, expected an https:// address"
            ) from None
        if _ODD.fullmatch(there.host) and not _is_address(there.host):
            # Names do not look like this, and what connects would read it as some address.
            raise AuthorizationError(
                f"the server led to {shown(str(there))}, expected an https:// address with a name,"
                " or four numbers"
            )
        is_own_metadata = method == "GET" and there == self._home
        if there.scheme != "https" and not is_loopback(there.host) and not is_own_metadata:
            raise AuthorizationError(
                f"the server led to {shown(str(there))}, expected https, as"
                " over http others can read keys"
            )

    async def allow(self, host: str, addresses: Iterable[str]) -> list[str]:
        """Those of a host's addresses that may be connected to.

        Raises:
            RefusedAddressError: If there are none.
        """
        found = list(addresses)
        if host.lower() in self._trusted:
            return found
        zones = await self._allowed()
        good = [address for address in found if zone(address) in zones]
        if found and not good:
            raise RefusedAddressError(
                f"{host} is at {found[0]}, an address inside some network, where the MCP server is"
                " not: it is not asked"
            )
        return good

    def trust_proxy(self, url: str) -> None:
        """Let the proxy through that the environment names for this URL, wherever it is.

        It looks names up itself: where it connects to is the rule of whoever runs it.
        """
        proxy = proxy_for(URL(url))
        if proxy is not None:
            self._trusted.add(origin(proxy).host)

    async def look_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        """As a resolver of aiohttp."""
        results = await self._resolver.resolve(host, port, family)
        good = await self.allow(host, (result["host"] for result in results))
        return [result for result in results if result["host"] in good]

    async def _allowed(self) -> frozenset[Zone]:
        """By where the MCP server is, found out once."""
        if self._zones is None:
            host = self._home.host
            zones: set[Zone] = {"public"}
            try:
                zones = {zone(host)}
            except ValueError:
                if is_loopback(host):
                    zones = {"loopback"}
                elif proxy_for(URL(str(self._home))) is None:
                    results = await self._resolver.resolve(host, self._home.port, socket.AF_UNSPEC)
                    zones = {zone(result["host"]) for result in results}
            # One that is in several networks opens only what all of them do.
            self._zones = reduce(frozenset[Zone].intersection, (_ALSO[found] for found in zones))
        return self._zones


class GuardedResolver(AbstractResolver):
    """aiohttp's resolver, with a guard at its door."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a host that may be connected to."""
        return await self._guard.look_up(host, port, family)

    async def close(self) -> None:
        """Nothing of ours is open."""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _inner(address: _Address) -> _Address:
    if isinstance(address, ipaddress.IPv6Address):
        if (inner := address.ipv4_mapped or address.sixtofour) is not None:
            return inner
        if address in _NAT64:
            return ipaddress.IPv4Address(address.packed[-4:])
    return address
