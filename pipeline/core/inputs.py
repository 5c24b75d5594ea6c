"""What a server wants before it goes on with a call or a request, and what it gets: rounds.

MCP 2026-07-28, basic/patterns/mrtr ("Multi Round-Trip Requests"): a server answers with
`input_required`, and gets the same again under a new id, with what it wanted and with its own
`requestState` to the letter. MCP 2025-11-25, client/elicitation ("URL Elicitation Required Error"):
it answers with an error, and gets the same again once its addresses were visited.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from pipeline.core.events import Json
from pipeline.core.shapes import is_list, is_object

URL_ELICITATION_REQUIRED = -32042
MOST_INPUTS = 16


class Round(msgspec.Struct, frozen=True):
    """The latest round of a call or a request.

    `number` counts them. Of `inputs`, one is None until it is there. `state` is what the server
    wants to see again. `is_visit`: the inputs are addresses to visit. Whether that was done the
    server sees by itself, and gets nothing of it.
    """

    number: int = 0
    inputs: dict[str, Json | None] = {}
    state: str | None = None
    is_visit: bool = False

    @property
    def is_open(self) -> bool:
        """Is an input still to come?"""
        return any(value is None for value in self.inputs.values())

    @property
    def params(self) -> Json:
        """What is said beside the parameters of before."""
        found: Json = {}
        if self.inputs and not self.is_visit:
            found["inputResponses"] = self.inputs
        if self.state is not None:
            found["requestState"] = self.state
        return found


class Want(msgspec.Struct, frozen=True):
    """An input that a server wants for the call or request `waiter`: `method` and `params` say it.

    `key` is its name among the inputs of the round.
    """

    waiter: str
    key: str
    server: str
    method: str
    params: Json


class RoundError(ValueError):
    """A round that does not go on; the text says why."""


def next_round(before: Round, requests: Any, state: Any, most: int) -> Round:
    """The round that an `input_required` begins, of at most so many.

    Raises:
        RoundError: If there is nothing to go on with, or too much.
    """
    wanted: Json = requests if is_object(requests) else {}
    is_state = isinstance(state, str)
    if not is_object(requests) and not is_state:
        raise RoundError("the server wants something first, but says neither what nor how to go on")
    if before.number >= most:
        times = before.number + 1
        limit = f"{most} is the limit (--max-rounds)"
        raise RoundError(f"the server wanted something first {times} times; {limit}")
    if len(wanted) > MOST_INPUTS:
        raise RoundError(f"the server wants {len(wanted)} things first; {MOST_INPUTS} is the limit")
    state = state if is_state else None
    return Round(number=before.number + 1, inputs=dict.fromkeys(wanted), state=state)


def visits(code: int | None, data: Any) -> Json | None:
    """The inputs that an error asks for, as the requests of a round; None if it asks for none."""
    wanted = data.get("elicitations") if is_object(data) else None
    if code != URL_ELICITATION_REQUIRED or not is_list(wanted) or not wanted:
        return None
    return {
        str(number): {"method": "elicitation/create", "params": params}
        for number, params in enumerate(wanted)
    }


def wants_of(waiter: str, server: str, requests: Json) -> tuple[Want, ...]:
    """What has to be asked for; what is malformed is a want that nobody can fulfil."""
    wants: list[Want] = []
    for key, request in requests.items():
        method = request.get("method") if is_object(request) else None
        params = request.get("params") if is_object(request) else None
        wants.append(
            Want(
                waiter=waiter,
                key=key,
                server=server,
                method=method if isinstance(method, str) else "",
                params=params if is_object(params) else {},
            )
        )
    return tuple(wants)


def with_input(round_: Round, key: str, result: Json | None, refusal: str) -> Round:
    """The round with an input; one that nobody waits for changes nothing.

    Raises:
        RoundError: If the server does not get it (`result` None), for it cannot go on without.
    """
    if key not in round_.inputs or round_.inputs[key] is not None:
        return round_
    if result is None:
        raise RoundError(f"the server wanted something first, which it did not get: {refusal}")
    if round_.is_visit and result.get("action") != "accept":
        raise RoundError("the address that the server wants to be visited first was not accepted")
    return replace(round_, inputs={**round_.inputs, key: result})
