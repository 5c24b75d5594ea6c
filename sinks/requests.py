"""What `resources`, `read`, `prompts`, `prompt` and `complete` print on standard output."""

from base64 import b64decode
from binascii import Error as NotBase64Error
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import msgspec

from config.unseen import harmless_json
from pipeline.core.codec import Entry
from pipeline.core.commands import Item
from pipeline.core.events import Json, RequestEnded, SessionReady
from pipeline.core.shapes import is_list
from sinks.offers import format_result
from sinks.terminal_text import one_line
from sinks.writer import OffLoopWriter, Piece, Stream


class RequestSink:
    """Prints each answer: as text to read, or with `as_json` as an object on a line of its own.

    `{"server": name, "method": "resources/read", "result": {…}}`, and `reason` where there is
    something to say of the result. In text, a server's name stands above where there are several.
    `as_it_is`: what a resource holds goes out to the byte, for a file or another program.
    """

    name = "requests"

    def __init__(self, out: TextIO, *, as_json: bool, as_it_is: bool = False) -> None:
        self._out = Stream(out, "standard output")
        self._as_json = as_json
        self._as_it_is = as_it_is
        self._servers: set[str] = set()
        self._writer = OffLoopWriter()

    def wants(self, item: Item) -> bool:
        """Answers to requests, and how many servers there are."""
        return isinstance(item, RequestEnded | SessionReady)

    async def open(self) -> None:
        """Nothing to acquire: the stream is the caller's."""

    async def emit(self, entries: Sequence[Entry]) -> None:
        """Print the answers among them."""
        pieces: list[Piece] = []
        for entry in entries:
            match entry.item:
                case SessionReady(server=server):
                    self._servers.add(server)
                case RequestEnded(result=result) as ended if result is not None:
                    pieces += [Piece(self._out, data) for data in self._data(ended, result)]
                case _:
                    pass
        await self._writer.write(pieces)

    async def close(self) -> None:
        """The stream stays open."""

    def _data(self, ended: RequestEnded, result: Json) -> Iterator[str | bytes]:
        if self._as_json:
            found = {"server": ended.server, "method": ended.method, "result": result}
            reason = {"reason": ended.reason} if ended.reason else {}
            yield harmless_json(msgspec.json.encode({**found, **reason})) + b"\n"
        elif self._as_it_is and ended.method == "resources/read":
            contents = result.get("contents")
            yield from map(_bytes, contents if is_list(contents) else ())
        elif result.get("resourceTemplates") != []:  # that there are none goes without saying
            if len(self._servers) > 1:
                yield f"{one_line(ended.server)}:\n"
            yield f"{format_result(ended)}\n"


def _bytes(content: Any) -> bytes:
    """A text in UTF-8, or what Base64 stands for; nothing for what is neither."""
    match content:
        case {"text": str() as text}:
            return text.encode("utf-8", "backslashreplace")
        case {"blob": str() as blob}:
            try:
                return b64decode(blob, validate=True)
            except NotBase64Error:
                return blob.encode()
        case _:
            return b""
