"""No deadline depends on the time of day, nor counts while the client itself is stopped."""

import ast
import asyncio
import signal
from pathlib import Path

from pipeline.core.events import ToolEnded
from tests.support.program import running
from tests.support.recordings import read_run
from tests.support.servers import reference_server

ROOT = Path(__file__).parents[2]
ROOMS = ("config", "operators", "pipeline", "server", "sinks")
TIMES_OF_DAY = {
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("scheduler", "now"),
}
WANTED = {
    "pipeline/headers.py": "the `at` of a recording",
    "pipeline/links.py": "dates in `Retry-After`",
    "pipeline/outboxes.py": "what a webhook has kept outlives the process",
    "pipeline/shell/claude.py": "dates in `retry-after`",
    "pipeline/shell/oauth/authorizer.py": "when a kept token expires",
    "pipeline/shell/oauth/dpop.py": "the `iat` of a proof",
    "sinks/webhook_times.py": "the timestamp that a delivery is signed with",
    "operators/heartbeat.py": "how late a tick is, where nobody gives a clock",
    "server/tools.py": "the tool `now`",
}
"""Where the time of day is what is wanted."""


def asks_for_the_time_of_day(path: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in TIMES_OF_DAY
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    )


def test_the_time_of_day_is_asked_for_only_where_it_is_wanted() -> None:
    files = [ROOT / "main.py", *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
    found = {path.relative_to(ROOT).as_posix() for path in files if asks_for_the_time_of_day(path)}
    assert found == set(WANTED)


async def test_an_answer_that_came_while_the_client_was_stopped_is_not_lost(tmp_path: Path) -> None:
    """Its deadline is over by then, but it has the answer: the deadline would be judged first."""
    with reference_server(tmp_path) as server:
        words = ("--server", server.url, "--call-timeout", "1", "--sink", "console")
        async with running(*words, "--sink", "jsonl=run.jsonl", cwd=tmp_path) as program:
            await program.say("wait seconds=0.5\n")
            await program.told("> wait")
            program.signal(signal.SIGSTOP)
            await asyncio.sleep(2.6)  # this is the fault: longer than the call may take
            program.signal(signal.SIGCONT)
            await program.told("< wait ok")
            program.end_input()
            ended = await program.ended()
    assert (ended.code, ended.out) == (0, "waited 0.5 seconds\n"), ended.err
    (call,) = read_run(tmp_path / "run.jsonl").only(ToolEnded)
    assert call.outcome == "answered"
