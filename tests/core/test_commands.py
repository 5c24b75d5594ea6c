"""Commands: what the core may ask for."""

from typing import Any, get_args

import pytest

from pipeline.core import commands
from pipeline.core.commands import Command, Item, Passing
from pipeline.core.events import Event, Input, Internal, Outcome, snake_case

ALL: list[type[Event]] = list(get_args(Command))


@pytest.mark.parametrize("kind", ALL)
def test_a_command_is_frozen_tagged_and_explained(kind: type[Event]) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__struct_config__.tag == snake_case(kind.__name__)
    assert kind.__doc__


def test_every_command_is_in_the_union() -> None:
    declared = {
        value
        for value in vars(commands).values()
        if isinstance(value, type)
        and issubclass(value, Event)
        and value.__module__ == commands.__name__
    }
    assert declared == set(ALL)


def test_an_item_is_all_that_may_be_recorded_and_what_passes_between_stages_is_more() -> None:
    def members(union: Any) -> set[Any]:
        return set(get_args(union))

    assert members(Item) == members(Input) | members(Outcome) | members(Command)
    assert members(Passing) - members(Item) == members(Internal)


def test_no_two_items_share_a_kind() -> None:
    tags = [kind.__struct_config__.tag for kind in get_args(Passing)]
    assert len(tags) == len(set(tags))
