"""Compares the calls that two runs made for the same prompt: which, with what, and how they ended.

Two calls are the same if tool, arguments (as JSON values) and the kind of their end are. Calls side
by side have no order, and in how many steps a model comes to its calls is its own business: what
one run does in a step the other may do in several.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from pipeline.against.behaviour import Call, Turn
from pipeline.against.verdict import Difference, Kind
from pipeline.core.difference import differences, places

_Pair: TypeAlias = tuple[Call, Call]

_RESULTS = {
    "answered": "answered",
    "error": "an error",
    "not_sent": "not sent",
    "unknown": "an unknown outcome",
    "open": "no end",
}


def compare_calls(recorded: Turn, now: Turn) -> Iterator[Difference]:
    """Where the calls of two turns differ; the servers of both have the same names."""
    if _is_same_way(recorded.rounds, now.rounds):
        return
    _, missing, extra = _matched(recorded.calls, now.calls, _is_same)
    if not missing and not extra:
        old, new = (", ".join(call.tool for call in turn.calls) for turn in (recorded, now))
        yield Difference(kind="order", text=f"called in another order: recorded {old}, now {new}")
        return
    for is_alike in (_has_same_arguments, _is_of_same_tool):
        pairs, missing, extra = _matched(missing, extra, is_alike)
        for pair in pairs:
            yield from _changes(*pair)
    for call in missing:
        yield _of(call, "missing", f"not called now; recorded with {_arguments(call)}")
    for call in extra:
        yield _of(call, "extra", f"not called in the recording; now with {_arguments(call)}")


def _is_same_way(recorded: Sequence[Sequence[Call]], now: Sequence[Sequence[Call]]) -> bool:
    """Do both make the same calls, each after those that it came after?"""
    rounds, others = deque(recorded), deque(now)
    left: Sequence[Call] = ()
    right: Sequence[Call] = ()
    while True:
        while not left and rounds:
            left = rounds.popleft()
        while not right and others:
            right = others.popleft()
        if not left or not right:
            return not left and not right
        pairs, left, right = _matched(left, right, _is_same)
        if not pairs:
            return False


def _matched(
    recorded: Sequence[Call], now: Sequence[Call], is_alike: Callable[[Call, Call], bool]
) -> tuple[list[_Pair], list[Call], list[Call]]:
    """Pairs that are alike, each call with the first that is; then who is left on either side."""
    pairs: list[_Pair] = []
    left: list[Call] = []
    right = list(now)
    for call in recorded:
        at = next((at for at, other in enumerate(right) if is_alike(call, other)), None)
        if at is None:
            left.append(call)
        else:
            pairs.append((call, right.pop(at)))
    return pairs, left, right


def _is_of_same_tool(one: Call, other: Call) -> bool:
    return (one.server, one.tool) == (other.server, other.tool)


def _has_same_arguments(one: Call, other: Call) -> bool:
    return _is_of_same_tool(one, other) and not any(differences(one.arguments, other.arguments))


def _is_same(one: Call, other: Call) -> bool:
    return one.result == other.result and _has_same_arguments(one, other)


def _changes(recorded: Call, now: Call) -> Iterator[Difference]:
    for place in places(recorded.arguments, now.arguments):
        yield _of(recorded, "arguments", place)
    if recorded.result != now.result:
        yield _of(recorded, "result", f"recorded {_result(recorded)}, now {_result(now)}")


def _of(call: Call, kind: Kind, text: str) -> Difference:
    return Difference(kind=kind, server=call.server, tool=call.tool, text=text)


def _result(call: Call) -> str:
    return f"{_RESULTS[call.result]} ({call.words})" if call.words else _RESULTS[call.result]


def _arguments(call: Call) -> str:
    return msgspec.json.encode(call.arguments).decode()
