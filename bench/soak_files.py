"""The open files of this process, in words: what each leads to, and who is at its other end.

From `/proc` and TCP_INFO, so this is for Linux.
"""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

_ESTABLISHED: Final = 1  # of `enum` in linux/tcp_states.h
_LISTENING: Final = 10
_STATES = {2: "connecting", 4: "we have ended", 5: "both have ended", 8: "it has ended"}


class OpenFile(NamedTuple):
    """A descriptor: its number, and what it leads to.

    `peer` is the TCP port at the other end of a connection that stands, else None. `is_dead`: a
    TCP socket whose other end has gone, and which nobody has closed yet.
    """

    number: int
    words: str
    peer: int | None = None
    is_dead: bool = False


def open_files() -> list[OpenFile]:
    """All of them, but for that of the listing itself."""
    return [_described(number, link) for number, link in sorted(_links())]


def _links() -> Iterator[tuple[int, str]]:
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            yield int(path.name), str(path.readlink())


def _described(number: int, link: str) -> OpenFile:
    if not link.startswith("socket:"):
        return OpenFile(number, link)
    with socket.socket(fileno=os.dup(number)) as copy:
        is_inet = copy.family in (socket.AF_INET, socket.AF_INET6)
        if not is_inet or copy.type != socket.SOCK_STREAM:
            return OpenFile(number, "local socket" if not is_inet else "udp")
        return _tcp(number, copy)


def _tcp(number: int, sock: socket.socket) -> OpenFile:
    local = sock.getsockname()[1]
    state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    if state == _LISTENING:
        return OpenFile(number, f"tcp :{local} listening")
    try:
        peer = sock.getpeername()[1]
    except OSError:
        return OpenFile(number, f"tcp :{local}, reset", is_dead=True)
    words = f"tcp :{local} to :{peer} {_STATES.get(state, '')}".rstrip()
    is_up = state == _ESTABLISHED
    return OpenFile(number, words, peer if is_up else None, not is_up)
