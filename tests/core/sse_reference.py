"""The oracle: WHATWG HTML 9.2.5 and 9.2.6 to the letter, a character at a time, on a whole stream.

It shares no line and no idea with the real parser. It is slow, has no limits, and takes two
liberties, both of browsers: the last event id of the stream before is carried on, and a comment is
reported, since our pipeline reads heartbeats from it.
"""

BOM = "\N{ZERO WIDTH NO-BREAK SPACE}"
DIGITS = "0123456789"


class Reference:
    """What a whole stream says: an item is `(event, data, id)`, or `(text,)` for a comment."""

    def __init__(self, stream: bytes, last_event_id: str = "") -> None:
        self.items: list[tuple[str, ...]] = []
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._data = ""
        self._type = ""
        self._id = last_event_id
        text = stream.decode("utf-8", "replace")
        if text[:1] == BOM:
            text = text[1:]
        for line in lines_of(text):
            if line == "":
                self._dispatch()
            elif line[0] == ":":
                self.items.append((line[1:],))
            elif ":" in line:
                at = line.index(":")
                value = line[at + 1 :]
                self._field(line[:at], value[1:] if value[:1] == " " else value)
            else:
                self._field(line, "")

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self._id = value
        elif name == "retry" and value != "" and all(char in DIGITS for char in value):
            self.retry_ms = 0
            for char in value:
                self.retry_ms = self.retry_ms * 10 + DIGITS.index(char)

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        if self._data == "":
            self._type = ""
            return
        if self._data[-1] == "\n":
            self._data = self._data[:-1]
        kind = "message" if self._type == "" else self._type
        self.items.append((kind, self._data, self.last_event_id))
        self._data = ""
        self._type = ""


def lines_of(text: str) -> list[str]:
    """Split at CR LF, LF and CR; what no line end follows is not a line."""
    lines: list[str] = []
    line = ""
    at = 0
    while at < len(text):
        if text[at] == "\r" or text[at] == "\n":
            lines.append(line)
            line = ""
            if text[at : at + 2] == "\r\n":
                at += 1
        else:
            line += text[at]
        at += 1
    return lines
