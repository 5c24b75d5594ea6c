"""Events to bytes and back: the one place that knows how a line of a recording looks.

A line is `{"seq":7,"at":"2026-11-24T06:28:23.000001Z","session":"5c…","kind":"tool_ended",…}`:
UTF-8 JSON, one object, no newline inside. The first line of a recording is its header (`kind`
`recording`). A recording of an older format is read through an `Upgrade`.
"""

from functools import lru_cache
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import CallModel, Item
from pipeline.core.events import Json
from pipeline.core.json_text import is_nested_deeper
from pipeline.core.jsonrpc import shorten
from pipeline.core.migrations import FORMAT, UnknownFormatError, migrated, steps_from
from pipeline.core.plan import Plan
from pipeline.core.shapes import MAX_DEPTH, is_object

KINDS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Item))
"""All kinds of items that this version knows."""


class Entry(msgspec.Struct, frozen=True):
    """One item with its place in the run: `seq` counts from 1, `at` is RFC 3339, UTC, µs.

    `session` is the header's; empty where nobody gave it one.
    """

    seq: int
    at: str
    item: Item
    session: str = ""


class Header(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="recording", omit_defaults=True
):
    """The first line of a recording: what wrote it, and the plan the core started from.

    `format` is that of the lines below. `versions` are those of Python, the system and the
    libraries that shape what happens; `settings` is what the person set otherwise than by default.
    A recording that was too large for one file is in several: `part` is the number of this one, and
    where a run goes on in it, `after` is the `seq` of its last line in the file before, else 0.
    """

    format: int = FORMAT
    rxmcp: str = ""
    session: str = ""
    at: str = ""
    versions: dict[str, str] = {}
    settings: Json = {}
    part: int = 1
    after: int = 0
    plan: Plan = Plan()


class NotARecordingError(ValueError):
    """A line or a file is not what this version of rxmcp writes."""


class _Kind(msgspec.Struct):
    kind: str


class _Format(msgspec.Struct):
    kind: str
    format: int = 1


class _Place(msgspec.Struct):
    seq: int
    at: str
    session: str = ""


_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
_MOST_MESSAGES = 1_000_000
_MOST_LEVELS = 2 * MAX_DEPTH  # what came in through a door, with all that we wrap around it
_SHALLOW = 2 * _MOST_LEVELS  # bytes: each level takes two, so in so few there are no more
_encoder = msgspec.json.Encoder()
_items: msgspec.json.Decoder[Item] = msgspec.json.Decoder(Item)
_places = msgspec.json.Decoder(_Place)
_headers = msgspec.json.Decoder(Header)
_kinds = msgspec.json.Decoder(_Kind)
_formats = msgspec.json.Decoder(_Format)


def encode(item: Item) -> bytes:
    """One item as a JSON object, without its place; `CallModel` keeps only what is new in it."""
    if isinstance(item, CallModel):
        tools = item.tools if item.tools_changed else ()
        item = replace(item, messages=item.messages[item.since :], tools=tools)
    return _encoder.encode(item)


def encode_entry(entry: Entry) -> bytes:
    """One line of a recording, without the newline."""
    at, session, item = entry.at.encode(), _session(entry.session), encode(entry.item)[1:]
    return b'{"seq":%d,"at":"%b",%b%b' % (entry.seq, at, session, item)


@lru_cache(maxsize=16)
def _session(session: str) -> bytes:
    return b'"session":%b,' % _encoder.encode(session) if session else b""


def encode_header(header: Header) -> bytes:
    """The first line of a recording, without the newline. `format` is always written."""
    body = _encoder.encode(header)
    return body.replace(b'"recording"', b'"recording","format":%d' % header.format, 1)


def decode_entry(line: bytes) -> Entry:
    """Read one line of the current format; encoded again, it is the same line.

    Raises:
        NotARecordingError: If it is torn, or of a kind or shape that this version does not know.
    """
    try:
        if len(line) > _SHALLOW and is_nested_deeper(line, _MOST_LEVELS):
            raise msgspec.DecodeError(f"nested deeper than {_MOST_LEVELS} levels")
        place = _places.decode(line)
        return Entry(place.seq, place.at, _whole(_items.decode(line)), place.session)
    except _UNREADABLE as exc:
        raise NotARecordingError(f"not a line of a recording: {_why(line, exc)}") from exc


def _why(line: bytes, fault: Exception) -> str:
    try:
        kind = _kinds.decode(line).kind
    except _UNREADABLE:
        return str(fault)
    if kind in KINDS:
        return str(fault)
    return (
        f"found the kind {shorten(kind, 60)!r}, expected one that docs/events.md lists; "
        "if a newer rxmcp wrote it, only such a one can read it"
    )


def _whole(item: Item) -> Item:
    """Stand-ins for the messages that an earlier line holds: `since` counts from the first one."""
    if isinstance(item, CallModel) and item.since:
        if not 0 < item.since <= _MOST_MESSAGES:
            raise msgspec.ValidationError(f"found {item.since} messages before those of a call")
        return replace(item, messages=(*({},) * item.since, *item.messages))
    return item


def decode_header(line: bytes) -> Header:
    """Read the first line of a recording, of this format or an older one; `format` says which.

    Raises:
        NotARecordingError: If it is no header, or of a format that this version does not know.
    """
    return Upgrade(line).header


class Upgrade:
    """Brings the lines of one run to the current format. `first` is the run's header line.

    `header` is what it says, with the format that was found; called with a line, each in its order,
    it gives the line that this version would have written. Lines of the current format stay as they
    are, and so does what is no line at all: `decode_entry` is who complains.

    Raises:
        NotARecordingError: If the first line is no header, or of a format that this version does
            not know.
    """

    def __init__(self, first: bytes) -> None:
        try:
            # A tag may be missing from a struct that is no union: hence the look at it.
            found = _formats.decode(first).format
            self._steps = steps_from(found)
            self.first = self(first)
            self.header = replace(_headers.decode(self.first), format=found)
        except _UNREADABLE as exc:
            raise NotARecordingError(f"not the first line of a recording: {exc}") from exc
        except UnknownFormatError as exc:
            raise NotARecordingError(str(exc)) from exc

    @property
    def is_needed(self) -> bool:
        """Is the run of an older format?"""
        return bool(self._steps)

    def __call__(self, line: bytes) -> bytes:
        """The line in the current format, without a newline if it needed a change."""
        if not self._steps:
            return line
        try:
            value: Any = msgspec.json.decode(line)
            return _encoder.encode(migrated(value, self._steps)) if is_object(value) else line
        except _UNREADABLE:
            return line


def to_json(item: Item) -> Json:
    """One item as plain JSON values, for templates and tests."""
    value: Any = msgspec.json.decode(encode(item))
    return value
