"""Looks at untyped JSON."""

from typing import Any

import pytest

from pipeline.core.shapes import MAX_DEPTH, is_list, is_nested_too_deep, is_object


@pytest.mark.parametrize(
    ("value", "is_an_object", "is_a_list"),
    [({}, True, False), ([], False, True), ((), False, False), ("{}", False, False)],
)
def test_only_an_object_is_an_object_and_only_a_list_a_list(
    value: Any, is_an_object: bool, is_a_list: bool
) -> None:
    assert is_object(value) is is_an_object
    assert is_list(value) is is_a_list


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize(("extra", "is_too_deep"), [(0, False), (1, True)])
def test_the_limit_of_nesting_is_exact(opening: str, extra: int, is_too_deep: bool) -> None:
    depth = MAX_DEPTH + extra
    value: Any = 1
    for _ in range(depth):
        value = [value] if opening == "[" else {"a": value}
    assert is_nested_too_deep(opening * depth, [value]) is is_too_deep


def test_a_text_without_many_brackets_is_not_looked_into() -> None:
    assert is_nested_too_deep("[]", [[[]] * 200]) is False
