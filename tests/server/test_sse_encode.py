import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.sse import SseEvent, SseParser
from server.sse_encode import encode_comment, encode_event, encode_json_event
from tests.server.helpers import Event, Parser

CASES = json.loads((Path(__file__).parents[1] / "data" / "sse_cases.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: case["name"])
def test_the_events_of_every_conformance_case_round_trip(case: dict[str, Any]) -> None:
    events = [event for event in case["expected"] if "data" in event]
    for name, data, event_id in ((e["event"], e["data"], e["id"]) for e in events):
        encoded = encode_event(name, data, event_id=event_id)
        assert Parser().feed(encoded) == [Event(name, data, event_id)]
        assert SseParser().feed(encoded) == [SseEvent(event=name, data=data, id=event_id)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("", ""),
        ("one", "one"),
        (" leading space", " leading space"),
        ("  two leading spaces ", "  two leading spaces "),
        (":colon", ":colon"),
        ("data: nested", "data: nested"),
        ("a\nb", "a\nb"),
        ("a\n\nb", "a\n\nb"),
        ("\n", "\n"),
        ("a\n", "a\n"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a\nb"),
        ("a\n\rb", "a\n\nb"),
        ("nul \0 inside", "nul \0 inside"),
        ("\ufeffbom first", "\ufeffbom first"),
        ("line\u2028separator\u2029and\x85next", "line\u2028separator\u2029and\x85next"),
        ("\t\v\f\x1c\x1e", "\t\v\f\x1c\x1e"),
        ("emoji 🎈, Ü, 漢字", "emoji 🎈, Ü, 漢字"),
        ("x" * 100_000, "x" * 100_000),
    ],
)
def test_data_comes_out_of_a_parser_as_it_went_in_with_line_ends_as_lf(
    data: str, expected: str
) -> None:
    encoded = encode_event("message", data)
    if expected == "":
        # A parser dispatches no event without data, unless a data line was there: it was.
        assert encoded == b"event: message\ndata: \n\n"
    assert Parser().feed(encoded) == [Event("message", expected)]
    assert SseParser().feed(encoded) == [SseEvent(event="message", data=expected, id="")]


@given(st.text(), st.lists(st.integers(1, 7), min_size=1))
def test_any_text_round_trips_however_the_bytes_are_cut(data: str, cuts: list[int]) -> None:
    encoded = encode_event("e", data, event_id="7")
    parser, events, at = Parser(), [], 0
    while at < len(encoded):
        size = cuts[at % len(cuts)]
        events.extend(parser.feed(encoded[at : at + size]))
        at += size
    expected = data.replace("\r\n", "\n").replace("\r", "\n")
    assert events == [Event("e", expected, "7")]


@given(st.recursive(st.none() | st.text() | st.integers(), st.lists))
def test_json_round_trips_without_loss(value: object) -> None:
    (event,) = Parser().feed(encode_json_event("result", value))
    assert json.loads(event.data) == value


def test_json_holds_no_line_end_of_unicode_for_readers_that_split_there() -> None:
    encoded = encode_json_event("result", ["\r\n\u2028\u2029\x85\v\f\x1c"])
    body = encoded.decode().removesuffix("\n\n")
    assert len(body.splitlines()) == 2
    (event,) = Parser().feed(encoded)
    assert json.loads(event.data) == ["\r\n\u2028\u2029\x85\v\f\x1c"]


def test_an_id_is_written_and_an_empty_one_resets() -> None:
    parser = Parser()
    assert parser.feed(encode_event("e", "a", event_id="1")) == [Event("e", "a", "1")]
    assert parser.feed(encode_event("e", "b")) == [Event("e", "b", "1")]
    assert parser.feed(encode_event("e", "c", event_id="")) == [Event("e", "c", "")]


@pytest.mark.parametrize("text", ["a\0b", "a\rb", "a\nb", "\n"])
def test_names_ids_and_comments_with_nul_or_line_ends_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="event name: found"):
        encode_event(text, "")
    with pytest.raises(ValueError, match="event id: found"):
        encode_event("e", "", event_id=text)
    with pytest.raises(ValueError, match="comment: found"):
        encode_comment(text)


def test_an_event_without_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a name such as 'message'"):
        encode_event("", "data")


def test_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode_json_event("result", "\ud800")


def test_a_comment_is_no_event() -> None:
    parser = Parser()
    assert parser.feed(encode_comment("heartbeat")) == []
    assert parser.comments == ["heartbeat"]
