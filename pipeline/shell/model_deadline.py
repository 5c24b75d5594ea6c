"""How long a model may take: the deadline of one turn, which knows what the model is doing."""

import asyncio
from collections.abc import Awaitable, Callable

from config.options import ModelOptions


class ModelDeadline:
    """The deadline of one turn, and what its refused tries were. Made on the loop.

    Until the model begins, `first_token` runs, over all tries and whatever the server sends
    meanwhile. From then on `silence` runs from event to event; but a server that only pings, which
    is alive and says nothing, has no longer than it had at first. Enter `timeout` around the turn.
    """

    def __init__(self, options: ModelOptions) -> None:
        self.timeout = asyncio.timeout(options.first_token)
        self.unwanted_wait: float | None = None
        self._silence = options.silence
        self._first_token = options.first_token
        self._clock = asyncio.get_running_loop().time
        self._ends = self._clock() + options.first_token
        self._last_word: float | None = None
        self._refusals: list[int] = []
        self._meaning = ""

    @property
    def is_over(self) -> bool:
        """The turn was ended by its deadline."""
        return self.timeout.expired()

    def heard(self, *, is_word: bool, has_begun: bool) -> None:
        """An event, a ping or a comment came; `is_word`: it was a piece of the answer."""
        if not has_begun:
            return
        now = self._clock()
        if is_word or self._last_word is None:
            self._last_word = now
        wordless = max(self._first_token, self._silence)
        quiet_ends, wordless_ends = now + self._silence, self._last_word + wordless
        if quiet_ends <= wordless_ends:
            limit = f"{self._silence:g} s in mid answer (--model-silence)"
            self._meaning = f"the model fell silent for {limit}"
        else:
            self._meaning = (
                f"the model's server sent nothing but pings for {wordless:g} s in mid answer "
                "(--model-first-token, --model-silence)"
            )
        self.timeout.reschedule(min(quiet_ends, wordless_ends))

    async def pause(self, room: Callable[[], Awaitable[None]]) -> None:
        """Wait for room: the time that we take is not the model's. `heard` must follow."""
        self.timeout.reschedule(None)
        await room()

    def stop(self) -> None:
        """The answer is whole: nothing can be late any more."""
        self.timeout.reschedule(None)

    def refuse(self, status: int, wait: float | None) -> bool:
        """Note a refused try; False if the wait that the server asks for is longer than is left."""
        self._refusals.append(status)
        if wait is None or self._clock() + wait <= self._ends:
            return True
        self.unwanted_wait = wait
        return False

    def told(self) -> str:
        """What it means that the deadline is over; its setting is in brackets."""
        if self._meaning:
            return self._meaning
        text = f"the model did not begin within {self._first_token:g} s (--model-first-token)"
        if self._refusals:
            text += f"; refused so far: {', '.join(map(str, self._refusals))}"
        return text
