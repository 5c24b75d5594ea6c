"""The two doors of the core, as mailboxes that a `Guard` stands at."""

from config.options import MailboxOptions
from pipeline.core.codec import Entry
from pipeline.core.events import Input
from pipeline.core.guard import Guard
from pipeline.core.weight import weight_of, weight_of_entry
from pipeline.mailbox import Mailbox


class DoorIn(Mailbox[Input]):
    """The inbox: what is known to be secret does not come in."""

    def __init__(self, options: MailboxOptions, guard: Guard) -> None:
        super().__init__(options, weigh=weight_of)
        self._guard = guard

    def put(self, item: Input) -> None:
        """As `Mailbox.put`; the item may come in changed, with others, or a moment later."""
        for clean in self._guard.inputs(item):
            super().put(clean)


class DoorOut(Mailbox[Entry]):
    """The mailbox of the effects: a server's address holds its own key again."""

    def __init__(self, options: MailboxOptions, guard: Guard) -> None:
        super().__init__(options, weigh=weight_of_entry)
        self._guard = guard

    def put(self, item: Entry) -> None:
        """As `Mailbox.put`."""
        super().put(self._guard.revealed(item))
