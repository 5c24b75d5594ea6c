"""Each import contract is seen to fail when it is broken, and to hold as things are."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("config", "operators", "pipeline", "server", "sinks")
BROKEN = {
    "Rooms import downwards only": [
        ("config/options.py", "from pipeline.core.plan import Plan"),
        ("pipeline/core/plan.py", "from pipeline.mailbox import Mailbox"),
        ("pipeline/mailbox.py", "from pipeline.shell.timers import Timers"),
        ("operators/machine.py", "from sinks.memory import MemorySink"),
        ("sinks/memory.py", "from pipeline.shell.timers import Timers"),
        ("pipeline/shell/timers.py", "from operators.machine import machine"),
        ("pipeline/graph.py", "from pipeline.runtime import Runtime"),
    ],
    "Sinks do not know each other": [
        ("sinks/jsonl.py", "from sinks.webhook import WebhookSink"),
    ],
    "The core is pure: no clock, no chance, no loop, no network": [
        ("pipeline/core/calls.py", "import time"),
        ("pipeline/core/sse.py", "import asyncio"),
        ("pipeline/core/tools.py", "from random import random"),
    ],
    "Only shell/claude.py knows the model's SDK": [
        ("pipeline/shell/models.py", "import anthropic"),
    ],
    "Only shell/oauth knows the package mcp, and what else OAuth needs": [
        ("pipeline/shell/targets.py", "from mcp.client.auth import OAuthClientProvider"),
        ("pipeline/shell/http_credentials.py", "import keyring"),
    ],
    "Nobody imports main": [
        ("sinks/console.py", "from main import run"),
    ],
    "The server and the client do not share code": [
        ("server/tools.py", "from pipeline.core.events import Tool as ClientTool"),
    ],
}


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(
        command, cwd=tree, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("main.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_all_contracts_hold(tree: Path) -> None:
    result = lint(tree)
    assert result.returncode == 0, result.stdout
    assert f"Contracts: {len(BROKEN)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize(
    ("contract", "module", "line"),
    [(contract, *breach) for contract, breaches in BROKEN.items() for breach in breaches],
)
def test_a_broken_contract_is_named(tree: Path, contract: str, module: str, line: str) -> None:
    path = tree / module
    path.write_text(f"{path.read_text('utf-8')}\n{line}\n", "utf-8")
    result = lint(tree)
    assert result.returncode == 1, result.stdout
    assert f"{contract} BROKEN" in " ".join(result.stdout.split()), result.stdout
