"""Events: what every one of them has in common."""

from typing import Any, get_args

import msgspec
import pytest

from pipeline.core import events
from pipeline.core.events import Event, Input, Internal, Outcome, snake_case

FAMILIES: tuple[Any, ...] = (Input, Outcome, Internal)
ALL: list[type[Event]] = [kind for family in FAMILIES for kind in get_args(family)]


@pytest.mark.parametrize(
    ("name", "tag"),
    [("ToolEnded", "tool_ended"), ("Open", "open"), ("CallModel", "call_model"), ("", "")],
)
def test_the_kind_of_an_event_is_its_name_in_snake_case(name: str, tag: str) -> None:
    assert snake_case(name) == tag


@pytest.mark.parametrize("kind", ALL)
def test_an_event_is_frozen_tagged_and_explained(kind: type[Event]) -> None:
    config = kind.__struct_config__
    assert config.frozen
    assert config.tag_field == "kind"
    assert config.tag == snake_case(kind.__name__)
    assert all(field.name != "kind" for field in msgspec.structs.fields(kind))
    assert kind.__doc__


def test_every_event_belongs_to_exactly_one_family() -> None:
    declared = {
        value
        for value in vars(events).values()
        if isinstance(value, type) and issubclass(value, Event) and value is not Event
    }
    assert declared == set(ALL)
    assert len(ALL) == len(set(ALL))


def test_defaults_are_left_out_of_a_recording() -> None:
    assert msgspec.json.encode(events.StreamLost(server="s", reason="x")) == (
        b'{"kind":"stream_lost","server":"s","reason":"x"}'
    )
