"""What only a network can do, in one of our own."""

from tests.faults.network import play_scene


def test_a_black_hole_ends_the_call_and_after_it_the_next_call_is_answered() -> None:
    play_scene("black_hole", "sse", "http", "modern")


def test_a_way_back_that_is_mute_ends_the_call_and_after_it_the_next_call_is_answered() -> None:
    play_scene("mute_way_back", "sse", "http", "modern")


def test_a_way_there_that_is_mute_ends_the_call_and_what_it_is_told_is_true() -> None:
    play_scene("mute_way_there", "sse", "http", "modern")


def test_a_black_hole_shorter_than_our_patience_costs_nothing() -> None:
    play_scene("short_hole", "sse", "http", "modern")


def test_a_server_behind_a_black_hole_is_given_up_at_the_deadline() -> None:
    play_scene("nobody_there", "sse", "http", "modern")


def test_a_name_that_nobody_resolves_is_given_up_at_the_deadline() -> None:
    play_scene("mute_resolver", "http")
