"""Each client scenario of the MCP conformance suite, at each revision, with `main.py` as client."""

import json

import pytest

from tests.conformance.suite import EXPECTED, SUITE, Cell, cells, node, run

REASONS: dict[str, str] = json.loads(EXPECTED.read_text("utf-8"))
"""What does not pass, and why. It may only get shorter."""


def _cells() -> list[Cell]:
    return cells() if SUITE.is_file() and node() is not None else []


@pytest.mark.parametrize("cell", _cells(), ids=str)
def test_a_scenario_passes_or_is_known_not_to(cell: Cell) -> None:
    outcome = run(cell)
    if cell.scenario in REASONS:
        assert outcome.verdict != "pass", f"{cell} passes: take it out of {EXPECTED.name}"
        pytest.xfail(REASONS[cell.scenario])
    assert outcome.verdict == "pass", outcome.words


def test_the_suite_is_there() -> None:
    if node() is None:
        pytest.skip("the conformance suite needs Node 22 or newer: npm install in tests/node")
    if not SUITE.is_file():
        pytest.skip("the conformance suite is not installed: npm install in tests/node")
    assert len(_cells()) > 100
