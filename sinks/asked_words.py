"""Questions of servers, and a person's own requests, in words."""

from collections.abc import Sequence

from pipeline.core.events import QuestionAsked, QuestionClosed, RequestEnded, RequestStarted
from pipeline.core.shapes import is_list
from sinks.notice import Notice, Sign, short_name, short_reason

_ENDS = {"accept": "answered", "decline": "declined", "cancel": "cancelled", "refused": "refused"}
_SUBSCRIBED = {
    "resources/subscribe": "subscribed to",
    "resources/unsubscribe": "no longer subscribed to",
}


def question(item: QuestionAsked | QuestionClosed) -> Notice:
    """What a server asks, and how that ended."""
    who = short_name(item.server)
    match item:
        case QuestionAsked(form="url", message=message, url=url):
            # Never shortened: whoever goes there must see where.
            return Notice("=", f"{who} wants you to visit {url}", short_reason(message))
        case QuestionAsked(form="sample", message=message):
            return Notice("=", f"{who} asks your model: {short_reason(message)}")
        case QuestionAsked(message=message):
            return Notice("=", f"{who} asks: {short_reason(message)}")
        case QuestionClosed(action=action, reason=why):
            end = f"{who}: question {_ENDS[action]}"
            return Notice("=", f"{end}: {short_reason(why)}" if why else end)


def request(started: RequestStarted | None, ended: RequestEnded) -> Sequence[Notice]:
    """What there is to say of a request besides its result."""
    what = f"{short_name(ended.method)} at {short_name(ended.server)}"
    if ended.result is None:
        if ended.outcome == "answered":
            return (Notice("!", f"{what}: {short_reason(ended.error)}", is_failure=True),)
        sign: Sign = "?" if ended.outcome == "unknown" else "!"
        return (
            Notice(
                sign, f"{what}: {ended.outcome.replace('_', ' ')}: {short_reason(ended.reason)}"
            ),
        )
    if ended.method in _SUBSCRIBED:
        uri = "" if started is None else str(started.params.get("uri", ""))
        return (
            Notice(
                "=", f"{short_name(ended.server)}: {_SUBSCRIBED[ended.method]} {short_reason(uri)}"
            ),
        )
    # Why a list is empty shows in the result; why it is not whole does not.
    is_more = any(is_list(value) and value for value in ended.result.values())
    return (
        (Notice("!", f"{what}: {short_reason(ended.reason)}"),) if ended.reason and is_more else ()
    )
