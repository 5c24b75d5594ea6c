"""Real MCP servers in processes of their own, for the tests of whole runs.

Fixtures of module scope: importing one into a `conftest.py` is enough. A test that must kill its
server uses `Server` itself.
"""

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.program import MAIN, environment

NODE = MAIN.parent / "tests" / "node"
_START = 60.0  # seconds until a server listens, or until npm has brought one


class Server:
    """A process that serves at `url` once it has written a line that matches `ready`.

    The first group of `ready`, if it has one, is the address; else `url` must be given.
    """

    def __init__(
        self, argv: Sequence[str], *, ready: str, url: str = "", env: Mapping[str, str], cwd: Path
    ) -> None:
        self.lines: list[str] = []
        self.url = url
        self._ready = re.compile(ready)
        self._is_ready = False
        self._changed = threading.Condition()
        self._has_ended = False
        self.process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment(cwd, env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        with self._changed:
            self._changed.wait_for(lambda: self._is_ready or self._has_ended, _START)
        if not self._is_ready:
            self.kill()
            raise AssertionError(f"{argv} does not serve: {self.lines}")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.split(":")[2].partition("/")[0])

    def saw(self, words: str) -> None:
        """Wait, off the loop, until it has written a line that holds `words`."""
        with self._changed:
            found = self._changed.wait_for(
                lambda: any(words in line for line in self.lines), _START
            )
        assert found, f"{words!r} did not come: {self.lines}"

    def kill(self) -> None:
        """End it at once, as the power does; no process is left when this returns."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        # To the end: a server whose pipe is full would stand still.
        assert self.process.stdout is not None
        for line in self.process.stdout:
            match = self._ready.search(line)
            with self._changed:
                self.lines.append(line.rstrip())
                if match is not None:
                    self.url = self.url or match[1]
                    self._is_ready = True
                self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()


@contextmanager
def reference_server(folder: Path, *words: str, port: int = 0) -> Generator[Server]:
    """Our own `serve`."""
    argv = (sys.executable, str(MAIN), "serve", "--port", str(port), *words)
    server = Server(argv, ready=r"= serving (\S+)", env={}, cwd=folder)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `python main.py serve`."""
    with reference_server(tmp_path_factory.mktemp("reference")) as server:
        yield server.url


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server made with the Python package `mcp`."""
    script = Path(__file__).with_name("python_sse_server.py")
    server = Server(
        (sys.executable, str(script)),
        ready=r"running on (http://\S+)",
        env={},
        cwd=tmp_path_factory.mktemp("official"),
    )
    try:
        yield f"{server.url}/sse"
    finally:
        server.kill()


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of npm's `@modelcontextprotocol/server-everything`, in its `sse` mode."""
    script = npm_package("server-everything") / "dist" / "index.js"
    port = free_port()
    server = Server(
        ("node", str(script), "sse"),
        ready=r"running on port",
        url=f"http://127.0.0.1:{port}/sse",
        env={"PORT": str(port)},
        cwd=tmp_path_factory.mktemp("everything"),
    )
    try:
        yield server.url
    finally:
        server.kill()


@contextmanager
def installing() -> Iterator[None]:
    """Nobody else installs anything meanwhile: tests run in several processes at once."""
    with (NODE.parent / ".installing").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def npm_package(name: str) -> Path:
    """The folder of a package of `@modelcontextprotocol`, installed if it is not yet."""
    with installing():
        return _npm_package(name)


def _npm_package(name: str) -> Path:
    if shutil.which("node") is None:
        pytest.skip(f"node is not installed, and {name} runs in nothing else")
    package = NODE / "node_modules" / "@modelcontextprotocol" / name
    if (package / "dist" / "index.js").is_file():
        return package
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"{name} is not installed in {NODE}, and there is no npm to do it")
    install = ("install", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        done = subprocess.run(
            (npm, *install), cwd=NODE, capture_output=True, text=True, timeout=_START, check=False
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm did not install {name} within {_START:g} s")
    if done.returncode:
        pytest.skip(f"npm cannot install {name}: {done.stderr[-300:]}")
    return package
