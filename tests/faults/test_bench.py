"""The comparison with other clients: what its table says, and that its parts measure."""

from typing import Any

import pytest

from bench.faults import table, total, words_of
from bench.faults_cases import CASES, Case, Shows
from bench.faults_clients import Name
from bench.faults_places import Cell, measure

CELLS: tuple[tuple[Cell, Shows, str], ...] = (
    (Cell(0.02, "result", executed=1), "", "at once: result"),
    (Cell(5.04, "unknown", executed=1), "", "5.0 s: unknown"),
    (Cell(5.04, "error", executed=1), "", "5.0 s: error, **though it ran**"),
    (Cell(1.0, "error"), "", "1.0 s: error"),
    (Cell(30.0, "nothing"), "", "**nothing in 30 s**"),
    (Cell(0.0, "another's result", executed=1), "", "at once: **another's result**"),
    (Cell(0.0, "result", executed=2), "", "at once: result, **executed 2 times**"),
    (Cell(0.0, "error", after="error"), "", "at once: error; **next call: error**"),
    (Cell(0.0, "unknown", grown=3), "memory", "at once: unknown; 3 MiB"),
    (Cell(0.0, "unknown", grown=300), "memory", "at once: unknown; **300 MiB**"),
    (Cell(0.0, "unknown"), "elsewhere", "at once: unknown; nothing went there"),
    (Cell(0.0, "result", strays=1), "elsewhere", "at once: result; **the key went there**"),
    (Cell(0.0, "result", after="not sent"), "held", "at once: result; next call: held"),
    (Cell(0.0, "result"), "held", "at once: result; **next call: made**"),
    (Cell(why_not="no network of one's own"), "", "not measured"),
)


@pytest.mark.parametrize(("cell", "shows", "words"), CELLS)
def test_a_cell_says_what_its_user_was_told_and_in_bold_what_is_wrong_with_it(
    cell: Cell, shows: Shows, words: str
) -> None:
    assert words_of(Case("x", "http", shows=shows), cell) == words


def test_the_last_row_counts_what_is_wrong() -> None:
    cases = [Case("x", "http", shows=shows) for _, shows, _ in CELLS]
    counts = total(cases, [cell for cell, _, _ in CELLS])
    assert counts == (
        "1 never told, 1 told as an error though it ran, 1 told another call's result, "
        "1 executed twice, 1 dead for the next call, 1 with the key elsewhere, 1 above 64 MiB"
    )


def test_the_table_has_a_row_for_each_case_and_one_that_counts() -> None:
    cell = Cell(0.0, "result", executed=1)
    head, line, first, *_, last = table(CASES, [[cell, cell]] * len(CASES), ["a", "b"]).split("\n")
    assert head == "| Server | What it does | a | b |"
    assert line == "| --- | --- | --- | --- |"
    assert (
        first
        == "| HTTP+SSE | no `endpoint`, only signs of life | at once: result | at once: result |"
    )
    assert last.startswith(f"| | **in all, of {len(CASES)}** | 0 never told")


def test_no_two_cases_have_one_name() -> None:
    names = [(case.dialect, case.words) for case in CASES]
    assert len(set(names)) == len(names)


def case_of(dialect: str, words: str) -> Case:
    (found,) = (case for case in CASES if (case.dialect, case.words) == (dialect, words))
    return found


MEASURED: tuple[tuple[str, str, Name, dict[str, Any]], ...] = (
    ("http", "half an event, then a reset", "rxmcp", {"told": "unknown", "executed": 1}),
    ("http", "half an event, then a reset", "mcp", {"told": "error", "executed": 1}),
    ("sse", "`endpoint` on another origin", "rxmcp", {"told": "error", "strays": 0}),
    ("stdio", "the process dies in mid call", "rxmcp", {"told": "unknown", "executed": 1}),
    ("http", "frozen (SIGSTOP)", "rxmcp", {"told": "unknown", "executed": 1}),
)


@pytest.mark.parametrize(("dialect", "words", "name", "expected"), MEASURED)
async def test_a_client_in_a_process_meets_a_fault_and_the_next_call_is_as_told(
    dialect: str, words: str, name: Name, expected: dict[str, Any]
) -> None:
    cell = await measure(case_of(dialect, words), name)
    assert {key: getattr(cell, key) for key in expected} == expected
    assert cell.after == "result"
