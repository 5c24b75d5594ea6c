"""The oracle: WHATWG HTML 9.2.5 and 9.2.6, to the letter, one character at a time, on a whole stream.

It shares no line and no idea with the real parser. It is slow, has no limits, and takes two
liberties, both of browsers: the last event id of the stream before is carried on, and a comment is
reported, since our pipeline reads heartbeats from it.
"""

from dataclasses import dataclass, field

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
DIGITS = "0123456789"


@dataclass
class Outcome:
    """What a stream says. An item is `(event, data, id)` for an event, `(text,)` for a comment."""

    items: list[tuple[str, ...]] = field(default_factory=list)
    last_event_id: str = ""
    retry_ms: int | None = None


def lines_of(text: str) -> list[str]:
    """Split at CR LF, LF and CR; what no line end follows is not a line."""
    lines: list[str] = []
    line = ""
    at = 0
    while at < len(text):
        if text[at] in "\r\n":
            lines.append(line)
            line = ""
            if text[at : at + 2] == "\r\n":
                at += 1
        else:
            line += text[at]
        at += 1
    return lines


def reference_parse(stream: bytes, last_event_id: str = "") -> Outcome:
    """Interpret a whole stream up to its end, where an unfinished block is dropped."""
    text = stream.decode("utf-8", "replace")
    if text[:1] == BOM:
        text = text[1:]
    out = Outcome(last_event_id=last_event_id)
    data_buffer = ""
    type_buffer = ""
    id_buffer = last_event_id
    for line in lines_of(text):
        if line == "":
            out.last_event_id = id_buffer
            if data_buffer == "":
                type_buffer = ""
                continue
            if data_buffer[-1] == "\n":
                data_buffer = data_buffer[:-1]
            kind = "message" if type_buffer == "" else type_buffer
            out.items.append((kind, data_buffer, out.last_event_id))
            data_buffer = ""
            type_buffer = ""
            continue
        if line[0] == ":":
            out.items.append((line[1:],))
            continue
        name, value = line, ""
        if ":" in line:
            at = line.index(":")
            name, value = line[:at], line[at + 1 :]
            if value[:1] == " ":
                value = value[1:]
        if name == "event":
            type_buffer = value
        elif name == "data":
            data_buffer += value + "\n"
        elif name == "id":
            if "\0" not in value:
                id_buffer = value
        elif name == "retry" and value != "" and all(char in DIGITS for char in value):
            number = 0
            for char in value:
                number = number * 10 + DIGITS.index(char)
            out.retry_ms = number
    return out
