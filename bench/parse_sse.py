"""CPU time of our SSE parser beside the others: `python bench/parse_sse.py`.

All parsers get the same bytes, cut alike; their runs take turns, and the best of them counts. A
number is microseconds of CPU per event; in brackets, how many times ours that is. Parsers that
cannot be imported are named and left out: `pip install httpx-sse sseclient-py` adds two.

A peer may do other work than ours (anthropic's keeps the raw lines), and may be wrong: a "!" marks
events that differ from what went in.
"""

import codecs
import gc
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.core.sse import SseParser

ROUNDS = 7
STREAM_BYTES = 4_000_000
Parse = Callable[[list[bytes]], list[Any]]


def ours() -> Parse:
    def parse(chunks: list[bytes]) -> list[Any]:
        parser = SseParser()
        return [event for chunk in chunks for event in parser.feed(chunk)]

    return parse


def texts(chunks: Iterable[bytes]) -> Iterator[str]:
    """Decode as an HTTP client's `iter_text` does for the parsers that take text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return (decoder.decode(chunk) for chunk in chunks)


def httpx_sse() -> Parse:
    module = importlib.import_module("httpx_sse._decoders")

    def parse(chunks: list[bytes]) -> list[Any]:
        split, decode = module.SSELineDecoder().decode, module.SSEDecoder().decode
        found = (decode(line) for text in texts(chunks) for line in split(text))
        return [event for event in found if event is not None]

    return parse


def httpx2_of_mcp() -> Parse:
    module = importlib.import_module("httpx2._sse")

    def parse(chunks: list[bytes]) -> list[Any]:
        parser = module._SSEParser(None)
        return [event for text in texts(chunks) for event in parser.decode(text)]

    return parse


def anthropic() -> Parse:
    module = importlib.import_module("anthropic._streaming")
    return lambda chunks: list(module.SSEDecoder().iter_bytes(iter(chunks)))


def openai() -> Parse:
    module = importlib.import_module("openai._streaming")
    return lambda chunks: list(module.SSEDecoder().iter_bytes(iter(chunks)))


def sseclient_py() -> Parse:
    module = importlib.import_module("sseclient")
    return lambda chunks: list(module.SSEClient(iter(chunks)).events())


def stream(size: int, head: bytes = b"", lines: int = 1, end: bytes = b"\n") -> tuple[bytes, int]:
    """Return a stream of equal events of about `size` bytes, and the number of them."""
    room = max(1, (size - len(head) - 2) // lines - 7)
    event = (head + b"data: ".join([b"", *[b"x" * room + b"\n"] * lines]) + b"\n").replace(
        b"\n", end
    )
    count = max(3, STREAM_BYTES // len(event))
    return event * count, count


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


MCP, RESUMABLE = b"event: message\n", b"event: message\nid: 0123456789\n"
CASES: dict[str, tuple[tuple[bytes, int], int]] = {
    "100 B": (stream(100), 65536),
    "1 KB": (stream(1000), 65536),
    "64 KB": (stream(65536), 65536),
    "100 B, MCP": (stream(100, MCP), 65536),
    "1 KB, MCP": (stream(1000, MCP), 65536),
    "64 KB, MCP": (stream(65536, MCP), 65536),
    "100 B, MCP, CRLF": (stream(100, MCP, end=b"\r\n"), 65536),
    "1 KB, MCP, CRLF": (stream(1000, MCP, end=b"\r\n"), 65536),
    "100 B, MCP, id": (stream(100, RESUMABLE), 65536),
    "1 KB, 10 data lines": (stream(1000, MCP, lines=10), 65536),
    "100 B, one a chunk": (stream(100), 0),
    "100 B, MCP, one a chunk": (stream(100, MCP), 0),
    "100 B, 100 B chunks": (stream(100), 100),
    "100 B, 10 B chunks": (stream(100), 10),
    "1 MB in 64 KB chunks": (stream(1_000_000, MCP), 65536),
}


def seconds(parse: Parse, chunks: list[bytes]) -> tuple[float, list[Any]]:
    gc.collect()
    start = time.process_time()
    found = parse(chunks)
    return time.process_time() - start, found


def main() -> None:
    parsers: dict[str, Parse] = {}
    for make in (ours, httpx_sse, httpx2_of_mcp, anthropic, openai, sseclient_py):
        try:
            parsers[make.__name__] = make()
        except (ImportError, AttributeError) as error:
            print(f"left out: {make.__name__}: {error}")
    print(
        f"\nµs of CPU per event, and times ours (best of {ROUNDS}, Python {sys.version.split()[0]})"
    )
    print(f"{'':<24}" + "".join(f"{name:>16}  " for name in parsers))
    for title, ((data, count), size) in CASES.items():
        chunks = cut(data, size or len(data) // count)
        best = dict.fromkeys(parsers, float("inf"))
        right = dict.fromkeys(parsers, True)
        wanted = [event.data for event in parsers["ours"](chunks)]
        assert len(wanted) == count
        for _ in range(ROUNDS):
            for name, parse in parsers.items():
                took, found = seconds(parse, chunks)
                best[name] = min(best[name], took)
                right[name] = [event.data for event in found] == wanted
        line = f"{title:<24}"
        for name, took in best.items():
            ratio = f"({took / best['ours']:.1f})" + ("" if right[name] else " !")
            line += f"{took / count * 1e6:>9.2f} {ratio:<8}"
        print(line)


if __name__ == "__main__":
    main()
