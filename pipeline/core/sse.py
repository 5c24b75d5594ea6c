"""Server-sent events: bytes in, events out. No I/O, no clock.

The rules are those of the WHATWG HTML standard, section 9.2: "Parsing an event stream" (9.2.5) and
"Interpreting an event stream" (9.2.6), with UTF-8 as the Encoding standard decodes it.


How it works
============

Bytes may be cut anywhere: in a UTF-8 sequence, between CR and LF, in the byte order mark. So
nothing is decoded, and nothing is judged, before its line is whole. `feed` takes four steps:

1.  *Newlines.* If the chunk has a CR, its line ends become LF. A CR at the end of a chunk ends its
    line at once; we do not wait for the next byte. We remember the CR, and drop one LF if that is
    what comes next.

2.  *Lines.* Everything after the last LF is an unfinished line. It goes to `_tail`, which is
    joined to the rest exactly once, when its LF comes; until then only new bytes are searched.
    That makes the work linear, however the bytes are cut.

3.  *Tokens.* One regular expression cuts the finished lines into tokens, in one call. A token is
    either a whole event of the shape nearly all servers send (an id and a type at most, then one
    `data: ` line and a blank line), or it is a single line of any kind. Whole events are built on
    the spot. That is the fast path, and the only reason it exists is speed: every event it takes
    would come out the same if it were read line by line. A line that is whole holds whole
    characters, as a UTF-8 sequence never contains an LF: decoding it alone is safe.

4.  *Fields.* All other lines go through `_take_line`, and blank ones through `_dispatch`, which
    are the standard's steps in its own order. They collect one block in `_data`, `_event` and
    `_id`, as bytes: a list of small strings would take twenty times the memory of short lines.


What the standard leaves to us
==============================

Size.  The standard has no limit; we have `max_event_bytes`. It bounds the line being read plus
    what the block holds so far (its data with a LF per line, its type, its id). A finished comment
    or unknown field is not held, so endless heartbeats are free; an endless comment *line* is an
    error like any other line. The outcome does not depend on how the bytes were cut. The error is
    final: the events that were complete come out first, then every further call raises it. The
    count is of bytes as sent. Characters beyond ASCII may take up to four times that as a `str`.

Retry.  `retry_ms` changes as soon as its line ends, not at the blank line, and stays when the block
    is never finished. Only ASCII digits count. Above `MAX_RETRY_MS` (a day) the value is taken for
    `MAX_RETRY_MS`: a typing error must not stop a client for ever. Zero is handed on as zero; the
    least pause between attempts is for the caller to set.

Last event id.  By the letter a new stream starts with an empty id, so its first event would wipe
    the id of the stream before. Browsers and the web platform tests carry it on, and so do we: pass
    it as `last_event_id`. It moves at the blank line only, also of a block without data. The value
    is not checked for use as a header: a control character, or 9,000 of them, is valid here.

End of stream.  There is no call for it. An unfinished block is dropped, as the standard says, and a
    byte order mark cut short at the very end could not have been an event.
"""

import re

import msgspec

__all__ = ["MAX_RETRY_MS", "SseComment", "SseEvent", "SseParser", "SseTooLargeError"]

MAX_RETRY_MS = 24 * 60 * 60 * 1000

_BOM = b"\xef\xbb\xbf"

# A whole simple event (groups 1 to 4: id, type, id, data) or else a single line (group 5).
# Values must not be empty, so that a blank line is the only token with five empty groups, and every
# prefix ends in a space, so that a value's line is exactly six, seven or four bytes longer.
# No repetition holds another one: a line is looked at a fixed number of times.
_TOKENS = re.compile(
    rb"(?:id: ([^\n\0]+)\n)?(?:event: ([^\n]+)\n)?(?:id: ([^\n\0]+)\n)?data: ([^\n]+)\n\n"
    rb"|([^\n]*)\n"
)
_Token = tuple[bytes, bytes, bytes, bytes, bytes]


# `gc=False`: strings cannot form a cycle, and the collector need not visit millions of events.
class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One dispatched event.

    `event` is "message" when the block named no type. `id` is the last event id at dispatch, which
    may come from an earlier event. `data` may be empty.
    """

    event: str
    data: str
    id: str


class SseComment(msgspec.Struct, frozen=True, gc=False):
    """One comment line: proof that the server lives. `text` is all that follows the colon."""

    text: str


class SseTooLargeError(ValueError):
    """A server sent more for one line or event than we agreed to hold; `limit` is in bytes."""

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


class SseParser:
    """Parser of one stream: feed it bytes, and take the events and comments they complete.

    `last_event_id` is what the next request should send as `Last-Event-ID` ("" for no header).
    `retry_ms` is the pause the stream asked for, None until it does, at most `MAX_RETRY_MS`.
    Make a new parser for each connection, with the `last_event_id` of the one before.
    """

    __slots__ = (
        "_after_cr",
        "_at_start",
        "_data",
        "_event",
        "_held",
        "_id",
        "_in_block",
        "_limit",
        "_refusal",
        "_tail",
        "last_event_id",
        "retry_ms",
    )

    def __init__(self, *, max_event_bytes: int = 16 * 1024 * 1024, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._limit = max_event_bytes
        self._refusal = ""
        self._at_start = True
        self._after_cr = False
        self._tail = bytearray()  # the unfinished line; at the start, what may become a BOM
        # The unfinished block, as far as its finished lines tell.
        self._in_block = False
        self._data = bytearray()  # as in the standard: each line of data with a LF after it
        self._event = b""
        self._id: bytes | None = None  # None: this block named no id
        self._held = 0

    def feed(self, chunk: bytes) -> list[SseEvent | SseComment]:
        """Consume bytes; return the events and comments they complete, in the stream's order.

        Raises:
            SseTooLargeError: An event outgrew `max_event_bytes`. If the chunk also completed events
                they are returned now, and the next call raises. So does every call after that.
        """
        if self._refusal:
            raise SseTooLargeError(self._refusal, self._limit)
        found: list[SseEvent | SseComment] = []
        try:
            self._parse(chunk, found)
        except SseTooLargeError as error:
            self._refusal = str(error)  # not the error: its traceback would keep the bytes alive
            self._tail.clear()
            self._data.clear()
            if not found:
                raise
        return found

    def _parse(self, chunk: bytes, found: list[SseEvent | SseComment]) -> None:
        if self._at_start:
            chunk = bytes(self._tail) + chunk
            self._tail.clear()
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._tail += chunk
                return
            self._at_start = False
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            # On bytes, `splitlines` knows CR LF, CR and LF, and no other line end.
            lines = chunk.splitlines()
            if chunk.endswith((b"\r", b"\n")):
                lines.append(b"")
            chunk = b"\n".join(lines)
        end = chunk.rfind(b"\n") + 1
        if end:
            if self._tail:
                end += len(self._tail)
                chunk = b"".join((self._tail, chunk))
                self._tail.clear()
            self._read_lines(chunk, end, found)
            chunk = chunk[end:]
        if chunk:
            self._check_size(len(self._tail) + len(chunk))
            self._tail += chunk

    def _read_lines(self, text: bytes, end: int, found: list[SseEvent | SseComment]) -> None:
        """Read `text[:end]`, which is whole lines, each with its LF."""
        tokens: list[_Token]
        if end <= self._limit:
            tokens = _TOKENS.findall(text, 0, end)
        else:  # Too much to be sure that each event in it is small enough: look at every line.
            tokens = [(b"", b"", b"", b"", line) for line in text[: end - 1].split(b"\n")]
        add = found.append
        for id1, name, id2, data, line in tokens:
            if data:
                if self._in_block:  # The fields before were read line by line; so must these be.
                    parts = ((b"id: ", id1), (b"event: ", name), (b"id: ", id2), (b"data: ", data))
                    for prefix, value in parts:
                        if value:
                            self._take_line(prefix + value, found)
                    self._dispatch(found)
                    continue
                if id1 or id2:
                    self.last_event_id = (id2 or id1).decode("utf-8", "replace")
                kind = name.decode("utf-8", "replace") if name else "message"
                add(SseEvent(kind, data.decode("utf-8", "replace"), self.last_event_id))
            elif line:
                self._take_line(line, found)
            else:
                self._dispatch(found)

    def _take_line(self, line: bytes, found: list[SseEvent | SseComment]) -> None:
        """Process one line that is not blank (9.2.6: "process the field")."""
        self._check_size(len(line))
        self._in_block = True
        name, _, value = line.partition(b":")
        if not name:
            found.append(SseComment(value.decode("utf-8", "replace")))
            return
        if value.startswith(b" "):
            value = value[1:]
        match name:
            case b"data":
                self._data += value
                self._data += b"\n"
            case b"event":
                self._event = value
            case b"id" if b"\0" not in value:
                self._id = value
            case b"retry" if value.isdigit():  # of bytes: ASCII digits only
                # Sixteen digits are above the clamp already, and few enough for `int`.
                digits = value.lstrip(b"0")[:16] or b"0"
                self.retry_ms = min(int(digits), MAX_RETRY_MS)
            case _:
                return
        self._held = len(self._data) + len(self._event) + len(self._id or b"")

    def _dispatch(self, found: list[SseEvent | SseComment]) -> None:
        """End the block at its blank line (9.2.6: "dispatch the event")."""
        if not self._in_block:
            return
        if self._id is not None:
            self.last_event_id = self._id.decode("utf-8", "replace")
        if self._data:
            self._data.pop()
            kind = self._event.decode("utf-8", "replace") or "message"
            data = self._data.decode("utf-8", "replace")
            found.append(SseEvent(kind, data, self.last_event_id))
            self._data.clear()
        self._event = b""
        self._id = None
        self._held = 0
        self._in_block = False

    def _check_size(self, line_bytes: int) -> None:
        if line_bytes + self._held > self._limit:
            what = "event" if self._held else "line"
            raise SseTooLargeError(
                f"a server-sent {what} is longer than the {self._limit:,} bytes allowed; "
                f"to accept it, raise --max-event-bytes",
                self._limit,
            )
