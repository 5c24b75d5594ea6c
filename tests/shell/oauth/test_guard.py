"""Side requests do not lead into networks that the MCP server is not in."""

import socket
from collections.abc import Sequence

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.guard import Guard, GuardedResolver, RefusedAddressError, zone

ODD_ADDRESSES = ("127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.0.0.1.")


class Names(AbstractResolver):
    """A resolver whose names are data; it counts what it is asked."""

    def __init__(self, **names: Sequence[str]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
            for address in self.names[host.split(".", maxsplit=1)[0]]
        ]

    async def close(self) -> None: ...


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", "public"),
        ("2606:2800:220:1::1", "public"),
        ("10.1.2.3", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("127.0.0.1", "loopback"),
        ("127.9.9.9", "loopback"),
        ("::1", "loopback"),
        ("169.254.169.254", "special"),
        ("fe80::1", "special"),
        ("fe80::1%eth0", "special"),
        ("0.0.0.0", "special"),  # noqa: S104
        ("::", "special"),
        ("224.0.0.1", "special"),
        ("240.0.0.1", "special"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:169.254.169.254", "special"),
        ("2002:7f00:1::", "loopback"),
        ("64:ff9b::10.0.0.1", "private"),
    ],
)
def test_an_address_is_of_the_network_that_it_leads_to(address: str, expected: str) -> None:
    assert zone(address) == expected


def test_a_name_is_no_address() -> None:
    with pytest.raises(ValueError, match="localhost"):
        zone("localhost")


@pytest.mark.parametrize(
    ("server", "address", "is_allowed"),
    [
        ("https://public.example/mcp", "93.184.216.34", True),
        ("https://public.example/mcp", "10.0.0.1", False),
        ("https://public.example/mcp", "127.0.0.1", False),
        ("https://public.example/mcp", "169.254.169.254", False),
        ("https://private.example/mcp", "10.0.0.9", True),
        ("https://private.example/mcp", "127.0.0.1", False),
        ("https://private.example/mcp", "169.254.169.254", False),
        ("http://localhost:1/mcp", "127.0.0.1", True),
        ("http://127.0.0.1:1/mcp", "172.17.0.2", True),
        ("http://[::1]:1/mcp", "127.0.0.1", True),
        ("http://127.0.0.1:1/mcp", "169.254.169.254", False),
        ("https://10.0.0.1/mcp", "10.9.9.9", True),
        ("https://mixed.example/mcp", "10.0.0.1", False),
        ("https://linklocal.example/mcp", "169.254.169.254", False),
    ],
)
async def test_side_requests_stay_in_the_networks_of_the_server(
    server: str, address: str, is_allowed: bool
) -> None:
    names = Names(
        public=["93.184.216.34"],
        private=["10.0.0.1"],
        mixed=["93.184.216.34", "10.0.0.1"],
        linklocal=["169.254.1.1"],
        other=[address],
    )
    resolver = GuardedResolver(Guard(server, resolver=names))
    if is_allowed:
        (found,) = await resolver.resolve("other.example", 443)
        assert found["host"] == address
    else:
        with pytest.raises(RefusedAddressError, match=r"other\.example is at"):
            await resolver.resolve("other.example", 443)
    await resolver.close()


async def test_of_several_addresses_only_the_harmless_ones_are_connected_to() -> None:
    names = Names(public=["93.184.216.34"], other=["10.0.0.1", "93.184.216.35"])
    resolver = GuardedResolver(Guard("https://public.example/mcp", resolver=names))
    found = await resolver.resolve("other.example", 443)
    assert [result["host"] for result in found] == ["93.184.216.35"]


async def test_a_host_that_the_user_has_set_is_not_looked_at() -> None:
    names = Names(public=["10.0.0.1"], idp=["10.0.0.2"])
    guard = Guard("https://public.example/mcp", trusted=["https://idp.corp/t"], resolver=names)
    assert await GuardedResolver(guard).resolve("idp.corp", 443)
    assert await GuardedResolver(guard).resolve("public.example", 443)


async def test_where_the_server_is_is_found_out_once() -> None:
    """A name that points elsewhere a moment later opens nothing."""
    names = Names(public=["93.184.216.34"], other=["127.0.0.1"])
    resolver = GuardedResolver(Guard("https://public.example/mcp", resolver=names))
    for _ in range(2):
        with pytest.raises(RefusedAddressError):
            await resolver.resolve("other.example", 443)
        names.names["public"] = ["127.0.0.1"]
    assert names.asked.count("public.example") == 1


async def test_behind_a_proxy_the_server_counts_as_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy looks names up; the proxy itself may be anywhere."""
    monkeypatch.delenv("no_proxy")
    monkeypatch.setenv("https_proxy", "http://proxy.corp:3128")
    names = Names(public=["10.0.0.1"], proxy=["10.0.0.9"], other=["10.0.0.2"])
    guard = Guard("https://public.example/mcp", resolver=names)
    guard.trust_proxy("https://other.example/t")
    assert await GuardedResolver(guard).resolve("proxy.corp", 3128)
    with pytest.raises(RefusedAddressError):
        await GuardedResolver(guard).resolve("other.example", 443)


@pytest.mark.parametrize(
    ("server", "method", "url"),
    [
        ("https://a.example/mcp", "POST", "https://b.example/token"),
        ("https://a.example/mcp", "POST", "http://127.0.0.1:9/token"),
        ("https://a.example/mcp", "GET", "http://localhost:9/prm"),
        ("http://10.0.0.1:80/mcp", "GET", "http://10.0.0.1/.well-known/prm"),
    ],
)
async def test_https_and_loopback_may_be_asked_and_metadata_of_the_server(
    server: str, method: str, url: str
) -> None:
    Guard(server).check(method, url)


@pytest.mark.parametrize(
    ("server", "method", "url"),
    [
        ("https://a.example/mcp", "GET", "http://b.example/prm"),
        ("http://10.0.0.1/mcp", "POST", "http://10.0.0.1/token"),
        ("http://10.0.0.1/mcp", "GET", "http://10.0.0.1:8080/prm"),
        ("https://a.example/mcp", "GET", "file:///etc/passwd"),
        ("https://a.example/mcp", "GET", "ftp://a.example/prm"),
        ("https://a.example/mcp", "GET", "https:///prm"),
        ("https://a.example/mcp", "GET", "http://localhost.evil.example/prm"),
        *(("https://a.example/mcp", "GET", f"https://{odd}/prm") for odd in ODD_ADDRESSES),
    ],
)
async def test_all_else_is_refused(server: str, method: str, url: str) -> None:
    with pytest.raises(AuthorizationError, match=r"expected (an )?https"):
        Guard(server).check(method, url)
