import pytest

from server.guards import host_refusal, is_open_to_network, key_refusal, origin_refusal


@pytest.mark.parametrize(
    ("bound", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:8000", None),
        ("127.0.0.1", "localhost:8000", None),
        ("127.0.0.1", "LOCALHOST", None),
        ("127.0.0.1", "[::1]:8000", None),
        ("127.0.0.1", "127.0.0.2", None),
        ("127.0.0.1", "localhost:9999", None),  # a forwarded port
        ("localhost", "127.0.0.1:8000", None),
        ("::1", "[::1]:8000", None),
        ("127.0.0.1", "evil.example", 421),
        ("127.0.0.1", "evil.example:8000", 421),
        ("127.0.0.1", "127.0.0.1.evil.example", 421),
        ("127.0.0.1", "localhost.evil.example:8000", 421),
        ("127.0.0.1", "evil.example@localhost", 421),
        ("127.0.0.1", "localhost:x", 421),
        ("127.0.0.1", "", 421),
        ("127.0.0.1", "0.0.0.0:8000", 421),
        ("127.0.0.1", "192.168.1.5:8000", 421),
        ("127.0.0.1", "[::ffff:c0a8:105]", 421),
        ("box.lan", "box.lan:8000", None),
        ("box.lan", "BOX.lan", None),
        ("box.lan", "localhost:8000", None),
        ("box.lan", "evil.example", 421),
        ("0.0.0.0", "any.example", None),  # noqa: S104
        ("::", "any.example", None),
        ("192.168.1.5", "box.lan:8000", None),
    ],
)
def test_host_matrix(bound: str, host: str, status: int | None) -> None:
    refusal = host_refusal([host], bound=bound)
    assert (refusal.status if refusal else None) == status


@pytest.mark.parametrize("hosts", [[], ["localhost", "localhost"]])
def test_no_host_and_two_hosts_are_bad_requests(hosts: list[str]) -> None:
    refusal = host_refusal(hosts, bound="127.0.0.1")
    assert refusal is not None
    assert refusal.status == 400


@pytest.mark.parametrize(
    ("origins", "host", "allowed"),
    [
        ([], "127.0.0.1:8000", True),
        (["http://127.0.0.1:8000"], "127.0.0.1:8000", True),
        (["http://localhost:8000"], "127.0.0.1:8000", True),
        (["http://[::1]:8000"], "localhost:8000", True),
        (["HTTP://LOCALHOST:8000"], "localhost:8000", True),
        (["http://localhost"], "localhost:80", True),
        (["https://box.lan"], "box.lan", True),
        (["https://box.lan:443"], "box.lan", True),
        (["http://localhost:3000"], "localhost:8000", False),
        (["http://evil.example"], "localhost:8000", False),
        (["http://evil.example:8000"], "localhost:8000", False),
        (["http://localhost.evil.example:8000"], "localhost:8000", False),
        (["http://localhost:8000@evil.example"], "localhost:8000", False),
        (["http://evil.example@localhost:8000"], "localhost:8000", False),
        (["null"], "localhost:8000", False),
        ([""], "localhost:8000", False),
        (["file://localhost:8000"], "localhost:8000", False),
        (["http://[::1"], "localhost:8000", False),
        (["http://localhost:8000", "http://localhost:8000"], "localhost:8000", False),
    ],
)
def test_origin_matrix(origins: list[str], host: str, allowed: bool) -> None:
    refusal = origin_refusal(origins, host=host)
    assert (refusal is None) == allowed
    assert refusal is None or refusal.status == 403


@pytest.mark.parametrize(
    ("authorizations", "api_keys", "allowed"),
    [
        (["Bearer right"], [], True),
        (["bearer right"], [], True),
        (["Bearer   right "], [], True),
        ([], ["right"], True),
        (["Bearer wrong"], ["right"], True),
        (["Bearer wrong", "Bearer right"], [], True),
        ([], [], False),
        (["Bearer wrong"], [], False),
        (["Bearer"], [], False),
        (["Bearer "], [], False),
        (["Basic right"], [], False),
        (["right"], [], False),
        ([], ["wrong"], False),
        ([], [""], False),
        ([], ["righ"], False),
        ([], ["right "], False),
        ([], ["r\udcffght"], False),
    ],
)
def test_key_matrix(authorizations: list[str], api_keys: list[str], allowed: bool) -> None:
    refusal = key_refusal(authorizations, api_keys, expected="right")
    assert (refusal is None) == allowed
    if refusal is not None:
        assert refusal.status == 401
        assert refusal.headers["WWW-Authenticate"].startswith('Bearer realm="rxmcp"')
        assert "right" not in refusal.words


def test_without_a_key_everybody_may_come() -> None:
    assert key_refusal([], [], expected=None) is None
    assert key_refusal(["Bearer anything"], [], expected=None) is None


def test_a_wrong_key_is_told_apart_from_a_missing_one() -> None:
    missing = key_refusal([], [], expected="right")
    wrong = key_refusal(["Bearer wrong"], [], expected="right")
    assert missing is not None
    assert wrong is not None
    assert "invalid_token" not in missing.headers["WWW-Authenticate"]
    assert "invalid_token" in wrong.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("bound", "is_open"),
    [("127.0.0.1", False), ("localhost", False), ("::1", False), ("0.0.0.0", True)],  # noqa: S104
)
def test_only_loopback_is_closed_to_the_network(bound: str, is_open: bool) -> None:
    assert is_open_to_network(bound) is is_open
