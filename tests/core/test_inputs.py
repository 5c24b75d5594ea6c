"""The rounds of a call or a request: what a server wants first, and what it gets."""

from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core.events import Json
from pipeline.core.inputs import (
    MOST_INPUTS,
    Round,
    RoundError,
    Want,
    next_round,
    visits,
    wants_of,
    with_input,
)

ELICIT: Json = {"method": "elicitation/create", "params": {"message": "who?"}}
VISIT: Json = {"method": "elicitation/create", "params": {"url": "u"}}
ACCEPT: Json = {"action": "accept", "content": {}}
ASKED = Round(number=1, inputs={"a": None, "b": None}, state="S")


def test_a_round_keeps_what_is_wanted_and_the_state_to_the_letter() -> None:
    state = ' {"a": 1}\n'
    assert next_round(Round(), {"a": ELICIT}, state, 8) == Round(
        number=1, inputs={"a": None}, state=state
    )


@pytest.mark.parametrize(
    ("requests", "state", "found"),
    [
        ({}, None, Round(number=2)),
        (None, "", Round(number=2, state="")),
        ({"a": ELICIT}, 5, Round(number=2, inputs={"a": None})),
        ([], "S", Round(number=2, state="S")),
    ],
)
def test_one_of_both_is_enough_and_nothing_of_the_round_before_is_left(
    requests: Any, state: Any, found: Round
) -> None:
    assert next_round(ASKED, requests, state, 8) == found


@pytest.mark.parametrize(
    ("before", "requests", "words"),
    [
        (Round(), None, "says neither what nor how to go on"),
        (Round(), "a", "says neither what nor how to go on"),
        (Round(number=8), {"a": ELICIT}, "9 times; 8 is the limit"),
        (Round(), {str(n): ELICIT for n in range(MOST_INPUTS + 1)}, "wants 17 things"),
    ],
)
def test_a_round_with_nothing_to_go_on_with_or_too_much_ends_it(
    before: Round, requests: Any, words: str
) -> None:
    with pytest.raises(RoundError) as caught:
        next_round(before, requests, None, 8)
    assert words in str(caught.value)


def test_a_round_is_open_until_all_is_there() -> None:
    given = with_input(ASKED, "a", ACCEPT, "")
    assert (ASKED.is_open, given.is_open) == (True, True)
    given = with_input(given, "b", {"roots": []}, "")
    assert not given.is_open
    assert given.params == {
        "inputResponses": {"a": ACCEPT, "b": {"roots": []}},
        "requestState": "S",
    }
    assert Round().params == {}


@pytest.mark.parametrize("key", ["a", "z"])
@pytest.mark.parametrize("result", [{"action": "decline"}, None])
def test_an_input_that_is_there_or_that_nobody_wants_changes_nothing(
    key: str, result: Json | None
) -> None:
    given = with_input(ASKED, "a", ACCEPT, "")
    assert with_input(given, key, result, "why") == given


def test_an_input_that_cannot_be_had_ends_it() -> None:
    with pytest.raises(RoundError, match="which it did not get: the user rejected it"):
        with_input(ASKED, "a", None, "the user rejected it")


def test_of_a_visit_the_server_gets_no_word_but_it_has_to_be_made() -> None:
    visit = replace(ASKED, inputs={"0": None}, state=None, is_visit=True)
    assert with_input(visit, "0", {"action": "accept"}, "").params == {}
    for action in ("decline", "cancel"):
        with pytest.raises(RoundError, match="was not accepted"):
            with_input(visit, "0", {"action": action}, "")


@pytest.mark.parametrize(
    ("code", "data", "found"),
    [
        (-32042, {"elicitations": [{"url": "u"}]}, {"0": VISIT}),
        (-32042, {"elicitations": []}, None),
        (-32042, {"elicitations": "u"}, None),
        (-32042, None, None),
        (-32000, {"elicitations": [{"url": "u"}]}, None),
        (None, {"elicitations": [{"url": "u"}]}, None),
    ],
)
def test_an_error_may_want_addresses_to_be_visited(code: Any, data: Any, found: Any) -> None:
    assert visits(code, data) == found


def test_what_is_wanted_is_told_with_who_waits_for_it() -> None:
    requests: Json = {"a": ELICIT, "b": {"method": 5, "params": "x"}, "c": None}
    assert wants_of("c1", "s", requests) == (
        Want("c1", "a", "s", "elicitation/create", {"message": "who?"}),
        Want("c1", "b", "s", "", {}),
        Want("c1", "c", "s", "", {}),
    )
