"""Lists of words: each word read by a reader of its own."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from config.flags import shown

A = TypeVar("A")


def read_each(words: object, read: Callable[[str], A], what: str = "") -> object:
    """Read the words of a list, leaving what is read already; `what` must not stand in it twice.

    Raises:
        ValueError: If it does, or a word is not what `read` expects.
    """
    read_items = [read(word) if isinstance(word, str) else word for word in items_of(words)]
    if what and any(item in read_items[:place] for place, item in enumerate(read_items)):
        raise ValueError(f"{what} was given twice")
    return tuple(read_items)


def items_of(words: object) -> Iterable[object]:
    """The words of a list; a single word is one.

    Raises:
        ValueError: For what is neither.
    """
    if isinstance(words, str):
        return (words,)
    if isinstance(words, (list, tuple)):
        return words  # pyright: ignore[reportUnknownVariableType]  (the readers check each)
    raise ValueError(f"found {shown(repr(words))}, expected a list")
