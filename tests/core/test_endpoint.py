"""Where an `endpoint` event may send us, and where not."""

import pytest

from pipeline.core.session.endpoint import EndpointRefusedError, resolve, session_id_in

BASE = "http://good.example:8000/api/sse"


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("/messages/?session_id=1", "http://good.example:8000/messages/?session_id=1"),
        ("messages?session_id=1", "http://good.example:8000/api/messages?session_id=1"),
        ("?session_id=1", "http://good.example:8000/api/sse?session_id=1"),
        ("../m", "http://good.example:8000/m"),
        ("/a/../../m", "http://good.example:8000/m"),
        ("http://good.example:8000/m", "http://good.example:8000/m"),
        ("HTTP://GOOD.example:8000/m", "http://GOOD.example:8000/m"),
        ("//good.example:8000/m", "http://good.example:8000/m"),
        ("/m?to=http://evil.example/", "http://good.example:8000/m?to=http://evil.example/"),
        ("/http://evil.example/", "http://good.example:8000/http://evil.example/"),
        ("/m/@evil.example", "http://good.example:8000/m/@evil.example"),
        ("/%0d%0aHost:evil", "http://good.example:8000/%0d%0aHost:evil"),
        ("/größe", "http://good.example:8000/größe"),
    ],
)
def test_an_endpoint_on_the_same_origin_is_followed(reference: str, url: str) -> None:
    assert resolve(BASE, reference) == url


@pytest.mark.parametrize(
    "reference",
    [
        "http://evil.example:8000/m",
        "http://good.example:8001/m",
        "http://good.example/m",
        "https://good.example:8000/m",
        "//evil.example/m",
        "//evil.example:8000/m",
        "http://good.example:8000.evil.example/m",
        "http://good.example.evil.example:8000/m",
        "http://sub.good.example:8000/m",
        "http://good.example.:8000/m",
        "http://user@good.example:8000/m",
        "http://user:password@good.example:8000/m",
        "http://good.example:8000@evil.example/m",
        "//good.example:8000@evil.example/m",
        "http://@good.example:8000/m",
        "ftp://good.example:8000/m",
        "ws://good.example:8000/m",
        "javascript:alert(1)",
        "data:text/plain,x",
        "file:///etc/passwd",
        "\\\\evil.example\\m",
        "/\\evil.example/m",
        "http:\\\\evil.example/m",
        "http://good.example:8000\\@evil.example/m",
        "http://good.example:99999/m",
        "http://good.example:x/m",
        "http://[::1/m",
        "http://[zz]/m",
        "http://good.example:0/m",
        "",
        "   ",
        "\t",
        "/m\n",
        "/m\r\nX-Evil: 1",
        "/m\x00",
        "/m\x7f",
        " /m",
        "/m m",
        "/\tm",
        "ht\ntp://evil.example/m",
        "http://good\u2024example:8000/m",
        "http://good.example\uff0fevil:8000/m",
    ],
)
def test_an_endpoint_that_leads_elsewhere_or_hides_something_is_refused(reference: str) -> None:
    with pytest.raises(EndpointRefusedError, match="found"):
        resolve(BASE, reference)


@pytest.mark.parametrize(
    ("base", "reference"),
    [
        ("http://good.example/sse", "http://good.example:80/m"),
        ("http://good.example:80/sse", "http://good.example/m"),
        ("https://good.example/sse", "https://good.example:443/m"),
        ("https://good.example:443/sse", "/m"),
        ("http://[::1]:8000/sse", "http://[::1]:8000/m"),
    ],
)
def test_a_default_port_is_the_same_port_written_or_not(base: str, reference: str) -> None:
    assert resolve(base, reference).endswith("/m")


@pytest.mark.parametrize(
    ("base", "reference"),
    [
        ("http://good.example/sse", "http://good.example:443/m"),
        ("https://good.example/sse", "http://good.example/m"),
        ("https://good.example/sse", "http://good.example:443/m"),
        ("https://good.example/sse", "https://good.example:80/m"),
    ],
)
def test_a_default_port_is_that_of_its_own_scheme(base: str, reference: str) -> None:
    with pytest.raises(EndpointRefusedError, match="expected the origin"):
        resolve(base, reference)


def test_the_refusal_says_what_was_found_and_what_is_allowed() -> None:
    with pytest.raises(EndpointRefusedError) as caught:
        resolve(BASE, "http://evil.example/m")
    assert "'http://evil.example/m'" in str(caught.value)
    assert "http://good.example:8000" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "session_id"),
    [
        ("http://x/m?session_id=abc", "abc"),
        ("http://x/m?sessionId=abc", "abc"),
        ("http://x/m?a=1&session_id=a%20b", "a b"),
        ("http://x/m?session_id=first&session_id=second", "first"),
        ("http://x/m?sessionId=other&session_id=ours", "ours"),
        ("http://x/m?session_id=", ""),
        ("http://x/m?SESSION_ID=abc", ""),
        ("http://x/m", ""),
    ],
)
def test_the_session_id_is_taken_from_the_query(url: str, session_id: str) -> None:
    assert session_id_in(url) == session_id
