"""Standard output that is not what one thinks of: no UTF-8, no width, nobody who reads."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.dialects import CALL
from tests.faults.exchange import On
from tests.faults.good import accept, end, run
from tests.faults.rows import saying
from tests.faults.switchboard import switchboard
from tests.support.program import run as run_program

NO_UTF8 = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
SHOWN = {
    "a locale without UTF-8": (NO_UTF8, "did 1 \\u2192 \\xe9"),
    "a width of nothing": ({"COLUMNS": "0", "LINES": "0"}, "did 1 → é"),
    "a width that is none": ({"COLUMNS": "wide"}, "did 1 → é"),
    "a terminal that nobody knows": ({"TERM": "nosuch"}, "did 1 → é"),
}


@pytest.mark.parametrize(("env", "shown"), SHOWN.values(), ids=SHOWN)
async def test_an_odd_screen_costs_no_answer_and_makes_no_traceback(
    env: Mapping[str, str], shown: str, tmp_path: Path
) -> None:
    async with switchboard("http", On(CALL, run, accept, saying(" → é"), end)) as server:
        words = ("--server", server.url, "--sink", "console", "--sink", "jsonl=run.jsonl")
        ended = await run_program(*words, cwd=tmp_path, stdin=b"act n=1\n", env=env)
    assert (ended.code, ended.out) == (0, f"{shown}\n"), ended.words
    assert "did 1 → é" in (tmp_path / "run.jsonl").read_text("utf-8")
