"""What goes wrong in the soak: each fault of a call as a script of the switchboard, by dialect.

Calls have a second argument, `fault`, which names what goes wrong with the first call of that
number. All that is no call is met by the hindrances of its server, one after the other.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tests.faults.dialects import CALL, Dialect, arguments_in
from tests.faults.exchange import Exchange, Step
from tests.faults.good import accept, answer, end, is_known, run, status
from tests.faults.steps import (
    cut,
    drip,
    drop,
    expire,
    go_away,
    half,
    keep,
    pause,
    reports,
    restart,
    rst,
    silence,
)

LATE = 1.3  # seconds, more than a call may take
STEPS = 3  # progress reports of a call that makes them

_EVERYWHERE: Mapping[str, Sequence[Step]] = {
    "drip": (run, accept, drip, end),
    "late": (run, accept, pause(LATE), answer, end),
    "mute": (run, accept, silence),
    "twice": (run, accept, answer, answer, end),
    "cut": (run, accept, half, cut),
    "rst": (run, accept, half, rst),
    "drop": (drop,),
    "restart": (run, restart),
    "restart_first": (restart,),
    "down": (go_away,),
    "refuse_500": (status("500 No", b"no"),),
    "refuse_503": (status("503 No", b"no"),),
    "refuse_404": (status("404 Not Found", b"no"),),
    "fail_500": (run, status("500 No", b"it ran, and then this")),
}
_WITH_PROGRESS = {**_EVERYWHERE, "progress": (run, accept, reports(STEPS), answer, end)}
SCRIPTS: Mapping[Dialect, Mapping[str, Sequence[Step]]] = MappingProxyType(
    {
        "seed": _EVERYWHERE,
        "sse": _WITH_PROGRESS,
        "http": {
            **_WITH_PROGRESS,
            "expire": (expire,),
            "resume": (run, accept, keep, end),
            "resume_half": (run, accept, keep, half, rst),
        },
        "modern": _WITH_PROGRESS,
    }
)
PROCESS = ("progress", "drip", "late", "mute", "twice", "cut", "noise", "kill", "kill_first")
"""The faults of the server that is a process: `bench.soak_child` makes them."""
STDIO = "stdio"
FAULTS: Mapping[str, Sequence[str]] = MappingProxyType(
    {**{dialect: tuple(scripts) for dialect, scripts in SCRIPTS.items()}, STDIO: PROCESS}
)
"""What can go wrong with a call, by its server."""
HINDRANCES: Mapping[str, Sequence[Step]] = MappingProxyType(
    {name: _EVERYWHERE[name] for name in ("refuse_500", "refuse_503", "drop")}
)
"""What can go wrong with any other message, and with a stream that is asked for."""


class Picker:
    """Chooses the script for each request to one server; `hindrances` are those to come."""

    def __init__(self, dialect: Dialect) -> None:
        self.hindrances: deque[str] = deque()
        self._was_hindering = False
        self._scripts = SCRIPTS[dialect]
        self._seen: set[int] = set()

    @property
    def is_hindering(self) -> bool:
        """Did something go wrong beside the calls since this was last asked, or is about to?"""
        was, self._was_hindering = self._was_hindering, False
        return was or bool(self.hindrances)

    def __call__(self, x: Exchange) -> Sequence[Step] | None:
        if x.method != CALL:
            if not self.hindrances or x.method == "DELETE":
                return None
            self._was_hindering = True
            return HINDRANCES[self.hindrances.popleft()]
        if not is_known(x) or x.call.n in self._seen:
            return None
        self._seen.add(x.call.n)
        return self._scripts.get(arguments_in(x.message).get("fault", ""))
