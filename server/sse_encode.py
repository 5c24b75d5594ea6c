"""Writes server-sent events (WHATWG HTML, section 9.2.5 "Parsing an event stream").

The format carries lines, so an event's data comes out of a parser with every line end (CR LF, CR
or LF) as LF. JSON loses nothing by that: it writes line ends as escapes.
"""

import re
from typing import Any

import msgspec

_LINE_END = re.compile(r"\r\n|\r|\n")
_UNICODE_LINE_ENDS = (
    ("\x85".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
# What may stand in a field of one line. NUL would make a parser drop an id.
_FORBIDDEN = re.compile(r"[\0\r\n]")


def encode_event(event: str, data: str, *, event_id: str | None = None) -> bytes:
    """One event, complete with the blank line that dispatches it.

    Args:
        event: The event's type, such as `message`.
        data: Any text, also empty or of many lines.
        event_id: The last event id; None writes no `id` field.

    Raises:
        ValueError: When `event` is empty, or `event` or `event_id` holds NUL, CR or LF.
    """
    if event == "":
        raise ValueError("event name: found '', expected a name such as 'message'")
    lines = [f"event: {_one_line('event name', event)}"]
    if event_id is not None:
        lines.append(f"id: {_one_line('event id', event_id)}")
    # The space after the colon is what keeps a leading space of the data itself.
    lines.extend(f"data: {line}" for line in _LINE_END.split(data))
    return ("\n".join(lines) + "\n\n").encode()


def encode_json_event(event: str, value: Any) -> bytes:
    """One event whose data is `value` as JSON, on one line.

    Line ends of Unicode are escaped too: some clients split lines on them, against the standard.

    Raises:
        ValueError: As `encode_event`, and for text with a lone surrogate.
        TypeError: When `value` is not JSON.
    """
    data = msgspec.json.encode(value)
    for raw, escaped in _UNICODE_LINE_ENDS:
        data = data.replace(raw, escaped)
    return encode_event(event, data.decode())


def encode_comment(text: str) -> bytes:
    """A comment: a sign of life that no parser hands on as an event.

    Raises:
        ValueError: When `text` holds NUL, CR or LF.
    """
    return f": {_one_line('comment', text)}\n\n".encode()


def _one_line(what: str, text: str) -> str:
    if _FORBIDDEN.search(text) is not None:
        raise ValueError(f"{what}: found {text!r}, expected text without NUL, CR and LF")
    return text
