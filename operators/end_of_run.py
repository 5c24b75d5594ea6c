"""When it is over, and how it went: the last stage before the items are addressed."""

from collections.abc import Callable

from reactivex import Observable

from operators.machine import machine
from pipeline.core.commands import Passing
from pipeline.core.plan import Plan
from pipeline.core.run import initial, step


def end_of_run(plan: Plan) -> Callable[[Observable[Passing]], Observable[Passing]]:
    """Pass everything on; put `RunEnded` where the run is over, with its exit status.

    --answer--read--input_ended------------
    [ end_of_run(plan)                    ]
    --answer--read--(input_ended ended[0])-
    """
    return machine(step, initial(plan))
