"""What is installed has no hole that we know of, and CI installs what was tested."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOORS = {
    "aiohttp": "3.13.4",  # CVE-2026-22815: trailers without a bound; CVE-2025-69228, -69230
    "mcp": "1.23.0",  # CVE-2025-66416; CVE-2025-53365, -53366 before
}
_WISH = re.compile(r"([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?>=([0-9.]+),<([0-9.]+)(?:;.*)?")


def wishes() -> dict[str, str]:
    """The packages that a run needs, each with the lowest version that may be installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, str] = {}
    for wish in project["dependencies"]:
        match = _WISH.fullmatch(wish.replace(" ", ""))
        assert match is not None, f"found {wish!r}, expected NAME>=LOWEST,<NEXT"
        found[match[1].lower()] = match[2]
    return found


def pinned() -> dict[str, str]:
    """The versions that CI installs."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split(";")[0].split("==") for line in lines if "==" in line]
    return {name.strip().lower().replace("_", "-"): exact.strip() for name, exact in pins}


def parts(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.mark.parametrize(("name", "floor"), FLOORS.items())
def test_no_version_with_a_known_hole_can_be_installed(name: str, floor: str) -> None:
    for found in (wishes()[name], pinned()[name], version(name)):
        assert parts(found) >= parts(floor)


def test_each_package_that_a_run_needs_is_pinned_for_ci_and_bounded_for_all() -> None:
    assert {name for name in wishes() if name not in pinned()} <= {"backports.zstd"}
    for name, lowest in wishes().items():
        if name in pinned():
            assert parts(pinned()[name]) >= parts(lowest)
