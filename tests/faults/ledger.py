"""What a server really executed, held against what its client told: nothing lost, nothing doubled.

Jepsen's idea: each call has a number of its own, the server counts what it executes, and after the
run the two are compared.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.core.commands import Item
from pipeline.core.events import ToolEnded, ToolStarted
from tests.faults.dialects import text_of

ERROR = "error"
"""Answered, with an error: the tool's own, a protocol error, or a refusal by HTTP status."""
ASTRAY = "astray"
"""Answered, with the result of another call."""


@dataclass(frozen=True)
class Verdict:
    """Numbers of calls, by what is wrong with them; `unknown` is wrong with none.

    `lost`: their end was never told, or told as a result that is another call's. `doubled`:
    executed more than once, though nobody allowed that. `phantom`: told as not sent, and executed;
    told as answered, and not executed; or executed, and never asked for.
    """

    lost: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    phantom: tuple[int, ...] = ()
    unknown: tuple[int, ...] = ()

    @property
    def is_clean(self) -> bool:
        return not (self.lost or self.doubled or self.phantom)


@dataclass
class Ledger:
    """What a server executed, by the number of the call."""

    executed: Counter[int] = field(default_factory=Counter[int])

    def note(self, n: int) -> None:
        self.executed[n] += 1

    def judge(
        self, asked: Iterable[int], told: Mapping[int, str], *, repeatable: Iterable[int] = ()
    ) -> Verdict:
        """Compare: `told` is how each call ended: `ToolEnded.outcome`, `ERROR` or `ASTRAY`."""
        asked, done = tuple(asked), self.executed
        may_repeat = frozenset(repeatable)
        phantom = [n for n in asked if told.get(n) == "not_sent" and done[n]]
        phantom += [n for n in asked if told.get(n) == "answered" and not done[n]]
        return Verdict(
            lost=tuple(n for n in asked if told.get(n, ASTRAY) == ASTRAY),
            doubled=tuple(sorted(n for n in done if done[n] > 1 and n not in may_repeat)),
            phantom=tuple(sorted({*phantom, *(set(done) - set(asked))})),
            unknown=tuple(n for n in asked if told.get(n) == "unknown"),
        )


def judge_run(ledger: Ledger, items: Iterable[Item]) -> Verdict:
    """Hold a run of this client against the ledger of its server; `look` may be repeated.

    Raises:
        AssertionError: If a call that was started did not end exactly once.
    """
    numbers: dict[str, int] = {}
    told: dict[int, str] = {}
    repeatable: list[int] = []
    for item in items:
        match item:
            case ToolStarted(call=call, tool=tool, arguments=arguments):
                assert call not in numbers, f"{call} was started twice"
                numbers[call] = arguments["n"]
                repeatable += [arguments["n"]] * (tool == "look")
            case ToolEnded(call=call):
                assert call in numbers, f"{call} ended, and was never started"
                n = numbers[call]
                assert n not in told, f"{call} ended twice: {told[n]}, {item.outcome}"
                told[n] = _told(item, n)
            case _:
                pass
    assert told.keys() == set(numbers.values()), f"of {numbers} only {told} ended"
    return ledger.judge(numbers.values(), told, repeatable=repeatable)


def _told(ended: ToolEnded, n: int) -> str:
    if ended.outcome != "answered":
        return ended.outcome
    if ended.is_error:
        return ERROR
    text = " ".join(str(block.get("text")) for block in ended.content)
    return ended.outcome if text_of(n) in text else ASTRAY
