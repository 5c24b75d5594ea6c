"""Events to bytes and back: the one place that knows how a line of a recording looks.

A line is `{"seq":7,"at":"2026-11-24T06:28:23.000001Z","kind":"tool_ended",…}`: UTF-8 JSON, one
object, no newline inside. The first line of a recording is its header (`kind` `recording`).
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from pipeline.core.commands import CallModel, Item
from pipeline.core.events import Json
from pipeline.core.plan import Plan

FORMAT = 1


class Entry(msgspec.Struct, frozen=True):
    """One item with its place in the run: `seq` counts from 1, `at` is RFC 3339, UTC, µs."""

    seq: int
    at: str
    item: Item


class Header(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="recording", omit_defaults=True
):
    """The first line of a recording: what wrote it, and the plan the core started from."""

    format: int = FORMAT
    rxmcp: str = ""
    session: str = ""
    at: str = ""
    plan: Plan = Plan()


class NotARecordingError(ValueError):
    """A line or a file is not what this version of rxmcp writes."""


class _Kind(msgspec.Struct):
    kind: str


class _Place(msgspec.Struct):
    seq: int
    at: str


_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)
_MOST_MESSAGES = 1_000_000
_encoder = msgspec.json.Encoder()
_items: msgspec.json.Decoder[Item] = msgspec.json.Decoder(Item)
_places = msgspec.json.Decoder(_Place)
_headers = msgspec.json.Decoder(Header)
_kinds = msgspec.json.Decoder(_Kind)


def encode(item: Item) -> bytes:
    """One item as a JSON object, without its place; `CallModel` keeps only what is new in it."""
    if isinstance(item, CallModel):
        tools = item.tools if item.tools_changed else ()
        item = replace(item, messages=item.messages[item.since :], tools=tools)
    return _encoder.encode(item)


def encode_entry(entry: Entry) -> bytes:
    """One line of a recording, without the newline."""
    return b'{"seq":%d,"at":"%b",%b' % (entry.seq, entry.at.encode(), encode(entry.item)[1:])


def encode_header(header: Header) -> bytes:
    """The first line of a recording, without the newline. `format` is always written."""
    body = _encoder.encode(header)
    return body.replace(b'"recording"', b'"recording","format":%d' % header.format, 1)


def decode_entry(line: bytes) -> Entry:
    """Read one line; encoded again, it is the same line.

    Raises:
        NotARecordingError: If it is torn, or of a kind or shape that this version does not know.
    """
    try:
        place = _places.decode(line)
        return Entry(place.seq, place.at, _whole(_items.decode(line)))
    except _UNREADABLE as exc:
        raise NotARecordingError(f"not a line of a recording: {exc}") from exc


def _whole(item: Item) -> Item:
    """Stand-ins for the messages that an earlier line holds: `since` counts from the first one."""
    if isinstance(item, CallModel) and item.since:
        if not 0 < item.since <= _MOST_MESSAGES:
            raise msgspec.ValidationError(f"found {item.since} messages before those of a call")
        return replace(item, messages=(*({},) * item.since, *item.messages))
    return item


def decode_header(line: bytes) -> Header:
    """Read the first line of a recording.

    Raises:
        NotARecordingError: If it is no header, or of a format that this version does not know.
    """
    try:
        # A tag may be missing from a struct that is no union: hence the look at it.
        _kinds.decode(line)
        header = _headers.decode(line)
    except _UNREADABLE as exc:
        raise NotARecordingError(f"not the first line of a recording: {exc}") from exc
    if header.format != FORMAT:
        raise NotARecordingError(f"found format {header.format}, this version reads {FORMAT}")
    return header


def to_json(item: Item) -> Json:
    """One item as plain JSON values, for templates and tests."""
    value: Any = msgspec.json.decode(encode(item))
    return value
