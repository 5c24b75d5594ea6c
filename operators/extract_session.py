"""From frames to sessions: the first stage."""

from collections.abc import Callable

from reactivex import Observable

from operators.machine import machine
from pipeline.core.commands import Passing
from pipeline.core.plan import Plan
from pipeline.core.session.machine import initial, step


def extract_session(plan: Plan) -> Callable[[Observable[Passing]], Observable[Passing]]:
    """Find out what each server speaks; decode what it sends; say who is ready and who is lost.

    For the stages below it emits what a recording does not hold (`events.Internal`): tool lists,
    answers, requests without one, progress, what a server offers, asks and takes back.

    --opened--endpoint--tools--------------     frames of a seed server
    [ extract_session(plan)               ]
    --opened--endpoint--(tools ready list)-
    """
    return machine(step, initial(plan))
