"""A server is authorized anew a few times, and then its no is a no."""

import pytest

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth import attempts
from pipeline.shell.oauth.attempts import MOST_SAME, WINDOW, Attempts
from pipeline.shell.oauth.challenge import Challenge


@pytest.mark.parametrize("status", [401, 403])
def test_the_same_challenge_is_met_a_few_times(status: int) -> None:
    tried, challenge = Attempts(), Challenge(status, scope="b a")
    for _ in range(MOST_SAME[status]):
        tried.spend(challenge, 0.0)
    with pytest.raises(AuthorizationError, match=f"HTTP {status}"):
        tried.spend(Challenge(status, scope="a  b"), 1.0)
    tried.spend(Challenge(status, scope="a b c"), 1.0)


def test_tokens_that_run_out_every_hour_are_asked_for_every_hour() -> None:
    tried = Attempts()
    for hour in range(100):
        tried.spend(Challenge(401), hour * 3600.0)


def test_only_what_happened_of_late_counts() -> None:
    tried = Attempts()
    for at in (0.0, WINDOW - 2, WINDOW - 1, WINDOW + 1):
        tried.spend(Challenge(401), at)
    with pytest.raises(AuthorizationError):
        tried.spend(Challenge(401), WINDOW + 1)


def test_what_is_closed_stays_closed() -> None:
    tried = Attempts()
    tried.close(Challenge(401), "access was not allowed")
    with pytest.raises(AuthorizationError, match="access was not allowed"):
        tried.spend(Challenge(401), 1e9)
    tried.spend(Challenge(403, scope="a"), 0.0)


def test_a_server_that_asks_for_ever_new_scopes_fills_no_memory() -> None:
    tried = Attempts()
    for number in range(1000):
        tried.spend(Challenge(403, scope=f"s{number}"), 0.0)
        tried.close(Challenge(403, scope=f"s{number}"), "no")
    assert len(tried._met) == len(tried._closed) == attempts._MOST_KINDS
