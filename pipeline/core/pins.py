"""What was approved of the tools of each server, and which say otherwise now: those are held.

Pure moves over a table, used by the agent stage. A tool is trusted as it is first seen; from then
on its digest is its pin. One that says otherwise is held until a person approves it, or it says
again what was approved. The pins come with the plan and leave as `PinTools`; a server without pins
(None in its plan) is none of this table's business.
"""

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from pipeline.core.canonical import canonical
from pipeline.core.commands import Passing, PinTools
from pipeline.core.events import ChangedTool, Json, Problem, Tool, ToolsApproved, ToolsHeld
from pipeline.core.pin_difference import difference
from pipeline.core.plan import Plan, ServerPlan, ToolPin
from pipeline.core.tools import is_allowed, said

MOST_PINS = 4000
"""Tools of one server that are remembered, those it offers no more included."""

_LONGEST_NAME = 200
_MOST_TEXT = 4000  # characters of one text that are kept
_MOST_JSON = 16 * 1024  # bytes of one schema that are kept
_MOST_KEPT = 256 * 1024  # bytes of all that is kept of one server, besides digests
_MOST_LINES = 400  # of differences at one server; what is beyond is named, and not shown


class Held(msgspec.Struct, frozen=True):
    """A tool that is held: as its server describes it now, and how that differs from its pin."""

    tool: Tool
    changed: ChangedTool


class Pins(msgspec.Struct, frozen=True):
    """The table, by the servers' names.

    `read` are the pins that this process began with, `kept` those of now, by `key`. By the tools'
    names are `held`, `told` (the digests of what this process said of that), and `declined` (the
    digests that a person did not want).
    """

    plan: Plan
    read: dict[str, dict[str, ToolPin]]
    kept: dict[str, dict[str, ToolPin]]
    held: dict[str, dict[str, Held]] = {}
    told: dict[str, dict[str, tuple[str, str]]] = {}
    declined: dict[str, dict[str, str]] = {}


Outputs: TypeAlias = tuple[Passing, ...]
Move: TypeAlias = tuple[Pins, Outputs]


def initial(plan: Plan) -> Pins:
    """What the plan knows, and nothing held."""
    read = _pins_of(plan.servers)
    return Pins(plan, read, read)


def key(name: str) -> str:
    """What a tool is called among the pins: its name, or a digest of one that is very long."""
    if len(name) <= _LONGEST_NAME:
        return name
    return f"sha256:{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()}"


def pin_of(tool: Tool) -> ToolPin:
    """A tool as it is to be remembered."""
    kept: Json = {}
    cut: list[str] = []
    for name, value in said(tool).items():
        if name == "name":
            continue
        if isinstance(value, str):
            kept[name] = value[:_MOST_TEXT]
            is_whole = len(value) <= _MOST_TEXT
        elif is_whole := len(canonical(value)) <= _MOST_JSON:
            kept[name] = value
        cut += [] if is_whole else [name]
    return ToolPin(digest=tool.digest, said=kept, cut=tuple(cut))


def held_names(pins: Pins) -> frozenset[tuple[str, str]]:
    """Server and name of each tool that is held."""
    return frozenset((server, name) for server, held in pins.held.items() for name in held)


def undecided(pins: Pins, server: str) -> tuple[ChangedTool, ...]:
    """The held tools of a server that a person has not declined as they are now."""
    declined = pins.declined.get(server, {})
    held = pins.held.get(server, {})
    return tuple(
        each.changed for name, each in held.items() if declined.get(name) != each.tool.digest
    )


def on_tools(pins: Pins, server: str, tools: Sequence[Tool]) -> Move:
    """A server's tools as they are now: pin those never seen, hold those that say otherwise."""
    known = pins.kept.get(server)
    if known is None:
        return pins, ()
    new = [tool for tool in tools if key(tool.name) not in known]
    pins, outputs = _pin(pins, server, {key(tool.name): pin_of(tool) for tool in new})
    held = _held(known, tools, pins.held.get(server, {}))
    pins = replace(pins, held={**pins.held, server: held})
    wished = [name for name, each in held.items() if _is_wished(pins.plan, each.tool)]
    pins, approved = _approve(pins, server, wished, "setting")
    pins, told = _tell(pins, server)
    return pins, (*outputs, *approved, *told)


def approve(pins: Pins, server: str, names: Collection[str]) -> Move:
    """A person approves what these tools say now, as far as they are held."""
    pins, outputs = _approve(pins, server, names, "person")
    pins, told = _tell(pins, server)
    return pins, (*outputs, *told)


def decline(pins: Pins, server: str, names: Collection[str]) -> Pins:
    """A person does not want these tools as they are now."""
    held = pins.held.get(server, {})
    digests = {name: held[name].tool.digest for name in names if name in held}
    declined = {**pins.declined.get(server, {}), **digests}
    return replace(pins, declined={**pins.declined, server: declined})


def on_resumed(
    pins: Pins, servers: Sequence[ServerPlan], tools: Mapping[str, Sequence[Tool]]
) -> Pins:
    """Another process goes on: what was approved stays, and what is newer in its plan counts.

    `tools` are those that the servers had. What is held is told when they are listed again.
    """
    read = _pins_of(servers)
    kept = {name: _merged(pins, name, fresh) for name, fresh in read.items()}
    held = {
        name: _held(known, tools.get(name, ()), pins.held.get(name, {}))
        for name, known in kept.items()
    }
    return Pins(pins.plan, read, kept, held, declined=pins.declined)


def _merged(pins: Pins, server: str, fresh: Mapping[str, ToolPin]) -> dict[str, ToolPin]:
    before, mine = pins.read.get(server, {}), pins.kept.get(server, {})
    newer = {name: pin for name, pin in fresh.items() if pin != before.get(name)}
    return {**fresh, **mine, **newer}


def _pins_of(servers: Sequence[ServerPlan]) -> dict[str, dict[str, ToolPin]]:
    return {each.name: each.pins for each in servers if each.pins is not None}


def _held(
    known: Mapping[str, ToolPin], tools: Sequence[Tool], before: Mapping[str, Held]
) -> dict[str, Held]:
    held: dict[str, Held] = {}
    room = _MOST_LINES
    for tool in tools:
        pin, same = known.get(key(tool.name)), before.get(tool.name)
        if pin is None or pin.digest == tool.digest:
            continue
        if same is not None and _digests_of(same) == (tool.digest, pin.digest):
            held[tool.name] = replace(same, tool=tool)
        else:
            lines = difference(pin, said(tool)) if room > 0 else ()
            what = ChangedTool(
                name=tool.name, digest=tool.digest, approved=pin.digest, difference=lines
            )
            held[tool.name] = Held(tool, what)
        room -= len(held[tool.name].changed.difference)
    return held


def _digests_of(held: Held) -> tuple[str, str]:
    return held.changed.digest, held.changed.approved


def _is_wished(plan: Plan, tool: Tool) -> bool:
    is_named = bool(plan.approve) and is_allowed(tool, plan.approve, ())
    return plan.changed_tools == "accept" or is_named


def _approve(
    pins: Pins, server: str, names: Collection[str], by: Literal["person", "setting"]
) -> Move:
    held = pins.held.get(server, {})
    mine = {name: each for name, each in held.items() if name in names}
    if not mine:
        return pins, ()
    left = {name: each for name, each in held.items() if name not in mine}
    pins = replace(pins, held={**pins.held, server: left})
    new = {key(name): pin_of(each.tool) for name, each in mine.items()}
    changed = tuple(each.changed for each in mine.values())
    pins, outputs = _pin(pins, server, new, is_approval=True)
    return pins, (ToolsApproved(server=server, tools=changed, by=by), *outputs)


def _pin(pins: Pins, server: str, new: Mapping[str, ToolPin], *, is_approval: bool = False) -> Move:
    """Remember tools, as many as there is room for; of those beyond a digest, of more nothing."""
    if not new:
        return pins, ()
    kept = pins.kept[server]
    room = len(new) if is_approval else max(0, MOST_PINS - len(kept))
    fitting = dict(list(new.items())[:room])
    size = sum(len(canonical(pin.said)) for name, pin in kept.items() if name not in new)
    for name, pin in fitting.items():
        more = len(canonical(pin.said))
        if size + more > _MOST_KEPT:
            cut = tuple(dict.fromkeys((*pin.said, *pin.cut)))
            fitting[name] = ToolPin(digest=pin.digest, cut=cut)
        else:
            size += more
    outputs: Outputs = ()
    if fitting:
        pins = replace(pins, kept={**pins.kept, server: {**kept, **fitting}})
        outputs = (PinTools(server=server, pins=fitting, is_approval=is_approval),)
    if left_out := len(new) - len(fitting):
        detail = f"{left_out} new tools are not pinned: {MOST_PINS} are, and that is the limit"
        outputs = (*outputs, Problem(where=server, detail=detail))
    return pins, outputs


def _tell(pins: Pins, server: str) -> Move:
    """Which tools are held now, if that is news."""
    held = pins.held.get(server, {})
    digests = {name: _digests_of(each) for name, each in held.items()}
    if digests == pins.told.get(server, {}):
        return pins, ()
    told = ToolsHeld(server=server, tools=tuple(each.changed for each in held.values()))
    return replace(pins, told={**pins.told, server: digests}), (told,)
