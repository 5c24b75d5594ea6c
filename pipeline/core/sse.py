"""Server-sent events: bytes in, events out. No I/O, no clock.

The rules are those of the WHATWG HTML standard, section 9.2: "Parsing an event stream" (9.2.5) and
"Interpreting an event stream" (9.2.6), with UTF-8 as the Encoding standard decodes it.


How it works
============

Bytes may be cut anywhere: in a UTF-8 sequence, between CR and LF, in the byte order mark. So
nothing is decoded, and nothing is judged, before its line is whole. `feed` takes four steps:

1.  *Line ends.* If the chunk has a CR, its line ends become LF. A CR at the end of a chunk ends its
    line at once; we do not wait for the next byte, but drop it if it is the LF of that CR.

2.  *Lines.* Everything after the last LF is an unfinished line and goes to `_tail`. Only new bytes
    are searched for the LF that ends it. That makes the work linear, however the bytes are cut.

3.  *Tokens.* One regular expression cuts the other lines into tokens, in one call. A token is the
    fields most events have, up to a line `data: …`, or else it is one line of any kind. If the
    token is a whole block, the event is built on the spot. That is the fast path, and speed is its
    only reason: the same block read line by line gives the same event.

4.  *Fields.* Any other line goes to `_take_line`, and a blank one to `_dispatch`: the standard's
    steps in the standard's order. They collect a block in `_data`, `_event` and `_id`, as bytes,
    since a list of small strings would take twenty times the memory of short lines. No UTF-8
    sequence holds an LF, so whole lines can be decoded apart from each other.


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

# Either the fields most events have, each at most once or twice (groups 1 to 4: id, type, id, data)
# and the blank line if it follows (group 5), or else a single line of any kind (group 6). These
# values are not empty, so that only a blank line leaves all groups empty, and their names end in
# one space, so that their lines are exactly 4, 7 or 6 bytes longer. No repetition holds another:
# a line is looked at a fixed number of times, whatever a hostile server sends.
_TOKENS = re.compile(
    rb"(?:id: ([^\n\0]+)\n)?(?:event: ([^\n]+)\n)?(?:id: ([^\n\0]+)\n)?data: ([^\n]+)\n(\n?)"
    rb"|([^\n]*)\n"
)
_Token = tuple[bytes, bytes, bytes, bytes, bytes, bytes]


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

    def __init__(self, *, max_event_bytes: int = 16 * 1024 * 1024, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._limit = max_event_bytes
        self._refusal = ""
        self._is_special = True  # at the start, after a CR, or once refused: see `_prepare`
        self._is_at_start = True
        self._start = b""  # what may become a byte order mark
        self._tail = bytearray()  # the unfinished line
        # The unfinished block, as far as its finished lines tell.
        self._in_block = False
        self._data = bytearray()  # as in the standard: each line of data with a LF after it
        self._event = b""
        self._id: bytes | None = None  # None: this block named no id
        self._named = 0  # bytes in `_event` and `_id`

    def feed(self, chunk: bytes) -> list[SseEvent | SseComment]:
        """Consume bytes; return the events and comments they complete, in the stream's order.

        Raises:
            SseTooLargeError: An event outgrew `max_event_bytes`. If the chunk also completed events
                they are returned now, and the next call raises. So does every call after that.
        """
        if self._is_special:
            chunk = self._prepare(chunk)
        if b"\r" in chunk:
            chunk = self._with_lf_only(chunk)
        found: list[SseEvent | SseComment] = []
        end = chunk.rfind(b"\n") + 1
        try:
            if end:
                start = self._finish_tail(chunk, found) if self._tail else 0
                if start < end:
                    self._read_lines(chunk, start, end, found)
                chunk = chunk[end:]
            if chunk:
                if len(self._tail) + len(chunk) + len(self._data) + self._named > self._limit:
                    raise self._too_large()
                self._tail += chunk
        except SseTooLargeError as error:
            self._refusal = str(error)  # not the error: its traceback would keep the bytes alive
            self._is_special = True
            self._tail = self._data = bytearray()
            self._event = self._id = b""
            if not found:
                raise
        return found

    def _prepare(self, chunk: bytes) -> bytes:
        """Handle what only some chunks meet: the start, a CR just before, an earlier refusal."""
        if self._refusal:
            raise SseTooLargeError(self._refusal, self._limit)
        if self._is_at_start:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return b""
            self._is_at_start = self._is_special = False
            return chunk.removeprefix(_BOM)
        if chunk:
            self._is_special = False
            chunk = chunk.removeprefix(b"\n")
        return chunk

    def _with_lf_only(self, chunk: bytes) -> bytes:
        self._is_special = chunk.endswith(b"\r")
        # On bytes, `splitlines` knows CR LF, CR and LF, and no other line end.
        lines = chunk.splitlines()
        if chunk.endswith((b"\r", b"\n")):
            lines.append(b"")
        return b"\n".join(lines)

    def _finish_tail(self, chunk: bytes, found: list[SseEvent | SseComment]) -> int:
        """Read the line that `_tail` begins and `chunk` ends; return where the next one starts."""
        end = chunk.index(b"\n")
        line = self._tail
        line += chunk[:end]
        if line.startswith(b"data: ") and not self._data:  # large data is not copied: it moves
            if len(line) + self._named > self._limit:
                raise self._too_large()
            self._tail = self._data
            self._data = line
            del line[:6]
            line += b"\n"
            self._in_block = True
        else:
            self._tail = bytearray()
            self._take_line(bytes(line), found)
        return end + 1

    def _read_lines(
        self, text: bytes, start: int, end: int, found: list[SseEvent | SseComment]
    ) -> None:
        """Read `text[start:end]`, which is whole lines, each with its LF."""
        tokens: list[_Token]
        if end - start <= self._limit:
            tokens = _TOKENS.findall(text, start, end)
        else:  # Too much to be sure that each event in it is small enough: look at every line.
            lines = text[start : end - 1].split(b"\n")
            tokens = [(b"", b"", b"", b"", b"", line) for line in lines]
        add = found.append
        collected = self._data
        for id1, kind, id2, data, blank, line in tokens:
            if blank and not self._in_block:
                if id1 or id2:
                    self.last_event_id = (id2 or id1).decode("utf-8", "replace")
                event = kind.decode("utf-8", "replace") if kind else "message"
                add(SseEvent(event, data.decode("utf-8", "replace"), self.last_event_id))
            elif data:
                if id1:
                    self._take_line(b"id: " + id1, found)
                if kind:
                    self._take_line(b"event: " + kind, found)
                if id2:
                    self._take_line(b"id: " + id2, found)
                if 6 + len(data) + len(collected) + self._named > self._limit:
                    raise self._too_large()
                self._in_block = True
                collected += data
                collected += b"\n"
                if blank:
                    self._dispatch(found)
            elif line:
                self._take_line(line, found)
            else:
                self._dispatch(found)

    def _take_line(self, line: bytes, found: list[SseEvent | SseComment]) -> None:
        """Process one line that is not blank (9.2.6: "process the field")."""
        if len(line) + len(self._data) + self._named > self._limit:
            raise self._too_large()
        self._in_block = True
        name, _, value = line.partition(b":")
        if not name:
            found.append(SseComment(value.decode("utf-8", "replace")))
            return
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data += value
                self._data += b"\n"
            case b"event":
                self._named += len(value) - len(self._event)
                self._event = value
            case b"id" if b"\0" not in value:
                self._named += len(value) - len(self._id or b"")
                self._id = value
            case b"retry" if value.isdigit():  # of bytes: ASCII digits only
                # Sixteen digits are above the clamp already, and few enough for `int`.
                digits = value.lstrip(b"0")[:16] or b"0"
                self.retry_ms = min(int(digits), MAX_RETRY_MS)
            case _:
                pass

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
        self._named = 0
        self._in_block = False

    def _too_large(self) -> SseTooLargeError:
        what = "event" if self._data or self._named else "line"
        return SseTooLargeError(
            f"a server-sent {what} is longer than the {self._limit:,} bytes allowed; "
            f"to accept it, raise --max-event-bytes",
            self._limit,
        )
