"""From frames to sessions: the first stage."""

from collections.abc import Callable

from reactivex import Observable

from operators.machine import machine
from pipeline.core.commands import Passing
from pipeline.core.plan import Plan
from pipeline.core.session.machine import initial, step


def extract_session(plan: Plan) -> Callable[[Observable[Passing]], Observable[Passing]]:
    """Lead each server's handshake; decode what it sends; say who is ready and who is lost.

    Emits `ToolsListed`, `ReplyReceived` and `ProgressReported` for the stages below.

    --opened--endpoint--tools--------------     frames of a seed server
    [ extract_session(plan)               ]
    --opened--endpoint--(tools ready list)-
    """
    return machine(step, initial(plan))
