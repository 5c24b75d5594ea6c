"""Each client scenario of the MCP conformance suite, at each revision, with `main.py` as client."""

import json
from collections.abc import Iterator
from functools import cache

import pytest

from tests.conformance.side_by_side import Outcomes, side_by_side
from tests.conformance.suite import EXPECTED, SUITE, Cell, cells, node

REASONS: dict[str, str] = json.loads(EXPECTED.read_text("utf-8"))
"""What does not pass, and why. It may only get shorter."""


@cache
def _cells() -> list[Cell]:
    return cells() if SUITE.is_file() and node() is not None else []


@pytest.fixture(scope="module")
def outcomes(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcomes]:
    """Those of the scenarios that were asked for; they run ahead of the tests."""
    named = {item.name for item in request.session.items if item.path == request.path}
    wanted = [cell for cell in _cells() if f"{_SCENARIO}[{cell}]" in named]
    with side_by_side(wanted, tmp_path_factory.mktemp("conformance")) as found:
        yield found


@pytest.mark.parametrize("cell", _cells(), ids=str)
def test_a_scenario_passes_or_is_known_not_to(cell: Cell, outcomes: Outcomes) -> None:
    outcome = outcomes.of(cell)
    if cell.scenario in REASONS:
        assert outcome.verdict != "pass", f"{cell} passes: take it out of {EXPECTED.name}"
        pytest.xfail(REASONS[cell.scenario])
    assert outcome.verdict == "pass", outcome.words


_SCENARIO = test_a_scenario_passes_or_is_known_not_to.__name__


def test_the_suite_is_there() -> None:
    if node() is None:
        pytest.skip("the conformance suite needs Node 22 or newer: npm install in tests/node")
    if not SUITE.is_file():
        pytest.skip("the conformance suite is not installed: npm install in tests/node")
    assert len(_cells()) > 100
