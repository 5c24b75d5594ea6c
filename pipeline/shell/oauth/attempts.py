"""How often a server is authorized anew before we take its no for a no."""

from collections import deque
from collections.abc import MutableMapping
from typing import TypeAlias, TypeVar

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.challenge import FORBIDDEN, UNAUTHORIZED, Challenge

MOST_SAME = {UNAUTHORIZED: 3, FORBIDDEN: 2}
"""How often one challenge is met within `WINDOW`. MCP, "Step-Up": a few times, then it is final."""
WINDOW = 600.0
"""Seconds. Tokens that live for an hour run out, and are asked for again, as often as they like."""
_MOST_KINDS = 64

T = TypeVar("T")
_Key: TypeAlias = tuple[int, frozenset[str]]


class Attempts:
    """Counts by challenge: its status, and the scope it asks for. What is closed stays closed."""

    def __init__(self) -> None:
        self._met: dict[_Key, deque[float]] = {}
        self._closed: dict[_Key, str] = {}

    def spend(self, challenge: Challenge, now: float) -> None:
        """Count one; `now` is in seconds of any clock that does not jump.

        Raises:
            AuthorizationError: If it would be one too many.
        """
        key = _key(challenge)
        if key in self._closed:
            raise AuthorizationError(self._closed[key])
        met = self._met.setdefault(key, deque())
        while met and now - met[0] > WINDOW:
            met.popleft()
        if len(met) >= MOST_SAME[challenge.status]:
            raise AuthorizationError(
                f"it was authorized {len(met)} times and refuses all the same (HTTP"
                f" {challenge.status}); it is not tried again for now"
            )
        met.append(now)
        _bound(self._met)

    def close(self, challenge: Challenge, why: str) -> None:
        """Whoever tries again gets the same answer: so nobody does."""
        self._closed[_key(challenge)] = why
        _bound(self._closed)


def _key(challenge: Challenge) -> _Key:
    return challenge.status, frozenset(challenge.scope.split())


def _bound(table: MutableMapping[_Key, T]) -> None:
    while len(table) > _MOST_KINDS:
        del table[next(iter(table))]
