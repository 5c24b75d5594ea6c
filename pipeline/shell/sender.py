"""What takes messages to one server, whatever its transport."""

from typing import Protocol

from pipeline.core.commands import Get, Post


class Sender(Protocol):
    """Each `Post` and `Get` leads to exactly one `PostAnswered`, unless it is cut or dropped."""

    def send(self, post: Post) -> None:
        """Send a message; never blocks, never raises."""
        ...

    def get(self, get: Get) -> None:
        """Ask for an event stream; never blocks, never raises."""
        ...

    def cut(self, id_: str) -> None:
        """Close the answer to a message or a stream; nothing more of it comes."""
        ...

    def drop(self) -> None:
        """The connection is lost: close all that is open, without a word."""
        ...

    async def run(self) -> None:
        """Own what is under way until cancelled; what is unanswered then is answered."""
        ...
