"""What people hear of a webhook: once when trouble begins, once when it is over, and at the end."""

from collections.abc import Callable

from sinks.webhook_queue import Count


class Teller:
    """Counts what was not delivered, and says it in few words; none of them twice."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.gone_for = ""
        """Why the receiver wants nothing more; empty as long as it has not said so."""
        self.is_closing = False
        """What is given up from now on is told by `end`."""
        self._is_in_trouble = False
        self._is_well = False  # the latest message was delivered
        self._untold = Count()
        self._reason = ""

    def down(self, reason: str) -> None:
        """The receiver has failed for all attempts, and is tried on."""
        self._is_well = False
        if not self._is_in_trouble and not self.is_closing:
            self._is_in_trouble = True
            self.say(f"the receiver is down ({reason}); messages wait in the outbox meanwhile")

    def given_up(self, count: Count, reason: str) -> None:
        """So many messages will not be sent."""
        self._is_well = False
        self._untold = _sum(self._untold, count)
        self._reason = reason
        if self._is_in_trouble or self.is_closing or not any(count):
            return
        self._is_in_trouble = True
        given_up, self._untold = self._untold, Count()
        self.say(
            f"could not deliver {_messages(sum(given_up))}: {reason}{_fate(given_up)}; "
            "others are still tried"
        )

    def delivered(self) -> None:
        """A message is delivered."""
        self._is_well = True

    def idle(self) -> None:
        """Trouble is over once nothing waits: a receiver that only limps would tell and tell."""
        if not self._is_in_trouble or not self._is_well:
            return
        self._is_in_trouble = False
        untold, self._untold = self._untold, Count()
        more = ""
        if any(untold):
            more = f"; {_messages(sum(untold))} more lost in between"
            if not untold.lost:
                more = f"; {_messages(untold.kept)} more given up in between{_fate(untold)}"
        self.say(f"delivers again{more}")

    def gone(self, reason: str) -> None:
        """The receiver has said that it wants nothing more."""
        self._is_in_trouble, self._is_well = True, False
        self.gone_for = reason
        self.say(f"the receiver wants nothing more ({reason}), so nothing more is sent")

    def end(self, left: Count, reason: str) -> None:
        """The run is over, and so much was left; `reason` is that of the latest attempt."""
        given_up = _sum(self._untold, Count(lost=left.lost))
        if any(given_up):
            why = reason if left.lost or not self._reason else self._reason
            self.say(f"{_messages(sum(given_up))} not delivered: {why}{_fate(given_up)}")
        if left.kept:
            self.say(
                f"{_messages(left.kept)} not delivered: {reason}; the next run with this webhook "
                "sends what waits in the outbox, or do `outbox send`"
            )


def _sum(one: Count, other: Count) -> Count:
    return Count(one.kept + other.kept, one.lost + other.lost)


def _fate(count: Count) -> str:
    """What became of messages that were given up; nothing where all are lost."""
    if not count.kept:
        return ""
    if count.lost:
        return f"; {count.kept} of them kept as dead letters (`outbox list`)"
    return f"; kept as {'a dead letter' if count.kept == 1 else 'dead letters'} (`outbox list`)"


def _messages(count: int) -> str:
    return "1 message" if count == 1 else f"{count} messages"
