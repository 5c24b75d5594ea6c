"""The wheel gives one top-level name and a command, and runs without the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hatch_build import rewrite

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder), ".")
    result = run(*build, cwd=ROOT)
    assert result.returncode == 0, result.stdout + result.stderr
    return next(folder.glob("*.whl"))


def test_the_only_top_level_name_is_rxmcp(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"rxmcp"}
    assert {"rxmcp/main.py", "rxmcp/pipeline/core/sse.py", "rxmcp/py.typed"} <= set(names)


def test_an_installed_wheel_calls_a_tool_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "site", tmp_path / "work"
    elsewhere.mkdir()
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    installed = run(*pip, "--target", str(place), str(wheel), cwd=elsewhere)
    assert installed.returncode == 0, installed.stderr
    command = (str(place / "bin" / "rxmcp"), "call", "add", "a=2", "b=3")
    called = run(*command, cwd=elsewhere, PYTHONPATH=str(place))
    assert (called.returncode, called.stdout) == (0, "5\n"), called.stderr
    look = "import rxmcp.main, sys; print(*sorted({'pipeline', 'config', 'main'} & {*sys.modules}))"
    names = run(sys.executable, "-c", look, cwd=elsewhere, PYTHONPATH=str(place))
    assert (names.returncode, names.stdout.strip()) == (0, ""), names.stderr


@pytest.mark.parametrize(
    ("source", "moved"),
    [
        ("from pipeline.core import sse", "from rxmcp.pipeline.core import sse"),
        ("    from server import run", "    from rxmcp.server import run"),
        ("from configparser import ConfigParser", "from configparser import ConfigParser"),
        ("import asyncio", "import asyncio"),
    ],
)
def test_imports_of_rooms_move_below_the_one_name(source: str, moved: str) -> None:
    assert rewrite(source) == moved


def test_an_import_that_would_bind_another_name_is_refused() -> None:
    with pytest.raises(ValueError, match="import pipeline"):
        rewrite("import pipeline.core.sse")
