"""Which events are bent, and how often that came about."""

from collections.abc import Iterable, Sequence
from types import MappingProxyType

import msgspec

from config.recording_values import FaultKind, FaultWish
from pipeline.bending.script import Said, Script
from pipeline.core.codec import Entry
from pipeline.core.events import (
    AnswerEnded,
    FrameReceived,
    Input,
    ModelFailed,
    ModelFinished,
    ModelSpoke,
    ModelThought,
    PostAnswered,
    QuestionAnswered,
    StreamLost,
    StreamOpened,
    is_input,
)
from pipeline.shell.recordings import RecordingError

_MODEL = (ModelSpoke, ModelThought, ModelFinished)
_SERVER = (StreamOpened, FrameReceived, PostAnswered, AnswerEnded)
_STATUS = (StreamOpened, PostAnswered, *_MODEL)
_FITTING: MappingProxyType[FaultKind, tuple[type[Input], ...]] = MappingProxyType(
    {
        "drop": (*_SERVER, *_MODEL),
        "silence": (*_SERVER, *_MODEL),
        "delay": (*_SERVER, *_MODEL, ModelFailed, StreamLost, QuestionAnswered, *Said.__args__),
        "duplicate": (FrameReceived,),
        "500": _STATUS,
        "404": _STATUS,
    }
)
_WORDS: MappingProxyType[FaultKind, str] = MappingProxyType(
    {
        "drop": "something that came over a connection",
        "silence": "something that a server or the model said",
        "delay": "something that came from outside, other than a timer",
        "duplicate": "a frame of a server",
        "500": "the answer to a POST, or the beginning of a stream",
        "404": "the answer to a POST, or the beginning of a stream",
    }
)


class Bend(msgspec.Struct, frozen=True):
    """A fault, and the recorded input that it is for."""

    fault: FaultWish
    seq: int
    item: Input


class Happened(msgspec.Struct, frozen=True):
    """A bend that came about, when (as recordings write it)."""

    bend: Bend
    at: str


class Bends:
    """The bends of a run, each of which comes about once, if its input is about to come at all."""

    def __init__(self, bends: Iterable[Bend]) -> None:
        self.happened: list[Happened] = []
        self._waiting = list(bends)

    @property
    def first(self) -> int:
        """The event up to which the run is the recorded one."""
        return min(bend.seq for bend in (*self._waiting, *(h.bend for h in self.happened)))

    @property
    def missed(self) -> tuple[Bend, ...]:
        """Those whose input never came: the run went another way before."""
        return tuple(self._waiting)

    def take(self, seq: int, at: str) -> Bend | None:
        """The next bend of an input that is about to come; the same one never again."""
        for bend in self._waiting:
            if bend.seq == seq:
                self._waiting.remove(bend)
                self.happened.append(Happened(bend, at))
                return bend
        return None


def choose(entries: Iterable[Entry], script: Script, faults: Sequence[FaultWish]) -> Bends:
    """For each fault the input that it is for.

    That is the input of its number, or else the next one that it fits. A status is that of a POST:
    of the one that a frame answers, where the number is the frame's.

    Raises:
        RecordingError: If there is none.
    """
    inputs = [(entry.seq, entry.item) for entry in entries if is_input(entry.item)]
    first_words = {
        asked.replies[0].seq for asked in script.asked if asked.replies
    }  # a status comes before the first word of a model, not in the middle
    found: list[Bend] = []
    for fault in faults:
        at = _post_of(script, fault) if fault.kind in ("500", "404") else fault.at
        fitting = _FITTING[fault.kind]
        for seq, item in inputs:
            is_late = fitting is _STATUS and isinstance(item, _MODEL) and seq not in first_words
            if seq >= at and isinstance(item, fitting) and not is_late:
                found.append(Bend(fault, seq, item))
                break
        else:
            last = inputs[-1][0] if inputs else 0
            raise RecordingError(
                f"--fault {fault}: found nothing to bend from event {at} on, expected "
                f"{_WORDS[fault.kind]}; the last event from outside is {last}"
            )
    return Bends(found)


def _post_of(script: Script, fault: FaultWish) -> int:
    for asked in script.asked:
        if any(reply.seq == fault.at and reply.is_own for reply in asked.replies):
            posted = [r.seq for r in asked.replies if isinstance(r.item, PostAnswered)]
            return posted[0] if posted else fault.at
    return fault.at
