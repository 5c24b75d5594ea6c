"""A run of the real client against the switchboard, and the verdict on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.events import Problem, StreamLost, ToolDelayed, ToolEnded
from tests.faults.dialects import FLAGS, Dialect
from tests.faults.exchange import On
from tests.faults.ledger import Verdict, judge_run
from tests.faults.switchboard import Switchboard, switchboard
from tests.support.in_process import QUICK, Played, play

PATIENCE = ("--call-timeout", "0.4", "--call-timeout-max", "5", "--connect-timeout", "2")
"""What a person would wait for, in the time that a test has."""
FIRST: Mapping[Dialect, str] = {
    "seed": "GET",
    "sse": "GET",
    "http": "initialize",
    "modern": "server/discover",
}
"""The first request that a server has to answer."""
TWO = ("act n=1", "act n=2")
"""A call that meets the fault, and one after it: the run has to go on."""


@dataclass(frozen=True)
class Met:
    """What became of a run that met a fault."""

    played: Played
    server: Switchboard
    verdict: Verdict

    @property
    def ends(self) -> list[ToolEnded]:
        return self.played.only(ToolEnded)

    @property
    def told(self) -> str:
        """All that the user is told of troubles, in words."""
        calls = [end.reason for end in self.ends]
        problems = [problem.detail for problem in self.played.only(Problem)]
        delays = [delayed.reason for delayed in self.played.only(ToolDelayed)]
        losses = [lost.reason for lost in self.played.only(StreamLost)]
        return "\n".join((*calls, *problems, *delays, *losses, self.played.ended.reason))


async def meet(
    dialect: Dialect,
    *faults: On,
    argv: Sequence[str] = (),
    prompts: Sequence[str] = TWO,
    env: Mapping[str, str] | None = None,
    is_framed: bool = True,
) -> Met:
    """Run to the end, and hold what was told against what was done: it must agree."""
    async with switchboard(dialect, *faults, is_framed=is_framed) as server:
        words = ("--server", server.url, "--dialect", FLAGS[dialect], *PATIENCE, *argv)
        played = await play(*words, prompts=prompts, env={**QUICK, **(env or {})})
        await server.is_alone()
    verdict = judge_run(server.ledger, played.items)
    assert verdict.is_clean, f"{verdict}; executed {dict(server.ledger.executed)}"
    return Met(played, server, verdict)
