import base64

import pytest

from pipeline.shell.targets import Origin, Target, make_target, origin, public_url

KEY = "sk-0123456789abcdef"


@pytest.mark.parametrize(
    ("api_key", "header", "expected"),
    [
        (KEY, "Authorization", {"Authorization": f"Bearer {KEY}"}),
        (KEY, "authorization", {"authorization": f"Bearer {KEY}"}),
        (f"Basic {KEY}", "Authorization", {"Authorization": f"Basic {KEY}"}),
        (KEY, "X-API-Key", {"X-API-Key": KEY}),
        (f" {KEY}\n", "X-API-Key", {"X-API-Key": KEY}),
        ("  ", "Authorization", {}),
        (None, "Authorization", {}),
    ],
)
def test_an_api_key_becomes_a_header(api_key: str | None, header: str, expected: object) -> None:
    target = make_target("fs", "http://h/sse", api_key=api_key, api_key_header=header)
    assert dict(target.headers) == expected


def test_userinfo_becomes_basic_authorization_and_leaves_the_url() -> None:
    target = make_target("fs", "https://ann:p%40ss@h.example/sse?k=1#part")
    assert target.url == "https://h.example/sse?k=1"
    login = base64.b64encode(b"ann:p@ss").decode()
    assert dict(target.headers) == {"Authorization": f"Basic {login}"}


def test_a_user_without_a_password_has_an_empty_one() -> None:
    target = make_target("fs", "https://ann@h.example/sse")
    assert target.headers["Authorization"] == f"Basic {base64.b64encode(b'ann:').decode()}"


def test_the_more_explicit_of_two_headers_wins() -> None:
    url = "https://ann:secret@h.example/sse"
    assert make_target("a", url, api_key=KEY).headers["Authorization"] == f"Bearer {KEY}"
    extra = {"authorization": "Digest x", "X-Team": " blue "}
    target = make_target("a", url, api_key=KEY, extra_headers=extra)
    headers = {name.lower(): value for name, value in target.headers.items()}
    assert headers == {"authorization": "Digest x", "x-team": "blue"}


def test_repr_shows_no_secret() -> None:
    target = make_target(
        "fs",
        f"https://ann:{KEY}@h.example/sse?token={KEY}",
        api_key=KEY,
        extra_headers={"X-Other": KEY},
    )
    assert KEY not in repr(target)
    assert repr(target) == "Target('fs', 'https://h.example/sse')"
    assert target.place == "h.example:443"


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:sesame%2Fopen@h.example/sse",
        "http://h.example/sse?api_key=sesame%2Fopen",
        "http://h.example/sse?api_key=sesame%2Fopen&b",
    ],
)
def test_secrets_of_the_url_are_hidden_in_foreign_text(url: str) -> None:
    target = make_target("fs", url)
    assert target.hide("Cannot GET sesame/open") == "Cannot GET «secret»"


def test_secrets_of_headers_are_hidden_in_foreign_text_with_and_without_their_scheme() -> None:
    target = make_target("fs", "http://h/sse", api_key=KEY, extra_headers={"X-Id": "short"})
    assert target.hide(f"bad {KEY}!") == "bad «secret»!"
    assert target.hide(f"Authorization: Bearer {KEY}!") == "Authorization: «secret»!"
    assert target.hide("short words stay") == "short words stay"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/sse",
        "h.example/sse",
        "ftp://h/sse",
        "javascript:alert(1)",
        "http:///sse",
        "http://[bad/sse",
        "http://h:99999/",
        f"http://ann:pa/{KEY}@h/sse",
        f"http://a\\@{KEY}/",
    ],
)
def test_what_is_no_http_url_is_refused_without_quoting_it(url: str) -> None:
    for use in (lambda u: make_target("fs", u), public_url, origin):
        with pytest.raises(ValueError, match="expected http://HOST") as caught:
            use(url)
        assert KEY not in str(caught.value)
        assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("X-Key", f"{KEY}\r\nX-Evil: 1", "control character"),
        ("X-Key", f"{KEY}\x00", "control character"),
        ("X Key", KEY, "name of a header"),
        ("", KEY, "name of a header"),
        ("Content-Length", "3", "leave it out"),
        ("HOST", "other.example", "leave it out"),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_without_quoting_it(
    name: str, value: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        make_target("fs", "http://h/sse", extra_headers={name: value})
    assert KEY not in str(caught.value)


def test_a_public_url_has_no_userinfo_query_or_fragment() -> None:
    assert public_url("http://ann:pw@H.example:8080/a/b?k=v#f") == "http://h.example:8080/a/b"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h.example/a", Origin("http", "h.example", 80)),
        ("HTTPS://H.Example/a", Origin("https", "h.example", 443)),
        ("http://ann@h.example:8080", Origin("http", "h.example", 8080)),
        ("http://bücher.example/", Origin("http", "xn--bcher-kva.example", 80)),
        ("http://[::1]:8080/", Origin("http", "::1", 8080)),
    ],
)
def test_an_origin_is_scheme_host_and_port(url: str, expected: Origin) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    "other", ["https://h:80/", "http://h:81/", "http://h2/", "http://h./", "http://h.evil/"]
)
def test_origins_differ_by_scheme_host_or_port(other: str) -> None:
    assert origin(other) != origin("http://h/")


def test_an_origin_reads_like_a_url() -> None:
    assert str(origin("http://[::1]/x")) == "http://[::1]:80"
    assert origin("https://h.example").place == "h.example:443"


def test_headers_of_a_target_cannot_be_changed() -> None:
    target = make_target("fs", "http://h/sse", api_key=KEY)
    with pytest.raises(TypeError):
        target.headers["X-New"] = "1"  # type: ignore[index]
    assert isinstance(target, Target)
