"""The bounded queue in front of the core and of every sink."""

import asyncio

import pytest

from config.options import MailboxOptions
from pipeline.mailbox import Mailbox, Overflow

OPTIONS = MailboxOptions(high=3, low=1)


def full(count: int, *, overflow: Overflow = "wait") -> Mailbox[int]:
    mailbox: Mailbox[int] = Mailbox(OPTIONS, overflow)
    for number in range(count):
        mailbox.put(number)
    return mailbox


async def test_items_come_out_in_the_order_they_went_in() -> None:
    mailbox = full(2)
    assert [await mailbox.take(), await mailbox.take()] == [0, 1]
    assert await full(3).take_all() == (0, 1, 2)


async def test_it_takes_more_than_its_high_mark_and_loses_nothing() -> None:
    mailbox = full(10)
    assert (len(mailbox), mailbox.peak, mailbox.dropped) == (10, 10, 0)
    assert await mailbox.take_all() == tuple(range(10))


@pytest.mark.parametrize(("count", "is_choked"), [(2, False), (3, True), (4, True)])
async def test_writers_are_held_back_from_the_high_mark_on(count: int, is_choked: bool) -> None:
    assert full(count).is_choked is is_choked


async def test_writers_go_on_at_the_low_mark_and_not_before() -> None:
    mailbox = full(3)
    waiting = asyncio.create_task(mailbox.room())
    await mailbox.take()
    assert mailbox.is_choked
    await mailbox.take()
    assert not mailbox.is_choked
    async with asyncio.timeout(5):
        await waiting


async def test_taking_everything_lets_writers_go_on() -> None:
    mailbox = full(3)
    await mailbox.take_all()
    async with asyncio.timeout(5):
        await mailbox.room()


async def test_a_reader_waits_for_an_item() -> None:
    mailbox = full(0)
    reading = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    assert not reading.done()
    mailbox.put(7)
    async with asyncio.timeout(5):
        assert await reading == 7


async def test_closing_ends_the_wait_of_reader_and_writer() -> None:
    mailbox = full(0)
    reading = asyncio.create_task(mailbox.take())
    taking = asyncio.create_task(full(0).take_all())
    await asyncio.sleep(0)
    mailbox.close()
    async with asyncio.timeout(5):
        assert await reading is None
    taking.cancel()

    choked = full(3)
    waiting = asyncio.create_task(choked.room())
    await asyncio.sleep(0)
    choked.close()
    async with asyncio.timeout(5):
        await waiting


async def test_what_was_in_it_when_it_closed_can_still_be_taken() -> None:
    mailbox = full(2)
    mailbox.close()
    assert mailbox.is_closed
    assert [await mailbox.take(), await mailbox.take(), await mailbox.take()] == [0, 1, None]
    assert await mailbox.take_all() == ()


async def test_what_comes_after_the_close_counts_as_dropped() -> None:
    mailbox = full(1)
    mailbox.close()
    mailbox.put(9)
    assert (len(mailbox), mailbox.dropped) == (1, 1)


async def test_one_that_drops_the_oldest_holds_nobody_back() -> None:
    mailbox = full(5, overflow="drop_oldest")
    assert (mailbox.is_choked, mailbox.dropped, len(mailbox)) == (False, 2, 3)
    assert await mailbox.take_all() == (2, 3, 4)


async def test_a_reader_that_is_cancelled_takes_nothing_with_it() -> None:
    mailbox = full(0)
    reading = asyncio.create_task(mailbox.take())
    await asyncio.sleep(0)
    reading.cancel()
    mailbox.put(1)
    assert await mailbox.take() == 1


# --- items that are weighed -------------------------------------------------------------------


def weighing(*sizes: int, overflow: Overflow = "wait") -> Mailbox[int]:
    """Items that weigh what they are, in a mailbox of 30 bytes, and of 10 for the low mark."""
    options = MailboxOptions(high=3, low=1, max_bytes=30)
    mailbox: Mailbox[int] = Mailbox(options, overflow, weigh=lambda size: size)
    for size in sizes:
        mailbox.put(size)
    return mailbox


@pytest.mark.parametrize(
    ("sizes", "is_choked"), [((29,), False), ((30,), True), ((10, 19), False), ((10, 20), True)]
)
async def test_writers_are_held_back_by_bytes_as_well(
    sizes: tuple[int, ...], is_choked: bool
) -> None:
    assert weighing(*sizes).is_choked is is_choked


async def test_one_item_that_is_too_large_is_taken_all_the_same() -> None:
    mailbox = weighing(1000)
    assert (mailbox.is_choked, mailbox.heaviest) == (True, 1000)
    assert await mailbox.take() == 1000
    assert not mailbox.is_choked


async def test_writers_go_on_when_both_are_low_items_and_bytes() -> None:
    mailbox = weighing(20, 11, 10)
    assert await mailbox.take() == 20
    assert await mailbox.take() == 11
    assert not mailbox.is_choked
    mailbox = weighing(20, 11)
    assert await mailbox.take() == 20
    assert mailbox.is_choked, "one item is few enough, and 11 bytes are too many"


async def test_taking_everything_takes_its_weight() -> None:
    mailbox = weighing(20, 11)
    assert await mailbox.take_all() == (20, 11)
    mailbox.put(29)
    assert (mailbox.is_choked, mailbox.heaviest) == (False, 31)


async def test_one_that_drops_the_oldest_drops_by_bytes_as_well_and_keeps_the_newest() -> None:
    mailbox = weighing(10, 15, 12, 1000, overflow="drop_oldest")
    assert (mailbox.dropped, mailbox.is_choked) == (3, False)
    assert await mailbox.take_all() == (1000,)
