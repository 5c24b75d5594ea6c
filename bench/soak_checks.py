"""What must hold after each turn of the soak, and at the end of each chat. Pure: words come out."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, TypeGuard

from pipeline.core.commands import Item, Post
from pipeline.core.events import (
    AnswerCompleted,
    RunEnded,
    ToolEnded,
    ToolProgress,
    ToolRepeated,
    ToolStarted,
)


class Wish(NamedTuple):
    """A call that a turn asks for, and what goes wrong with it."""

    server: str
    tool: str
    n: int
    fault: str = ""

    @property
    def words(self) -> str:
        """As a person types it."""
        fault = f" fault={self.fault}" if self.fault else ""
        return f"{self.server}__{self.tool} n={self.n}{fault}"


def check_turn(
    items: Sequence[Item],
    wishes: Sequence[Wish],
    executed: Mapping[int, int],
    calm: Collection[str] = (),
) -> list[str]:
    """What is wrong with the items of one turn, its answer included.

    `executed` says how often a server executed which call, and may grow later for calls whose
    outcome is unknown. At `calm` servers nothing goes wrong: each of their calls has its result.
    """
    wrong: list[str] = []
    started = [item for item in items if isinstance(item, ToolStarted)]
    asked = [(wish.server, wish.tool, wish.n) for wish in wishes]
    found = [(item.server, item.tool, _number(item)) for item in started]
    if found and found != asked:
        wrong.append(f"asked for {asked}, started {found}: not the same in that order")
    answers = [item for item in items if isinstance(item, AnswerCompleted)]
    if len(answers) != 1 or items[-1] is not answers[0]:
        wrong.append(f"found {len(answers)} answers, expected one, as the last item of the turn")
    wrong += check_calls(items, executed)
    wrong += [
        f"{each.call} ended as {each.outcome} ({each.reason!r}), and {each.server} is well"
        for each in items
        if isinstance(each, ToolEnded) and each.server in calm and not is_result(each)
    ]
    said = [f"did {_number(s)}" for s in started if _is_answered(s, items)]
    if answers and said != [ln for ln in answers[0].text.splitlines() if ln.startswith("did ")]:
        wrong.append(f"expected the results {said} in that order, found {answers[0].text!r}")
    return wrong


def check_calls(items: Sequence[Item], executed: Mapping[int, int]) -> list[str]:
    """What is wrong with the calls among these items, each of which must have its end there."""
    wrong: list[str] = []
    open_: dict[str, ToolStarted] = {}
    begun: dict[str, ToolStarted] = {}
    sends: Counter[str] = Counter()
    steps: dict[str, float] = {}
    for item in items:
        match item:
            case ToolStarted(call=call):
                if call in begun:
                    wrong.append(f"{call} was started twice")
                begun[call] = open_[call] = item
                sends[call] = 1
            case ToolRepeated(call=call) | ToolProgress(call=call) if call not in open_:
                wrong.append(f"{type(item).__name__} of {call}, which is not under way")
            case ToolRepeated(call=call):
                sends[call] += 1
                steps.pop(call, None)
            case ToolProgress(call=call, progress=progress):
                if progress <= steps.get(call, 0):
                    wrong.append(f"{call} came to {progress} after {steps[call]}")
                steps[call] = progress
            case ToolEnded(call=call):
                if open_.pop(call, None) is None:
                    wrong.append(f"{call} ended, and was not under way")
                else:
                    wrong += _check_end(begun[call], item, sends[call], executed)
            case _:
                pass
    return [*wrong, *(f"{call} was started and never ended" for call in open_)]


class ChatChecks:
    """What must hold for a whole chat, of which it sees one turn after the other."""

    def __init__(self) -> None:
        self._calls: Counter[str] = Counter()
        self._ids: Counter[str] = Counter()
        self._last: Item | None = None

    def take(self, items: Sequence[Item]) -> None:
        """The items of one more turn, or those behind the last one."""
        self._calls.update(item.call for item in items if isinstance(item, ToolStarted))
        self._ids.update(p.id for p in items if isinstance(p, Post) and _is_request(p))
        self._last = items[-1] if items else self._last

    def wrong(self, asked: Mapping[str, int]) -> list[str]:
        """What is wrong at the end; `asked` says how often a server read which request id."""
        wrong = [f"{call} was started in {count} turns" for call, count in _many(self._calls)]
        wrong += [f"the id {id_!r} was used {count} times" for id_, count in _many(self._ids)]
        wrong += [f"a server read {id_!r} {count} times" for id_, count in _many(asked)]
        match self._last:
            case RunEnded(code=0):
                pass
            case last:
                wrong.append(f"found {last} at the end, expected run_ended with code 0")
        return wrong


def _many(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, count) for name, count in counts.items() if count > 1]


def _check_end(
    started: ToolStarted, ended: ToolEnded, sends: int, executed: Mapping[int, int]
) -> list[str]:
    n = _number(started)
    count, text = executed.get(n, 0), [part.get("text") for part in ended.content]
    most = 1 if started.tool == "act" else sends
    has_result = is_result(ended)
    least = 1 if has_result else 0
    if ended.outcome == "not_sent":
        most = 0
    wrong: list[str] = []
    if started.tool == "act" and sends > 1:
        wrong.append(f"{ended.call} may do harm, and was sent {sends} times")
    if not least <= count <= most:
        wrong.append(
            f"{ended.call} (n={n}, {ended.outcome}, sent {sends} times) was executed {count} "
            f"times, expected {least} to {most}"
        )
    if has_result and text != [f"did {n}"]:
        wrong.append(f"{ended.call} (n={n}) was answered with {text}")
    if not has_result and not (ended.reason or text):
        wrong.append(f"{ended.call} ended as {ended.outcome} without a reason")
    return wrong


def _is_answered(started: ToolStarted, items: Sequence[Item]) -> bool:
    return any(
        isinstance(each, ToolEnded) and each.call == started.call and is_result(each)
        for each in items
    )


def is_end_at(item: Item, server: str) -> TypeGuard[ToolEnded]:
    """Is it the end of a call at this server?"""
    return isinstance(item, ToolEnded) and item.server == server


def is_result(ended: ToolEnded) -> bool:
    """Was the call answered, and not with an error?"""
    return ended.outcome == "answered" and not ended.is_error


def _is_request(post: Post) -> bool:
    return "id" in post.message and "method" in post.message


def _number(started: ToolStarted) -> int:
    return int(started.arguments["n"])
