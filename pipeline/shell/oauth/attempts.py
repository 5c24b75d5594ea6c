"""How often a server is authorized anew before we take its no for a no."""

from collections import deque

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.oauth.challenge import FORBIDDEN, UNAUTHORIZED, Challenge

MOST_SAME = {UNAUTHORIZED: 3, FORBIDDEN: 2}
"""How often one challenge is met within `WINDOW`. MCP, "Step-Up": a few times, then it is final."""
WINDOW = 600.0
"""Seconds. Tokens that live for an hour run out, and are asked for again, as often as they like."""
_MOST_KINDS = 64


class Attempts:
    """Counts by challenge: its status, and the scope it asks for."""

    def __init__(self) -> None:
        self._met: dict[tuple[int, str], deque[float]] = {}

    def spend(self, challenge: Challenge, now: float) -> None:
        """Count one; `now` is in seconds of any clock that does not jump.

        Raises:
            AuthorizationError: If it would be one too many.
        """
        key = challenge.status, " ".join(sorted(set(challenge.scope.split())))
        met = self._met.setdefault(key, deque())
        while met and now - met[0] > WINDOW:
            met.popleft()
        if len(met) >= MOST_SAME[challenge.status]:
            raise AuthorizationError(
                f"it was authorized {len(met)} times and refuses all the same (HTTP"
                f" {challenge.status}); it is not tried again for now",
                is_final=False,
            )
        met.append(now)
        while len(self._met) > _MOST_KINDS:
            del self._met[next(iter(self._met))]
