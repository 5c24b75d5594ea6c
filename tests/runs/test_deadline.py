"""`Deadline`: one time for the whole end of a run, of which each step gets a part."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from pipeline.deadline import Deadline


@contextmanager
def a_clock_of_ours() -> Iterator[list[float]]:
    """The loop's clock: its only item is the time, and only the test moves it."""
    time = [1000.0]
    with patch.object(asyncio.get_running_loop(), "time", lambda: time[0]):
        yield time


async def test_until_it_begins_all_of_it_is_left() -> None:
    with a_clock_of_ours() as clock:
        deadline = Deadline(10)
        clock[0] += 100
        assert (deadline.left(), deadline.part(2), deadline.part(60)) == (10, 2, 5)


async def test_it_begins_once_and_no_step_moves_its_end() -> None:
    with a_clock_of_ours() as clock:
        deadline = Deadline(10)
        deadline.begin()
        clock[0] += 4
        deadline.begin()
        assert (deadline.left(), deadline.part(2), deadline.part(5)) == (6, 2, 3)
        clock[0] += 60
        assert (deadline.left(), deadline.part(2)) == (0, 0)
