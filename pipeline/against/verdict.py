"""What came of comparing two runs, as values: for a report, and for programs."""

from typing import Literal, TypeAlias

import msgspec

from pipeline.against.behaviour import Wish

Kind: TypeAlias = Literal[
    "server", "tool", "stop", "arguments", "result", "missing", "extra", "order"
]
Result: TypeAlias = Literal["ok", "differs", "left_out", "not_run"]


class Difference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is not as recorded; `text` says what, with foreign text in it as it came.

    `server` is named as in the recording, unless it is new.
    """

    kind: Kind
    server: str = ""
    tool: str = ""
    text: str


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded wish: as before or not, or why nobody knows (`notes`)."""

    wish: Wish
    result: Result
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """`offers` are the differences in servers and their tools; `prompts` are in recorded order."""

    offers: tuple[Difference, ...]
    prompts: tuple[Prompt, ...]

    @property
    def is_same(self) -> bool:
        """Is all that could be compared as recorded?"""
        return not self.offers and self.count("differs") == 0

    def count(self, result: Result) -> int:
        """How many prompts came out like that."""
        return sum(prompt.result == result for prompt in self.prompts)
