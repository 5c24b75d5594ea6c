"""The conversation with the model: messages that the Messages API takes, whatever happened.

Its rules: roles alternate, and each `tool_use` of an assistant message is answered by a
`tool_result` in the very next user message, before any text. What is said is only ever appended,
so that the prefix of every request is the last request, to the byte: caches live on that.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from pipeline.core.events import Json

Messages: TypeAlias = tuple[Json, ...]


class Conversation(msgspec.Struct, frozen=True):
    """`sent` of the messages were in the last request already."""

    messages: Messages = ()
    sent: int = 0

    def with_user(self, *content: Json) -> "Conversation":
        """Say something as the user; after a turn that was cut off it joins what was said there."""
        if self.messages and self.messages[-1]["role"] == "user":
            joined = (*self.messages[-1]["content"], *content)
            return self._ending(self.messages[:-1], {"role": "user", "content": list(joined)})
        return self._ending(self.messages, {"role": "user", "content": list(content)})

    def with_assistant(self, content: Sequence[Json]) -> "Conversation":
        """Keep what the model said, as it said it; an empty answer is not kept."""
        if not content:
            return self
        return self._ending(self.messages, {"role": "assistant", "content": list(content)})

    def as_sent(self) -> "Conversation":
        """All of it has been put into a request."""
        return Conversation(self.messages, len(self.messages))

    def _ending(self, earlier: Messages, last: Json) -> "Conversation":
        return Conversation((*earlier, last), min(self.sent, len(earlier)))


def text(value: str) -> Json:
    """A text block."""
    return {"type": "text", "text": value}


def spoken(content: Sequence[Json]) -> str:
    """The text in a model's blocks."""
    return "".join(str(block.get("text", "")) for block in content if block.get("type") == "text")


def without_tools(content: Sequence[Json]) -> Messages:
    """A model's blocks without calls that were not run: nothing would answer them."""
    return tuple(block for block in content if block.get("type") != "tool_use")
