import base64
import hashlib
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.core.sse import MAX_RETRY_MS, SseComment, SseEvent, SseParser, SseTooLargeError
from tests.core.sse_reference import Reference

DATA = json.loads((Path(__file__).parents[1] / "data" / "sse_cases.json").read_text("utf-8"))
CASES = [case for case in DATA["cases"] if case["level"] != "limit"]
SMALL = [case for case in CASES if "size" not in case["tags"]]
LIMITS = [case for case in DATA["cases"] if case["level"] == "limit"]
RECONNECTS = [
    case for case in DATA["reconnect_cases"] if "connections" in case or "connections_b64" in case
]
MIB = 1024 * 1024

Item = SseEvent | SseComment


def by_name(case: dict[str, Any]) -> str:
    return case["name"]


def chunks_of(case: dict[str, Any]) -> Iterator[bytes]:
    for chunk in case["chunks"]:
        if isinstance(chunk, str):
            yield base64.b64decode(chunk)
        else:
            piece = base64.b64decode(chunk["b64"])
            for _ in range(chunk["repeat"]):
                yield piece


def one_by_one(stream: bytes) -> list[bytes]:
    return [stream[at : at + 1] for at in range(len(stream))]


def fed(parser: SseParser, chunks: Iterable[bytes]) -> list[Item]:
    return [item for chunk in chunks for item in parser.feed(chunk)]


def assert_as_expected(case: dict[str, Any], chunks: Iterable[bytes]) -> None:
    parser = SseParser()
    items = fed(parser, chunks)
    events = [item for item in items if isinstance(item, SseEvent)]
    assert len(events) == len(case["expected"])
    for event, expected in zip(events, case["expected"], strict=True):
        assert (event.event, event.id) == (expected["event"], expected["id"])
        if "data" in expected:
            assert event.data == expected["data"]
        else:
            data = event.data.encode()
            assert len(data) == expected["data_len_bytes"]
            assert hashlib.sha256(data).hexdigest() == expected["data_sha256"]
    final = case["final"]
    assert parser.last_event_id == final["last_event_id"]
    assert parser.retry_ms == (MAX_RETRY_MS if final["retry"] == "clamp" else final["retry"])
    if "comments" in final:
        comments = [item.text for item in items if isinstance(item, SseComment)]
        assert comments == final["comments"]


def result(
    chunks: Iterable[bytes], limit: int = 16 * MIB, last_event_id: str = ""
) -> tuple[list[Item], str, int | None, str]:
    """Return all a caller can see, the error's words (or "") included."""
    parser = SseParser(max_event_bytes=limit, last_event_id=last_event_id)
    items: list[Item] = []
    words = ""
    try:
        for chunk in (*chunks, b""):  # an error that follows events comes with the next call
            items += parser.feed(chunk)
    except SseTooLargeError as error:
        words = str(error)
    return items, parser.last_event_id, parser.retry_ms, words


def reference_result(
    stream: bytes, last_event_id: str = ""
) -> tuple[list[Item], str, int | None, str]:
    said = Reference(stream, last_event_id)
    items = [SseComment(*item) if len(item) == 1 else SseEvent(*item) for item in said.items]
    retry = None if said.retry_ms is None else min(said.retry_ms, MAX_RETRY_MS)
    return items, said.last_event_id, retry, ""


# The cases of tests/data/sse_cases.json. No end of file is ever told: all must be out before it.


def test_the_cases_are_all_there() -> None:
    assert len(CASES) >= 163
    assert len(SMALL) >= 157
    assert len(LIMITS) == 3
    assert len(RECONNECTS) >= 6


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_case_in_its_own_chunks(case: dict[str, Any]) -> None:
    assert_as_expected(case, chunks_of(case))


@pytest.mark.parametrize("case", CASES, ids=by_name)
def test_case_in_one_chunk(case: dict[str, Any]) -> None:
    assert_as_expected(case, [b"".join(chunks_of(case))])


@pytest.mark.parametrize("case", SMALL, ids=by_name)
def test_case_byte_by_byte(case: dict[str, Any]) -> None:
    assert_as_expected(case, one_by_one(b"".join(chunks_of(case))))


@pytest.mark.parametrize("case", SMALL, ids=by_name)
def test_case_cut_at_every_offset(case: dict[str, Any]) -> None:
    stream = b"".join(chunks_of(case))
    for at in range(len(stream) + 1):
        assert_as_expected(case, [stream[:at], stream[at:]])


@pytest.mark.parametrize("case", SMALL, ids=by_name)
def test_reference_agrees_with_case(case: dict[str, Any]) -> None:
    stream = b"".join(chunks_of(case))
    assert result([stream]) == reference_result(stream)


@pytest.mark.parametrize("case", RECONNECTS, ids=by_name)
def test_last_event_id_is_carried_over_a_reconnect(case: dict[str, Any]) -> None:
    streams = [text.encode() for text in case.get("connections", [])]
    streams += [base64.b64decode(text) for text in case.get("connections_b64", [])]
    last_event_id = ""
    events: list[dict[str, str]] = []
    for stream, header in zip(streams, case["expect_header"], strict=True):
        assert last_event_id == (header or "")
        parser = SseParser(last_event_id=last_event_id)
        for item in parser.feed(stream):
            assert isinstance(item, SseEvent)
            events.append({"event": item.event, "data": item.data, "id": item.id})
        last_event_id = parser.last_event_id
    assert events == case.get("expect_events", events)


# Any cut gives the same, and what the standard's letter gives.

WORDS = (
    b"data", b"event", b"id", b"retry", b"Data", b"dat", b": ", b":", b" ", b"  ", b"\n", b"\n\n",
    b"\r", b"\r\n", b"\r\n\r\n", b"\0", b"x", b"data: x\n\n", b"data: ", b"event: message\n",
    b"id: 7\n", b"id: a\0b\n", b"retry: 30\n", b": ping\n", b"12", b"+1", b"1_0", b"9" * 20,
    b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xbf", b"\xe2\x82\xac", b"\xe2\x82", b"\xf0\x9f\x98\x80",
    b"\xed\xa0\x80", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b", b"\x0c", b"\x1c", b"\t",
)  # fmt: skip

streams = st.lists(st.sampled_from(WORDS) | st.binary(max_size=3), max_size=24).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@given(cut_streams())
@example([b"data: a\r", b"\ndata: b\r", b"", b"\n\r", b"\n"])
@example([b"\xef", b"", b"\xbb", b"\xbfdata: x\n\n"])
@example([b"id: 1\ndata: a\n", b"event: e\nid: 2\ndata: b\n\n"])
@example([b"data: a", b"b\ndata: c\n\n"])
def test_any_cut_gives_what_the_standard_says(chunks: list[bytes]) -> None:
    stream = b"".join(chunks)
    expected = reference_result(stream)
    assert result(chunks) == expected
    assert result([stream]) == expected
    assert result(one_by_one(stream)) == expected


@given(cut_streams(), st.text(max_size=3))
def test_first_id_is_kept_until_the_stream_names_another(chunks: list[bytes], first: str) -> None:
    assert result(chunks, last_event_id=first) == reference_result(b"".join(chunks), first)


@given(cut_streams(), st.integers(1, 24))
@example([b"event: e\ndata: x\n\n", b"event: eeee\ndata: x"], 12)
@example([b"data: 1\n\ndata: 12345678\n\n"], 12)
@example([b"data: 1234567890\n", b"data: 1\n\n"], 17)
@example([b"data: 1234567890\n", b"data: 1\n\n"], 18)
@example([b"data: 12345", b"67\n\n"], 13)
@example([b"event: eeeeeeee\nid: iiiiiiii\n", b"data: 1\n\n"], 22)
@example([b"event: eeeeeeee\nid: iiiiiiii\n", b"data: 1\n\n"], 23)
def test_limit_strikes_at_the_same_place_for_any_cut(chunks: list[bytes], limit: int) -> None:
    stream = b"".join(chunks)
    expected = result(one_by_one(stream), limit)
    assert result(chunks, limit) == expected
    assert result([stream], limit) == expected
    unlimited = result([stream])
    if expected[-1] == "":
        assert expected == unlimited
    else:
        assert expected[0] == unlimited[0][: len(expected[0])]


def test_every_short_sequence_of_lines_gives_what_the_standard_says() -> None:
    lines = (b"", b"data: 1", b"data:", b"data: ", b"data:  2", b"event: e", b"event", b"id: 3",
             b"id: 33", b"id", b"id: \0", b": c", b"retry: 4", b"x: 5")  # fmt: skip
    for chosen in product(lines, repeat=4):
        stream = b"\n".join((*chosen, b"", b""))
        expected = reference_result(stream)
        assert result([stream]) == expected
        assert result([stream[:9], stream[9:]]) == expected


# Order, and what is out when.


def test_comments_and_events_come_in_the_order_of_the_stream() -> None:
    stream = b": 1\ndata: 2\n\n:3\nevent: e\n: 4\ndata: 5\n: 6\n\n: 7\n\ndata: 8\n\n"
    assert SseParser().feed(stream) == [
        SseComment(" 1"),
        SseEvent("message", "2", ""),
        SseComment("3"),
        SseComment(" 4"),
        SseComment(" 6"),
        SseEvent("e", "5", ""),
        SseComment(" 7"),
        SseEvent("message", "8", ""),
    ]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"], ids=["LF", "CR", "CRLF"])
def test_event_is_out_with_the_first_byte_of_its_blank_line(end: bytes) -> None:
    parser = SseParser()
    assert fed(parser, one_by_one(b"data: x" + end)) == []
    assert parser.feed(end[:1]) == [SseEvent("message", "x", "")]
    assert parser.feed(end[1:]) == []
    assert parser.feed(b"data: y" + end + end) == [SseEvent("message", "y", "")]


def test_lf_after_a_cr_is_dropped_even_if_empty_chunks_come_between() -> None:
    parser = SseParser()
    assert parser.feed(b"data: x\r") == []
    assert parser.feed(b"") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\n") == [SseEvent("message", "x", "")]


def test_only_one_lf_is_dropped_after_a_cr() -> None:
    parser = SseParser()
    assert parser.feed(b"data: x\r") == []
    assert parser.feed(b"\n\n") == [SseEvent("message", "x", "")]


def test_last_event_id_moves_at_the_blank_line_and_retry_at_once() -> None:
    parser = SseParser(last_event_id="old")
    assert parser.feed(b"id: new\nretry: 5\n") == []
    assert (parser.last_event_id, parser.retry_ms) == ("old", 5)
    assert parser.feed(b"\n") == []
    assert parser.last_event_id == "new"


def test_events_are_values() -> None:
    (event,) = SseParser().feed(b"data: x\n\n")
    assert event == SseEvent("message", "x", "")
    assert {event: 1}[SseEvent("message", "x", "")] == 1
    with pytest.raises(AttributeError, match="immutable"):
        event.data = "y"  # type: ignore[union-attr, misc]


# Retry.


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        (b"0", 0),
        (b"0" * 10_000, 0),
        (b"0" * 10_000 + b"7", 7),
        (b"%d" % MAX_RETRY_MS, MAX_RETRY_MS),
        (b"%d" % (MAX_RETRY_MS + 1), MAX_RETRY_MS),
        (b"1" * 10_000, MAX_RETRY_MS),
    ],
    ids=["zero", "zeros", "zeros-seven", "at-the-most", "one-above", "10000-digits"],
)
def test_retry_of_any_length_is_read_and_clamped(digits: bytes, expected: int) -> None:
    parser = SseParser()
    assert parser.feed(b"retry: " + digits + b"\n") == []
    assert parser.retry_ms == expected


@pytest.mark.parametrize("text", ["+1", "-1", "1_000", "1 ", " 1", "1.0", "\u0663", "\u00b2", ""])
def test_retry_that_is_not_ascii_digits_leaves_the_earlier_one(text: str) -> None:
    parser = SseParser()
    parser.feed(b"retry: 20\nretry: " + text.encode() + b"\n\n")
    assert parser.retry_ms == 20


# The limit.


def peak_growth(parser: SseParser, chunks: Iterable[bytes]) -> tuple[int, SseTooLargeError]:
    tracemalloc.start()
    try:
        with pytest.raises(SseTooLargeError) as caught:
            fed(parser, chunks)
        return tracemalloc.get_traced_memory()[1], caught.value
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", LIMITS, ids=by_name)
@pytest.mark.parametrize("limit", [MIB, 16 * MIB], ids=["1MiB", "16MiB"])
def test_endless_input_is_refused_with_bounded_memory(case: dict[str, Any], limit: int) -> None:
    peak, error = peak_growth(SseParser(max_event_bytes=limit), chunks_of(case))
    assert error.limit == limit
    assert peak < limit + 8 * MIB


@pytest.mark.parametrize("line", [b"data\n", b"data: x\n", b"data:xy\n", b"data: xy\r\n"])
def test_endless_tiny_data_lines_take_no_more_memory_than_their_bytes(line: bytes) -> None:
    chunk = line * 200
    limit = MIB // 4
    peak, _ = peak_growth(SseParser(max_event_bytes=limit), (chunk for _ in range(10_000)))
    assert peak < limit + MIB // 4


def test_refusal_keeps_no_memory() -> None:
    parser = SseParser(max_event_bytes=4 * MIB)
    tracemalloc.start()
    try:
        head = b"event: " + b"e" * MIB + b"\nid: " + b"i" * MIB + b"\ndata: "
        with pytest.raises(SseTooLargeError):
            fed(parser, (head, *(b"d" * 65536 for _ in range(100))))
        del head
        with pytest.raises(SseTooLargeError):
            parser.feed(b"more")
        assert tracemalloc.get_traced_memory()[0] < 256 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("stream", "what"),
    [
        (b"data: 3456789", "line"),
        (b": 3456789012", "line"),
        (b"event: e\ndata: 67", "event"),
        (b"id: 1\ndata: 678", "event"),
        (b"data: 1\ndata: 45", "event"),
        (b"data: 1\n: 345678", "event"),
        (b"x: 345\n: 3456789", "line"),
    ],
)
def test_limit_is_exact_and_says_what_was_too_long(stream: bytes, what: str) -> None:
    held = len(stream.rpartition(b"\n")[2])
    for line in stream.split(b"\n")[:-1]:
        name, _, value = line.partition(b": ")
        held += {b"data": len(value) + 1, b"event": len(value), b"id": len(value)}.get(name, 0)
    for end in (b"", b"\n", b"\n\n"):
        assert result([stream + end], held) == result([stream + end])
        words = result([stream + end], held - 1)[-1]
        assert words == (
            f"a server-sent {what} is longer than the {held - 1} bytes allowed; "
            "to accept it, raise --max-event-bytes"
        )


def test_each_part_of_a_block_counts_against_the_limit_across_chunks() -> None:
    chunks = [b"event: eeeeee\n", b"id: iiiiii\ndata: d", b"ddd\n\n"]
    assert result(chunks, 22) == ([SseEvent("eeeeee", "dddd", "iiiiii")], "iiiiii", None, "")
    assert result(chunks, 21)[:2] == ([], "")
    assert "longer than the 21 bytes" in result(chunks, 21)[-1]


def test_repeated_type_and_id_count_once() -> None:
    stream = b"event: 123456\nid: 12345678\n" * 100 + b"data: x\n\n"
    limit = len(b"event: 123456") + len(b"123456") + len(b"12345678")  # a line, and both as held
    for chunks in (one_by_one(stream), [stream]):
        assert result(chunks, limit)[0] == [SseEvent("123456", "x", "12345678")]
        assert result(chunks, limit - 1)[0] == []


@pytest.mark.parametrize("line", [b": ping\n", b"unknown: field\n", b"retry: 1\n", b"\n"])
def test_endless_short_lines_that_hold_nothing_are_never_refused(line: bytes) -> None:
    parser = SseParser(max_event_bytes=64)
    parser.feed(b"data: x\n")
    for _ in range(1000):
        parser.feed(line)
        parser.feed(line * 50)
    assert parser.feed(b"data: y\n\n")


def test_events_before_the_refused_one_come_out_first() -> None:
    parser = SseParser(max_event_bytes=16)
    assert parser.feed(b"id: 1\ndata: a\n\nid: 2\ndata: " + b"b" * 20) == [
        SseEvent("message", "a", "1")
    ]
    with pytest.raises(SseTooLargeError, match="--max-event-bytes"):
        parser.feed(b"")
    assert parser.last_event_id == "1"


def test_refused_parser_refuses_everything_after() -> None:
    parser = SseParser(max_event_bytes=16)
    with pytest.raises(SseTooLargeError) as first:
        parser.feed(b"data: " + b"x" * 11)
    for _ in range(2):
        with pytest.raises(SseTooLargeError) as again:
            parser.feed(b"\n\ndata: ok\n\n")
        assert str(again.value) == str(first.value)
        assert again.value.limit == 16


def test_one_chunk_may_hold_more_than_the_limit_in_small_events() -> None:
    events = SseParser(max_event_bytes=16).feed(b"event: e\ndata: x\n\n" * 1000)
    assert events == [SseEvent("e", "x", "")] * 1000


# Size. Time belongs to bench/parse_sse.py; here the same sizes must work, in bounded memory.


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_large_event_is_collected_in_little_more_than_its_size(size: int) -> None:
    total = MIB // 4
    piece = b"x" * size
    parser = SseParser()
    tracemalloc.start()
    try:
        parser.feed(b"event: message\ndata: ")
        for _ in range(total // size):
            assert parser.feed(piece) == []
        assert tracemalloc.get_traced_memory()[1] < 1.25 * total + 64 * 1024
        (event,) = parser.feed(b"\n\n")
        assert tracemalloc.get_traced_memory()[1] < 2.5 * total + 64 * 1024
    finally:
        tracemalloc.stop()
    assert event == SseEvent("message", "x" * (total // size * size), "")
    assert parser.feed(b"data: y\n\n") == [SseEvent("message", "y", "")]


def test_ten_megabytes_of_events_are_read_from_small_chunks() -> None:
    stream = (b"event: message\ndata: " + b"x" * 977 + b"\n\n") * 10_000
    parser = SseParser()
    count = 0
    for at in range(0, len(stream), 100):
        count += len(parser.feed(stream[at : at + 100]))
    assert count == 10_000
