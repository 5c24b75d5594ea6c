"""The MCP servers that people use, started for real: npm's and PyPI's, over each transport.

What PyPI has comes into environments of its own, made once: these packages want versions of `mcp`
that differ from each other.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import venv
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port
from tests.support.servers import NODE, Server, installing, npm_package

PYTHON = NODE.parent / "python"
_SCRIPT = NODE.parent / "support" / "python_server.py"
_INSTALL = 300.0  # seconds


@dataclass(frozen=True)
class Real:
    """A server to start, and a call that it may have: `tool` with `arguments` gives `says`.

    A process has a `command`; else `serve` starts one that listens, at `path`.
    """

    name: str
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    says: str = ""
    command: Sequence[str] = ()
    serve: Sequence[str] = ()
    ready: str = "running|Running|listening"
    path: str = "/mcp"
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    speaks: str = ""

    def __str__(self) -> str:
        return self.name


def pypi(name: str) -> Path:
    """The folder of programs of an environment with what `tests/python/NAME.txt` lists."""
    with installing():
        return _pypi(name)


def _pypi(name: str) -> Path:
    place = PYTHON / f".venv-{name}"
    programs = place / "bin"
    mark = place / "installed"
    wanted = (PYTHON / f"{name}.txt").read_text("utf-8")
    if mark.is_file() and mark.read_text("utf-8") == wanted:
        return programs
    shutil.rmtree(place, ignore_errors=True)
    venv.create(place, with_pip=True, symlinks=True)
    install = (str(programs / "python"), "-m", "pip", "install", "-q", "-r", f"{name}.txt")
    done = subprocess.run(
        install, cwd=PYTHON, capture_output=True, text=True, timeout=_INSTALL, check=False
    )
    if done.returncode:
        pytest.skip(f"pip cannot install {name}: {done.stderr[-300:]}")
    mark.write_text(wanted, "utf-8")
    return programs


def npm(package: str, *words: str) -> tuple[str, ...]:
    """The command of a server from npm."""
    return ("node", str(npm_package(package) / "dist" / "index.js"), *words)


def official(*words: str) -> tuple[str, ...]:
    """The command of a small server on Python's `mcp`."""
    return (sys.executable, str(_SCRIPT), *words)


def asking(*words: str) -> tuple[str, ...]:
    """The command of a server on Python's `mcp` that asks its client for things."""
    return (sys.executable, str(_SCRIPT.with_name("asking_server.py")), *words)


@contextmanager
def started(real: Real, folder: Path) -> Generator[str]:
    """The server runs; its address."""
    port = free_port()
    words = [word.replace("PORT", str(port)) for word in real.serve]
    url = f"http://127.0.0.1:{port}{real.path}"
    environ = {key: value.replace("PORT", str(port)) for key, value in real.environ.items()}
    server = Server(words, ready=real.ready, url=url, env=environ, cwd=folder)
    try:
        yield url
    finally:
        server.kill()


def config_of(servers: Mapping[str, Real | str]) -> str:
    """`mcpServers` for `--mcp-config`: processes by their command, the others by their address."""
    found: dict[str, Any] = {}
    for name, server in servers.items():
        if isinstance(server, str):
            found[name] = {"url": server}
        else:
            command, *args = server.command
            found[name] = {"command": command, "args": args, "env": {"PATH": os.environ["PATH"]}}
    return json.dumps({"mcpServers": found})


def kill_child(*words: str) -> None:
    """Kill the process of ours that has all these words in its command line."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_text("utf-8")
            parent = (entry / "stat").read_text("utf-8").rpartition(") ")[2].split()[1]
        except OSError:  # it has ended meanwhile
            continue
        if all(word in command for word in words) and parent == str(os.getpid()):
            os.kill(int(entry.name), signal.SIGKILL)
            return
    raise AssertionError(f"no process of ours runs {' '.join(words)}")
