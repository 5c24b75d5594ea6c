"""How much an item is, for mailboxes that hold a bounded amount of bytes."""

from pipeline.core.codec import Entry, encode
from pipeline.core.commands import Item
from pipeline.core.events import FrameReceived, PostAnswered


def weight_of(item: Item) -> int:
    """The bytes of an item as a recording has it.

    What may come in many or be large, and is as it came from a server, counts by its characters:
    that takes no time, however large it is.
    """
    match item:
        case FrameReceived(data=text) | PostAnswered(body=text):
            return len(text)
        case _:
            return len(encode(item))


def weight_of_entry(entry: Entry) -> int:
    """The same of an item with its place."""
    return weight_of(entry.item)
