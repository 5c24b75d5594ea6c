"""`WWW-Authenticate`, as servers write it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pipeline.shell.oauth.challenge import Challenge, read_challenge

BEARER = frozenset({"bearer"})
PRM = "https://a.example/.well-known/oauth-protected-resource/mcp"


def read(*values: str, status: int = 401) -> Challenge | None:
    return read_challenge(status, CIMultiDict([("www-authenticate", value) for value in values]))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), Challenge(401)),
        (("",), Challenge(401)),
        (("Bearer",), Challenge(401, BEARER)),
        (
            (f'Bearer resource_metadata="{PRM}", scope="a b"',),
            Challenge(401, BEARER, scope="a b", resource_metadata=PRM),
        ),
        (
            ("bearer SCOPE=a , error = invalid_token",),
            Challenge(401, BEARER, error="invalid_token", scope="a"),
        ),
        (
            (f'Basic realm="x", DPoP algs="ES256", resource_metadata="{PRM}"',),
            Challenge(401, frozenset({"dpop"}), resource_metadata=PRM),
        ),
        (
            ('DPoP algs="ES256"', f'Bearer resource_metadata="{PRM}"'),
            Challenge(401, frozenset({"bearer", "dpop"}), resource_metadata=PRM),
        ),
        (('Basic scope="not ours"',), Challenge(401)),
        (('Negotiate abc==, Bearer scope="a"',), Challenge(401, BEARER, scope="a")),
        (
            ('Bearer realm="say \\"scope=x\\", ok", scope=a',),
            Challenge(401, BEARER, scope="a"),
        ),
        (('Bearer scope="a", scope="b"',), Challenge(401, BEARER, scope="a")),
        (('Bearer scope="unclosed',), Challenge(401, BEARER)),
        (('€, Bearer scope="a"',), Challenge(401, BEARER, scope="a")),
    ],
)
def test_what_is_asked_for_is_read_from_our_schemes_only(
    values: tuple[str, ...], expected: Challenge
) -> None:
    assert read(*values) == expected


@pytest.mark.parametrize("status", [200, 400, 404, 407, 500])
def test_other_statuses_ask_for_nothing(status: int) -> None:
    assert read('Bearer scope="a"', status=status) is None


def test_a_403_is_a_challenge_only_if_it_says_that_the_scope_is_too_small() -> None:
    assert read(status=403) is None
    assert read('Bearer error="invalid_token"', status=403) is None
    assert read('Basic error="insufficient_scope"', status=403) is None
    found = read('Bearer error="insufficient_scope", scope="w"', status=403)
    assert found is not None
    assert found.is_step_up
    assert found.scope == "w"


@given(st.text(alphabet='Bearer,="\\ ab\t;:€', max_size=60))
def test_no_header_is_too_odd_to_be_read(text: str) -> None:
    assert isinstance(read(text), Challenge)
