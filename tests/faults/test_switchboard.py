"""The switchboard itself: where no fault is asked for it is a good server, and it counts."""

import pytest

from pipeline.core.events import AnswerCompleted
from tests.faults.dialects import CALL, DIALECTS, FLAGS, Dialect
from tests.faults.ledger import Verdict, judge_run
from tests.faults.switchboard import switchboard
from tests.support.in_process import QUICK, play


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_without_a_fault_every_call_is_executed_once_and_answered(dialect: Dialect) -> None:
    async with switchboard(dialect) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect])
        played = await play(*argv, prompts=["act n=1 ; act n=2", "look n=3"], env=QUICK)
    assert [each.text for each in played.only(AnswerCompleted)] == ["did 1\ndid 2", "did 3"]
    assert judge_run(server.ledger, played.items) == Verdict()
    assert server.ledger.executed == {1: 1, 2: 1, 3: 1}
    assert len(server.all(CALL)) == 3
