"""What the parts of a recording are called."""

import pytest

from pipeline.core.parts import part_name, part_number, recording_name, uncompressed


@pytest.mark.parametrize(
    ("name", "number", "part"),
    [
        ("run.jsonl", 1, "run.0001.jsonl"),
        ("run.jsonl", 12_345, "run.12345.jsonl"),
        ("a.b.jsonl", 2, "a.b.0002.jsonl"),
        ("run.2024.jsonl", 2, "run.2024.0002.jsonl"),
        ("run", 3, "run.0003"),
        (".jsonl", 3, ".jsonl.0003"),
    ],
)
def test_a_part_has_a_number_in_front_of_the_ending(name: str, number: int, part: str) -> None:
    assert part_name(name, number) == part
    for other in (part, f"{part}.gz", f"{part}.zst"):
        assert part_number(name, other) == number
        assert uncompressed(other) == part
    assert recording_name(part, number) == name
    assert recording_name(name, number) is None


@pytest.mark.parametrize(
    "other",
    [
        *("run.jsonl", "run.1.jsonl", "run.0000.jsonl", "run.0001.jsonl.next", "run.0001"),
        *(
            "run.0001.jsonl.gz.unfinished",
            "run.0001.jsonl\n",
            "xrun.0001.jsonl",
            "run.000\u0661.jsonl",
        ),
        *("runx0001.jsonl", "run.0001xjsonl", "run.0000000001.jsonl"),
    ],
)
def test_what_is_called_otherwise_is_no_part(other: str) -> None:
    assert part_number("run.jsonl", other) is None


def test_in_the_order_of_names_the_parts_are_as_they_were_written() -> None:
    parts = [part_name("run.jsonl", number) for number in (1, 2, 10, 100, 9999)]
    assert sorted([*parts, "run.jsonl"]) == [*parts, "run.jsonl"]
