"""Compares what two runs did for the same prompts: servers, tools, calls, and how answers ended.

The servers of the second run may have other names: those of one name are the same, and what is left
over is paired in the order of the plans.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.against.behaviour import REJECTED, Behaviour, Fate, Turn
from pipeline.against.calls import compare_calls
from pipeline.against.verdict import Comparison, Difference, Prompt
from pipeline.core.difference import places
from pipeline.core.events import Json, Tool

_LEFT_OUT: dict[Fate, str] = {
    "waiting": "the recorded run never took it up",
    "open": "the recording stops in it",
    "cancelled": "it was cancelled in the recorded run",
}


def can_be_asked(turn: Turn) -> bool:
    """Can a recorded wish be given again? One whose end is not recorded could not be compared."""
    return turn.fate == "done"


def compare(recorded: Behaviour, now: Behaviour) -> Comparison:
    """Compare a recorded run with one that was given its wishes, those that `can_be_asked`."""
    names = dict(_pairs(now.servers, recorded.servers))
    return Comparison(
        offers=tuple(_offers(recorded, now, names)),
        prompts=tuple(_prompts(recorded.turns, [_renamed(turn, names) for turn in now.turns])),
    )


def _pairs(now: Sequence[str], recorded: Sequence[str]) -> Iterator[tuple[str, str]]:
    both = [name for name in now if name in recorded]
    yield from zip(both, both, strict=True)
    new, old = ([name for name in names if name not in both] for names in (now, recorded))
    yield from zip(new, old, strict=False)


def _renamed(turn: Turn, names: Mapping[str, str]) -> Turn:
    """The same turn with the servers called as in the recording."""
    rounds = [
        [replace(call, server=names.get(call.server, call.server)) for call in side_by_side]
        for side_by_side in turn.rounds
    ]
    return replace(turn, rounds=rounds)


def _offers(recorded: Behaviour, now: Behaviour, names: Mapping[str, str]) -> Iterator[Difference]:
    ready = {names.get(server, server): server for server in now.servers if server in now.ready}
    others = {old: f" (as {new!r})" for new, old in names.items() if new != old}
    for server in recorded.servers:
        if server in recorded.ready and server not in ready:
            text = f"it is not ready now{others.get(server, '')}"
            yield Difference(kind="server", server=server, text=text)
        elif server in recorded.ready:
            new = now.tools.get(ready[server], ())
            yield from _tools(server, recorded.tools.get(server, ()), new)
    for server in ready:
        if server not in recorded.ready:
            text = "it is ready now, and was not in the recording"
            yield Difference(kind="server", server=server, text=text)


def _tools(server: str, recorded: Sequence[Tool], now: Sequence[Tool]) -> Iterator[Difference]:
    old, new = ({tool.name: tool for tool in tools} for tools in (recorded, now))
    for name in dict.fromkeys((*old, *new)):
        if name not in new:
            texts = ["it is not offered now"]
        elif name not in old:
            texts = ["it was not offered in the recording"]
        else:
            texts = places(_said(old[name]), _said(new[name]))
        for text in texts:
            yield Difference(kind="tool", server=server, tool=name, text=text)


def _said(tool: Tool) -> Json:
    """What is said of a tool. Its digest is of ports, too, which differ in any two runs."""
    return {
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "outputSchema": tool.output_schema,
        "annotations": tool.annotations,
    }


def _prompts(recorded: Sequence[Turn], now: Sequence[Turn]) -> Iterator[Prompt]:
    rest = iter(now)
    for turn in recorded:
        if not can_be_asked(turn):
            yield Prompt(wish=turn.wish, result="left_out", notes=(_LEFT_OUT[turn.fate],))
            continue
        again = next(rest, None)
        if again is not None and again.fate == "done":
            yield _compared(turn, again)
        else:
            where = "before" if again is None else "in"
            notes = (f"the run ended {where} it",)
            yield Prompt(wish=turn.wish, result="not_run", notes=notes)


def _compared(recorded: Turn, now: Turn) -> Prompt:
    found = tuple(_differences(recorded, now))
    # What an answer says is new each time; that there is none may well be a fault.
    fell_silent = recorded.has_text and not now.has_text
    return Prompt(
        wish=recorded.wish,
        result="differs" if found else "ok",
        differences=found,
        notes=("the answer is empty now",) if fell_silent else (),
    )


def _differences(recorded: Turn, now: Turn) -> Iterator[Difference]:
    if recorded.stop != now.stop:
        text = f"recorded {_stop(recorded)}, now {_stop(now)}"
        yield Difference(kind="stop", text=text)
    if REJECTED not in (recorded.stop, now.stop):
        yield from compare_calls(recorded, now)


def _stop(turn: Turn) -> str:
    if turn.stop == REJECTED:
        return f"rejected ({turn.words})"
    return f"ended by {turn.stop}" if turn.stop else "taken"
