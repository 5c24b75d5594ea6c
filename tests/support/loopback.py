"""A kill switch: inside `loopback_only()` no socket of this process may leave the machine."""

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_attempts: list[str] | None = None


class LeftLoopbackError(Exception):
    """Something tried to reach another machine."""


@contextmanager
def loopback_only() -> Iterator[list[str]]:
    """Refuse every connection to elsewhere, and fail at the end if one was tried.

    The list holds the refused addresses; a test that provokes one must clear it.
    """
    global _attempts  # noqa: PLW0603  an audit hook cannot be removed, only told to look away
    _attempts = []
    try:
        yield _attempts
        if _attempts:
            raise LeftLoopbackError(f"tried to reach {', '.join(_attempts)}")
    finally:
        _attempts = None


def _is_loopback(host: object) -> bool:
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return host in ("localhost", None, "")


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _attempts is None or event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    place = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = place[0] if isinstance(place, tuple) else place
    is_path = event != "socket.getaddrinfo" and not isinstance(place, tuple)
    if not is_path and not _is_loopback(host):
        _attempts.append(str(host))
        raise LeftLoopbackError(f"a test tried to reach {host!r}")


sys.addaudithook(_audit)
