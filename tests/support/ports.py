"""Ports for servers that must be told theirs, and for those that are not there."""

import random
import socket

_PORTS = range(20_000, 32_000)  # below those that systems give to whoever asks for any


def free_port() -> int:
    """A port of this machine that nobody listens on, and that nobody is given by chance.

    Tests run in several processes: a port of the system's choice is soon that of somebody else.
    """
    chance = random.SystemRandom()
    while True:
        port = chance.choice(_PORTS)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
