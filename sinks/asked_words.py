"""Questions, most of them of servers, and a person's own requests, in words."""

from collections.abc import Sequence

from pipeline.core.events import QuestionAsked, QuestionClosed, RequestEnded, RequestStarted
from pipeline.core.shapes import is_list
from sinks.notice import Notice, Sign, short_name, short_names, short_reason

_ENDS = {"accept": "answered", "decline": "declined", "cancel": "cancelled", "refused": "refused"}
_SUBSCRIBED = {
    "resources/subscribe": "subscribed to",
    "resources/unsubscribe": "no longer subscribed to",
}


def asked(question: QuestionAsked) -> Notice:
    """What a server asks."""
    who, what = short_name(question.server), short_reason(question.message)
    match question.form:
        case "url":
            # Never shortened: whoever goes there must see where.
            text = f"{who} wants you to visit {question.url}"
            return Notice("=", text, what, is_question=True)
        case "sample":
            return Notice("=", f"{who} asks your model: {what}", is_question=True)
        case "form":
            return Notice("=", f"{who} asks: {what}", is_question=True)
        case "approve":
            names = [str(tool["name"]) for tool in question.detail["tools"]]
            text = f"{who} says otherwise of {short_names(names)}; is that to be used?"
            return Notice("=", text, is_question=True)


def closed(question: QuestionClosed) -> Notice:
    """How that ended."""
    end = f"{short_name(question.server)}: question {_ENDS[question.action]}"
    return Notice("=", f"{end}: {short_reason(question.reason)}" if question.reason else end)


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
        words = f"{short_name(ended.server)}: {_SUBSCRIBED[ended.method]} {short_reason(uri)}"
        return (Notice("=", words.rstrip()),)
    # Why a list is empty shows in the result; why it is not whole does not.
    is_more = any(is_list(value) and value for value in ended.result.values())
    return (
        (Notice("!", f"{what}: {short_reason(ended.reason)}"),) if ended.reason and is_more else ()
    )
