"""The body of an accepted POST, as the events that some servers put there instead of the stream."""

import re

from pipeline.core.sse import SseEvent, SseParser

_EVENT_TEXT = re.compile(r"\s*(?::|(?:event|data|id|retry):)")


def events_in(body: str) -> tuple[SseEvent, ...] | None:
    """The events of an event stream that came whole; None if the text is no such thing."""
    if _EVENT_TEXT.match(body) is None:
        return None
    # A body may end without the blank line that a stream needs.
    found = SseParser().feed(body.encode("utf-8", "replace") + b"\n\n")
    return tuple(item for item in found if isinstance(item, SseEvent))
