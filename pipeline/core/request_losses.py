"""What becomes of a request whose message was lost or refused: it goes out again, a few times."""

from msgspec.structs import replace

from pipeline.core.commands import StartTimer
from pipeline.core.events import RequestLost
from pipeline.core.request_lists import from_the_first_page
from pipeline.core.request_table import (
    PREFIX,
    Move,
    Request,
    Requests,
    end,
    ended,
    patience,
    unanswered,
    with_request,
)

_FIRST_PAUSE = 0.25  # seconds that a busy server is left alone, if it asks for nothing itself


def after_loss(table: Requests, request: Request, reason: str) -> Move:
    """No answer will come to its latest message, for this `reason`."""
    losses = request.losses + 1
    if losses >= table.plan.max_call_sends:
        return end(table, request, ended(request, unanswered(request), reason=reason))
    waiting = from_the_first_page(replace(request, state="waiting", losses=losses))
    return with_request(table, waiting), ()


def after_refusal(table: Requests, request: Request, lost: RequestLost) -> Move:
    """The server is busy: the message goes out again after a pause, a few times."""
    losses = request.losses + 1
    pause = _FIRST_PAUSE * 2.0**request.losses if lost.retry_in is None else lost.retry_in
    if losses > table.plan.max_refusals or pause >= patience(table, request):
        return end(table, request, ended(request, "not_sent", reason=lost.reason))
    waiting = from_the_first_page(replace(request, state="waiting", losses=losses))
    timer = StartTimer(id=PREFIX + request.id, seconds=pause)
    return with_request(table, replace(waiting, is_pausing=True)), (timer,)
