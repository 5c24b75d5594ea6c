"""TLS that does not fit: told in words, tried once, and not a byte of ours is sent."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.in_process import QUICK
from tests.support.program import Ended
from tests.support.program import run as run_program
from tests.support.wire import Script, Wire, hear, reply, serve

NO_CONNECTION = 4
HERE, ELSEWHERE = "IP:127.0.0.1", "DNS:elsewhere.test"
UNFIT = {
    "nobody vouches for it": ("http", HERE, 1, False, "not accepted"),
    "it has expired": ("sse", HERE, -1, True, "expired"),
    "it is another host's": ("sse", ELSEWHERE, 1, True, "not accepted"),
}
"""Who meets it; for whom a certificate is, for how many days, whether its maker is trusted; what is
told.
"""
MOST = {"sse": 1, "http": 4}
"""Connections that may be tried: a stream is given up at once, a message as any first one is."""


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority: `ca.pem`, `ca.key`."""
    folder = tmp_path_factory.mktemp("authority")
    openssl(folder, "req -x509 -nodes -newkey rsa:2048 -subj /CN=ca -keyout ca.key -out ca.pem")
    return folder


def openssl(folder: Path, words: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed, and nothing else here makes certificates")
    done = subprocess.run(
        (program, *words.split()), cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def certified(maker: Path, name: str, days: int) -> ssl.SSLContext:
    """What a server needs that has a certificate for `name`."""
    request = f"req -nodes -newkey rsa:2048 -subj /CN=x -addext subjectAltName={name}"
    openssl(maker, f"{request} -keyout key.pem -out request.pem")
    sign = f"x509 -req -in request.pem -copy_extensions copy -days {days} -CAcreateserial"
    openssl(maker, f"{sign} -CA ca.pem -CAkey ca.key -out cert.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(maker / "cert.pem", maker / "key.pem")
    return context


@dataclass
class Guarded:
    """`wire.serve` behind TLS; `connections` counts those whose handshake failed, too."""

    wire: Wire
    connections: int = 0

    def connect(self) -> asyncio.StreamReaderProtocol:
        self.connections += 1
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(), self.wire.serve)


@asynccontextmanager
async def serving(context: ssl.SSLContext, *script: Script) -> AsyncGenerator[Guarded]:
    guarded = Guarded(Wire(script))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(guarded.connect, "127.0.0.1", 0, ssl=context)
    guarded.wire.port = server.sockets[0].getsockname()[1]
    try:
        yield guarded
    finally:
        server.close()
        await guarded.wire.stop()


async def ask(wire: Wire, dialect: str, folder: Path, trusted: Path | None) -> Ended:
    words = ("--server", f"https://127.0.0.1:{wire.port}/mcp", "--dialect", dialect)
    env = dict(QUICK) if trusted is None else {**QUICK, "SSL_CERT_FILE": str(trusted)}
    return await run_program(*words, "-H", "X-Canary: tweet", "-p", "act n=1", cwd=folder, env=env)


@pytest.mark.parametrize("what", UNFIT)
async def test_a_certificate_that_does_not_fit_is_told_and_the_server_not_tried_for_ever(
    what: str, maker: Path, tmp_path: Path
) -> None:
    dialect, name, days, is_trusted, words = UNFIT[what]
    trusted = maker / "ca.pem" if is_trusted else None
    async with serving(certified(maker, name, days), [reply("404 Not Found")]) as server:
        ended = await ask(server.wire, dialect, tmp_path, trusted)
        assert server.wire.requests == []
        assert 1 <= server.connections <= MOST[dialect]
    assert ended.code == NO_CONNECTION
    assert words in ended.words
    assert "certificate" in ended.words


@pytest.mark.parametrize("dialect", ["sse", "http"])
async def test_a_redirect_from_https_to_http_is_not_followed(
    dialect: str, maker: Path, tmp_path: Path
) -> None:
    """The certificate fits here: the request arrives, and what it is answered leads away."""
    async with serve([hear], is_http=False) as canary:
        moved = reply("307 Moved", location=f"http://127.0.0.1:{canary.port}/mcp")
        async with serving(certified(maker, HERE, 1), [moved]) as server:
            ended = await ask(server.wire, dialect, tmp_path, maker / "ca.pem")
            assert server.wire.requests[0].headers["x-canary"] == "tweet"
        assert canary.accepted == 0
    assert ended.code == NO_CONNECTION
    assert "redirect 307" in ended.words
