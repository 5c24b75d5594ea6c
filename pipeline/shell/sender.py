"""What takes messages to one server, whatever its transport."""

from typing import Protocol

from pipeline.core.commands import Get, Post


class Sender(Protocol):
    """Each `Post` and `Get` leads to exactly one `PostAnswered`, whatever happens.

    If that `is_open`, frames follow, then exactly one `AnswerEnded`, unless it is cut before.
    """

    def send(self, post: Post) -> None:
        """Send a message; never blocks, never raises."""
        ...

    def get(self, get: Get) -> None:
        """Ask for an event stream; never blocks, never raises."""
        ...

    def cut(self, id_: str) -> None:
        """Close the answer to a message or a stream; one that has begun ends without a word."""
        ...

    async def run(self) -> None:
        """Own what is under way until cancelled; what is unanswered then is answered."""
        ...
