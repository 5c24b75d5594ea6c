"""Each fault of a call, in each dialect that knows it, against the real client.

Whatever a server does: the call ends once, what the user is told agrees with what the server did,
nothing is executed twice, and the run goes on.
"""

import pytest

from pipeline.core.events import RunEnded, ToolRepeated
from tests.faults.dialects import CALL, Dialect
from tests.faults.exchange import On
from tests.faults.ledger import ERROR
from tests.faults.meeting import meet
from tests.faults.rows import ROWS

CASES = [(name, dialect) for name, row in ROWS.items() for dialect in row.dialects]


@pytest.mark.parametrize(("name", "dialect"), CASES)
async def test_a_call_that_meets_a_fault_ends_once_in_words_and_the_next_one_is_answered(
    name: str, dialect: Dialect
) -> None:
    row = ROWS[name]
    met = await meet(dialect, On(CALL, *row.script), argv=row.argv, env=row.env)
    first, second = met.ends
    is_error = first.outcome == "answered" and first.is_error
    assert (ERROR if is_error else first.outcome) == row.outcome_in(dialect)
    assert row.says in met.told
    assert first.outcome == "answered" or first.reason
    assert (second.outcome, second.is_error) == ("answered", False)
    assert met.server.ledger.executed[1] == row.executed_in(dialect)
    assert met.played.only(ToolRepeated) == []
    assert met.played.ended == RunEnded(code=0)


@pytest.mark.parametrize(("name", "dialect"), CASES)
async def test_a_fault_of_one_call_leaves_each_of_the_others_one_end(
    name: str, dialect: Dialect
) -> None:
    row = ROWS[name]
    fault = On(CALL, *row.script, n=2)
    prompts = ["act n=1 ; act n=2 ; look n=3", "act n=4"]
    met = await meet(dialect, fault, argv=row.argv, env=row.env, prompts=prompts)
    assert len(met.ends) == 4
    assert met.ends[-1].outcome == "answered"
    assert met.played.ended == RunEnded(code=0)
