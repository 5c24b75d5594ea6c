"""The conversation with the model: messages that the Messages API takes, whatever happened.

Its rules: roles alternate, and each `tool_use` of an assistant message is answered by a
`tool_result` in the very next user message, before any text. What is said is only ever appended,
so that the prefix of every request is the last request, to the byte: caches live on that.
"""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from pipeline.core.content import to_block
from pipeline.core.events import Json
from pipeline.core.shapes import is_list, is_object

Messages: TypeAlias = tuple[Json, ...]
_THINKING = ("thinking", "redacted_thinking")


class Conversation(msgspec.Struct, frozen=True):
    """`sent` of the messages were in the last request already."""

    messages: Messages = ()
    sent: int = 0

    def with_user(self, *content: Json) -> "Conversation":
        """Say something as the user; after a turn that was cut off it joins what was said there."""
        return self._with("user", content)

    def with_assistant(self, content: Sequence[Json]) -> "Conversation":
        """Keep what the model said, as it said it; after a pause it joins what was said before.

        An empty answer is not kept, nor is thinking that led to nothing: the API refuses both.
        """
        while content and content[-1].get("type") in _THINKING:
            content = content[:-1]
        return self._with("assistant", content) if content else self

    def as_sent(self) -> "Conversation":
        """All of it has been put into a request."""
        return Conversation(self.messages, len(self.messages))

    def _with(self, role: str, content: Sequence[Json]) -> "Conversation":
        earlier = self.messages
        if earlier and earlier[-1]["role"] == role:
            content = (*earlier[-1]["content"], *content)
            earlier = earlier[:-1]
        last: Json = {"role": role, "content": list(content)}
        return Conversation((*earlier, last), min(self.sent, len(earlier)))


def with_prompt(talk: Conversation, result: Json) -> Conversation | None:
    """The conversation with a server's prompt (`prompts/get`); None if it asks for no answer."""
    messages = result.get("messages")
    if not is_list(messages) or not messages:
        return None
    for message in messages:
        match message:
            case {"role": "user", "content": content} if blocks := _blocks(content):
                talk = talk.with_user(*blocks)
            case {"role": "assistant", "content": content} if blocks := _blocks(content):
                talk = talk.with_assistant(blocks)
            case _:
                return None
    return talk if talk.messages[-1]["role"] == "user" else None


def _blocks(content: object) -> list[Json]:
    items = content if is_list(content) else [content]
    return [to_block(item) for item in items if is_object(item)]


def text(value: str) -> Json:
    """A text block."""
    return {"type": "text", "text": value}


def spoken(content: Sequence[Json]) -> str:
    """The text in a model's blocks."""
    return "".join(str(block.get("text", "")) for block in content if block.get("type") == "text")


def without_tools(content: Sequence[Json]) -> Messages:
    """A model's blocks without calls that were not run: nothing would answer them."""
    return tuple(block for block in content if block.get("type") != "tool_use")
