"""The body of a POST, as events."""

import pytest

from pipeline.core.session.body import events_in


@pytest.mark.parametrize(
    ("body", "events"),
    [
        ("event: result\ndata: 5\n\n", [("result", "5")]),
        ("data: 5", [("message", "5")]),
        ("data:5\r\n\r\ndata: 6\r\n\r\n", [("message", "5"), ("message", "6")]),
        ("id: 1\ndata: x\n\n", [("message", "x")]),
        ("retry: 5\n\ndata: x\n\n", [("message", "x")]),
        (": ping\n\n", []),
        ("\n\ndata: x\n\n", [("message", "x")]),
        ("data: \ud800\n\n", [("message", "?")]),
        ("event: x\n\n", []),
    ],
)
def test_event_text_is_read_as_events(body: str, events: list[tuple[str, str]]) -> None:
    found = events_in(body)
    assert found is not None
    assert [(event.event, event.data) for event in found] == events


@pytest.mark.parametrize("body", ["", "Accepted", '{"data":1}', "[1]", "<p>", "database: x", "id"])
def test_what_is_no_event_text_is_said_to_be_none(body: str) -> None:
    assert events_in(body) is None
