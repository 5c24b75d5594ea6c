"""Keeps what a run knows to be secret out of its events: the door in front of the core.

An input that holds a known value comes in with `[redacted:known:1]` in its place. All that the core
makes of it, and all that recordings, webhooks, programs and the model get, is made of that; so a
replay is what the run was. The number is that of the value among those of the run: the same
settings give the same numbers. What a run gets to know only on its way (tokens) is numbered after
those, in the order in which it came.

Nobody gets the value back but the server whose own it is, and only in the address of a message, for
an `endpoint` may hold it. Never in an argument of a tool: whoever can talk to the model could have
it handed over that way. And never what was learned on the way: a refresh token is no server's own.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from types import NoneType
from typing import Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import replace

from pipeline.core.codec import Entry, Header
from pipeline.core.commands import Get, Post
from pipeline.core.conversation import spoken
from pipeline.core.events import (
    CallSubmitted,
    FrameReceived,
    Input,
    Json,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    PromptSubmitted,
    QuestionAnswered,
    RequestSubmitted,
    RunResumed,
)
from pipeline.core.json_leaves import TOP, Leaf, leaves
from pipeline.core.known_values import SHORTEST, KnownValues
from pipeline.core.redaction import Edit, edited
from pipeline.core.secrets import PLACEHOLDER, placeholder

S = TypeVar("S", bound=msgspec.Struct)

MOST_LEARNED = 128
"""Values that are learned and kept in mind: tokens of some days. The oldest are forgotten."""
_MARK = "[redacted:known:"
_MOST_HELD = 16
_OF_OURS = frozenset({"kind", "server", "call", "stream", "sink", "question"})
_IN_PLANS = frozenset({"kind", "name", "session", "at"})
_encoder = msgspec.json.Encoder()


class Guard:
    """The known values of one run; shorter ones than `SHORTEST` are let through.

    `own` are those of each server, by its name. `on_hit` is told once for each value: where it came
    from, and what stands for it. `is_off` lets everything through, also what is learned.
    """

    def __init__(
        self,
        values: Iterable[str],
        *,
        own: Mapping[str, Collection[str]],
        on_hit: Callable[[str, str], None],
        is_off: bool = False,
    ) -> None:
        given = () if is_off else tuple(values)
        numbered = [(n, v) for n, v in enumerate(given, 1) if len(v) >= SHORTEST]
        self._placeholders = {value: placeholder("known", number) for number, value in numbered}
        self._values = {new: value for value, new in self._placeholders.items()}
        self._known = KnownValues(self._placeholders)
        self._is_off = is_off
        self._learned: dict[str, None] = {}
        self._last = len(given)
        self._own = own
        self._on_hit = on_hit
        self._told: set[str] = set()
        self._held: dict[tuple[type[ModelSpoke | ModelThought], str], str] = {}
        self._spelled: dict[tuple[str, str], str] = {}

    def learn(self, values: Iterable[str]) -> None:
        """Know these from now on, too. Whoever gets a secret says so before anybody can tell it."""
        known = self._placeholders
        new = [v for v in dict.fromkeys(values) if len(v) >= SHORTEST and v not in known]
        if self._is_off or not new:
            return
        for value in new:
            self._last += 1
            self._placeholders[value] = placeholder("known", self._last)
            self._learned[value] = None
        while len(self._learned) > MOST_LEARNED:
            oldest = next(iter(self._learned))
            del self._learned[oldest], self._placeholders[oldest]
        self._known = KnownValues(self._placeholders)

    def inputs(self, item: Input) -> tuple[Input, ...]:
        """What comes in instead of an input: itself, mostly.

        Of what a model says, an end that may be the beginning of a value waits for the next piece.
        """
        if not self._placeholders:
            return (item,)
        match item:
            case ModelSpoke() | ModelThought():
                return self._piece(item)
            case ModelFinished(call=call) | ModelFailed(call=call):
                return (*self._last_pieces(call), self._whole(item))
            case _:
                return (self._whole(item),)

    def header(self, header: Header) -> Header:
        """The header, and the plan in it, without values."""
        return self._cleaned(header, lambda leaf: leaf.key in _IN_PLANS)

    def text(self, text: str) -> str:
        """A text that is no input, without values."""
        if not self._known.may_be_in(text):
            return text
        return edited(text, [edit for leaf in leaves(text) for edit in self._edits_in(leaf, None)])

    def revealed(self, entry: Entry) -> Entry:
        """A command as its server is to get it: its own values are put back into the address."""
        item = entry.item
        if not isinstance(item, Post | Get) or _MARK not in item.url:
            return entry
        server, own = item.server, self._own.get(item.server, ())

        def spelled(found: re.Match[str]) -> str:
            value = self._values.get(found[0])
            if value is None or value not in own:
                return found[0]
            return self._spelled.get((server, found[0]), value)

        return replace(entry, item=replace(item, url=PLACEHOLDER.sub(spelled, item.url)))

    def _piece(self, item: ModelSpoke | ModelThought) -> tuple[Input, ...]:
        text, key = item.text, (type(item), item.call)
        if self._held:
            text = self._held.pop(key, "") + text
        if self._known.may_be_in(text):
            text = edited(text, self._edits_in(Leaf(TOP, "", text, _as_it_is), item))
        if held := self._known.held_back(text):
            text, self._held[key] = text[:-held], text[-held:]
            while len(self._held) > _MOST_HELD:  # of calls that were cancelled
                del self._held[next(iter(self._held))]
        if text == item.text:
            return (item,)
        return (replace(item, text=text),) if text else ()

    def _last_pieces(self, call: str) -> tuple[Input, ...]:
        held = [(kind, self._held.pop((kind, call), "")) for kind in (ModelThought, ModelSpoke)]
        return tuple(kind(call=call, text=text) for kind, text in held if text)

    def _whole(self, item: Input) -> Input:
        texts, is_deep = _fields(type(item))
        known = self._known
        is_suspect = any(known.may_be_in(getattr(item, name)) for name in texts) or (
            is_deep and known.may_be_in(_encoder.encode(item).decode())
        )
        if is_suspect:
            item = self._cleaned(item, _is_ours(item), item)
        return self._joined(item) if isinstance(item, ModelFinished) else item

    def _joined(self, item: ModelFinished) -> ModelFinished:
        """A value may be cut by two blocks of text: then they become one."""
        text = spoken(item.content)
        edits = self._edits_in(Leaf(TOP, "", text, _as_it_is), item)
        if not edits:
            return item
        blocks: list[Json] = [block for block in item.content if block.get("type") != "text"]
        first = next(at for at, block in enumerate(item.content) if block.get("type") == "text")
        blocks.insert(first, {"type": "text", "text": edited(text, edits)})
        return replace(item, content=tuple(blocks))

    def _cleaned(
        self, struct: S, is_ours: Callable[[Leaf], bool], origin: Input | None = None
    ) -> S:
        text = _encoder.encode(struct).decode()
        if not self._known.may_be_in(text):
            return struct
        found = (leaf for leaf in leaves(text) if not is_ours(leaf))
        edits = [edit for leaf in found for edit in self._edits_in(leaf, origin)]
        return msgspec.json.decode(edited(text, edits), type=type(struct)) if edits else struct

    def _edits_in(self, leaf: Leaf, origin: Input | None) -> list[Edit]:
        edits: list[Edit] = []
        for start, stop, value in self._known.find(leaf.text):
            new = self._placeholders[value]
            edits.append(Edit(*leaf.lift(start, stop), new))
            if isinstance(origin, FrameReceived):
                self._spelled[origin.server, new] = leaf.text[start:stop]
            if origin is not None and new not in self._told:
                self._told.add(new)
                self._on_hit(_source(origin), new)
        return edits


def _is_ours(item: Input) -> Callable[[Leaf], bool]:
    """What the core knows things by: none of it comes from outside."""
    if isinstance(item, RunResumed):
        return lambda leaf: leaf.key in _IN_PLANS
    own = _OF_OURS if isinstance(item, FrameReceived) else _OF_OURS | {"id"}

    def is_ours(leaf: Leaf) -> bool:
        place = leaf.place
        return place.above is TOP and (place.is_filter or place.step in own)

    return is_ours


def _source(item: Input) -> str:
    match item:
        case ModelSpoke() | ModelThought() | ModelFinished() | ModelFailed():
            return "the model"
        case PromptSubmitted() | CallSubmitted() | RequestSubmitted():
            return "a prompt"
        case QuestionAnswered():
            return "an answer to a question"
        case _:
            server = getattr(item, "server", "")
            return f"the server {server!r}" if server else "the program itself"


@cache
def _fields(kind: type[Input]) -> tuple[tuple[str, ...], bool]:
    """The fields of a kind that are texts, and whether others can hold one."""
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    texts = tuple(name for name, type_ in fields.items() if type_ is str and name not in _OF_OURS)
    return texts, any(not _is_simple(type_) for type_ in fields.values())


def _is_simple(type_: object) -> bool:
    """A text, or what can hold none."""
    if type_ is str or get_origin(type_) is Literal:
        return True
    parts = get_args(type_) or (type_,)
    return all(part in (int, float, bool, NoneType) for part in parts)


def _as_it_is(start: int, stop: int) -> tuple[int, int]:
    return start, stop
