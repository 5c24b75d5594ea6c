import pytest

from pipeline.core.model_block import Block, BrokenTurnError, decode, shown


def test_a_block_is_what_it_started_as_and_all_that_was_added() -> None:
    block = Block({"type": "text", "text": "a", "extra": [1]})
    assert block.add({"type": "text_delta", "text": "b"}) == ("text", "b")
    assert block.add({"type": "delta_of_tomorrow", "text": "c"}) == ("", "")
    assert block.whole(is_strict=True) == {"type": "text", "text": "ab", "extra": [1]}


def test_a_whole_block_is_a_new_value_each_time() -> None:
    start = {"type": "text", "text": "a"}
    block = Block(start)
    block.whole(is_strict=True)["text"] = "changed"
    assert block.whole(is_strict=True) == start == {"type": "text", "text": "a"}


def test_an_unfinished_call_is_an_error_only_where_it_would_run() -> None:
    block = Block({"type": "tool_use", "id": "t", "name": "rm"})
    block.add({"type": "input_json_delta", "partial_json": "{}"})
    assert block.whole(is_strict=False)["input"] == {}
    with pytest.raises(BrokenTurnError, match="unfinished call of 'rm'"):
        block.whole(is_strict=True)


def test_only_text_blocks_can_be_void() -> None:
    assert Block({"type": "text", "text": " "}).is_void
    assert not Block({"type": "tool_use"}).is_void


def test_json_of_another_shape_is_told() -> None:
    assert decode("[1]", list[int]) == [1]
    with pytest.raises(BrokenTurnError, match=r"found '\[1\]', expected JSON"):
        decode("[1]", dict[str, int])
    assert len(shown("x" * 1000)) < 100


@pytest.mark.parametrize("depth", [101, 900, 100_000])
def test_json_nested_too_deep_is_no_turn(depth: int) -> None:
    with pytest.raises(BrokenTurnError, match=r"no more than 100 levels|recursion"):
        decode("[" * depth + "]" * depth, object)
