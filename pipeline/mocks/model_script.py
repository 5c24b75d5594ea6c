"""What a recorded model was asked, and what it answered."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from pipeline.core.commands import CallModel, Item
from pipeline.core.events import Json, ModelFailed, ModelFinished, ModelSpoke, ModelThought, Tool
from pipeline.core.shapes import is_list, is_object
from pipeline.mocks.match import compact
from pipeline.shell.recordings import RecordedRun


class ModelAnswer(msgspec.Struct):
    """One call of a model. `spoken` and `thought` are its pieces, as they streamed."""

    asked: Json
    tools: tuple[Tool, ...]
    spoken: tuple[str, ...] = ()
    thought: tuple[str, ...] = ()
    end: ModelFinished | ModelFailed | None = None


def read_answers(runs: Iterable[RecordedRun]) -> Iterator[ModelAnswer]:
    """The calls of all runs that came to an end, in the order they were asked.

    Raises:
        RecordingError: If a run cannot be read.
    """
    for run in runs:
        fold = _Fold()
        for entry in run.entries():
            fold.feed(entry.item)
        yield from (answer for answer in fold.answers.values() if answer.end is not None)


def meaning(messages: Sequence[Any]) -> Json:
    """What counts of a conversation: the last thing the user said, or the tools answered.

    Ids and cache marks do not count, nor does the order of tool results, which follows from ids.
    """
    said = [m for m in messages if is_object(m) and m.get("role") == "user"]
    blocks = [_block(block) for block in _blocks(said[-1].get("content") if said else None)]
    results = [block for block in blocks if block.get("type") == "tool_result"]
    others = [block for block in blocks if block.get("type") != "tool_result"]
    ordered = sorted(results, key=lambda block: msgspec.json.encode(block, order="deterministic"))
    return {"user": [*ordered, *others]}


def words(asked: Json) -> str:
    """A meaning as people read it: the text of a prompt, or the whole of tool results."""
    match asked["user"]:
        case [{"type": "text", "text": str() as text}]:
            return f"the user says {compact(text)}"
        case blocks:
            return f"the user sends {compact(blocks)}"


class _Fold:
    """Calls of one run by name, and the conversation so far: a recording keeps what is new."""

    def __init__(self) -> None:
        self.answers: dict[str, ModelAnswer] = {}
        self._messages: tuple[Json, ...] = ()
        self._tools: tuple[Tool, ...] = ()

    def feed(self, item: Item) -> None:
        match item:
            case CallModel():
                new = item.messages[item.since :]
                self._messages = (*self._messages[: item.since], *new)
                self._tools = item.tools if item.tools_changed else self._tools
                self.answers[item.call] = ModelAnswer(meaning(self._messages), self._tools)
            case ModelSpoke(call=call, text=text) if call in self.answers:
                self.answers[call].spoken += (text,)
            case ModelThought(call=call, text=text) if call in self.answers:
                self.answers[call].thought += (text,)
            case ModelFinished(call=call) | ModelFailed(call=call) if call in self.answers:
                self.answers[call].end = item
            case _:
                pass


def _blocks(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if is_list(content) else []


def _block(block: Any) -> Json:
    if not is_object(block):
        return {"type": "unknown", "value": block}
    plain = {key: value for key, value in block.items() if key != "cache_control"}
    if plain.get("type") != "tool_result":
        return plain
    plain.pop("tool_use_id", None)
    content = [_block(inner) for inner in _blocks(plain.get("content"))]
    return {**plain, "content": content, "is_error": plain.get("is_error") is True}
