"""`--fault`: how a bend of a recording is said."""

import pytest

from config.recording_values import FaultWish, read_faults


def test_a_fault_is_a_kind_and_the_number_of_an_event() -> None:
    assert read_faults(
        ["drop@120", "delay:2.5@7", "500@1", "404@2", "duplicate@3", "silence@4"]
    ) == (
        FaultWish(kind="drop", at=120),
        FaultWish(kind="delay", at=7, seconds=2.5),
        FaultWish(kind="500", at=1),
        FaultWish(kind="404", at=2),
        FaultWish(kind="duplicate", at=3),
        FaultWish(kind="silence", at=4),
    )


@pytest.mark.parametrize("word", ["drop@120", "delay:0.001@7", "delay:123456.789@7", "404@2"])
def test_it_is_shown_as_it_was_said(word: str) -> None:
    found = read_faults(word)
    assert isinstance(found, tuple)
    assert [str(fault) for fault in found] == [word]


@pytest.mark.parametrize(
    "word",
    [
        "drop", "drop@", "drop@0", "drop@-1", "drop@x", "@3", "sing@3", "delay@3", "drop:3@4",
        "delay:@3", "delay:x@3", "delay:-1@3", "delay:1e9@3", "delay:9999999@3", "drop@3 ",
        "drop@3\n", "500:1@3", "drop@\u0663", "Drop@3",
    ],
)  # fmt: skip
def test_anything_else_is_refused_in_words(word: str) -> None:
    with pytest.raises(ValueError, match="expected drop@N, delay:SECONDS@N, 500@N, 404@N, dup"):
        read_faults([word])


def test_the_same_fault_cannot_be_meant_twice() -> None:
    with pytest.raises(ValueError, match="the same fault was given twice"):
        read_faults(["delay:1@3", "delay:1.0@3"])
