"""Names for servers."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.servers import EMBEDDED, MAX_NAME, server_names, url_secrets


@pytest.mark.parametrize(
    ("urls", "names"),
    [
        ((), ()),
        (("https://mcp.example.com/sse",), ("mcp-example-com",)),
        (("https://MCP.Example.com:8443/sse",), ("mcp-example-com",)),
        (("http://localhost:3001/sse",), ("localhost-3001",)),
        (("http://127.0.0.1:3001/sse",), ("localhost-3001",)),
        (("http://127.8.8.8/sse",), ("localhost-80",)),
        (("https://[::1]/sse",), ("localhost-443",)),
        (("http://api.localhost:1/",), ("localhost-1",)),
        (("http://[2001:db8::1]/",), ("2001-db8-1",)),
        (("https://müller.de/",), ("xn-mller-kva-de",)),
        (("https://a_b--c.example/",), ("a-b-c-example",)),
        (
            ("https://a.example:1/x", "https://a.example:2/x", "https://b.example/"),
            ("a-example-1", "a-example-2", "b-example"),
        ),
        (
            ("https://a.example/x", "https://a.example/y", "https://a.example/z"),
            ("a-example-443", "a-example-443-2", "a-example-443-3"),
        ),
        (
            ("http://localhost:1/x", "http://127.0.0.1:1/x"),
            ("localhost-1", "localhost-1-2"),
        ),
        (("http://local/sse",), ("local-80",)),
        (
            ("https://a-very-long-name.example.com/", "https://a-very-long-name.example.org/"),
            ("a-very-long-name-exa-443", "a-very-long-name-e-443-2"),
        ),
        (("https://a-very-long-host-name.example.com/",), ("a-very-long-host-name-ex",)),
        (("https://___/",), ("server",)),
        (("https://é..fr/",), ("fr",)),
    ],
)
def test_a_server_is_called_after_its_host(urls: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert server_names(urls) == names


HOSTS = st.sampled_from(
    ["a.b", "a-b", "a-b-80", "A.B", "localhost", "127.0.0.1", "local", "x" * 40, "x" * 41, "é.fr"]
)
URLS = st.builds(
    lambda host, port, path: f"http://{host}{port}/{path}",
    HOSTS,
    st.sampled_from(["", ":80", ":81", ":65535"]),
    st.sampled_from(["", "a"]),
)


@given(st.lists(URLS, max_size=30))
def test_names_are_unique_short_and_safe(urls: list[str]) -> None:
    names = server_names(urls)
    assert len(set(names)) == len(names) == len(urls)
    assert EMBEDDED not in names
    for name in names:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
        assert len(name) <= MAX_NAME


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("https://h.example/sse", set[str]()),
        ("https://u:pw@h.example/?token=abc&empty=&b=%2Fx", {"pw", "abc", "/x"}),
        ("https://h.example/s/MzQ1NTY3ODkwMTIzNDU2/sse", {"MzQ1NTY3ODkwMTIzNDU2"}),
        ("https://h.example/model-context-protocol/sse", set[str]()),
    ],
)
def test_the_secrets_of_an_url_are_found(url: str, secrets: set[str]) -> None:
    assert url_secrets(url) == secrets
