"""What Claude models cost, in US dollars per million tokens.

Anthropic's price list (platform.claude.com/docs/en/about-claude/pricing) as of November 2026. The
SDK knows no prices, and they change: `--price INPUT/OUTPUT` overrides this table.
"""

import re
from types import MappingProxyType
from typing import Self

from pydantic import Field

from config.options import Options

# What the list says of most models; those of the 5.5 generation read the cache for less.
_CACHE_READ = 0.1
_CACHE_WRITE = 1.25  # kept for 5 minutes, the only one that is asked for


class Price(Options):
    """US dollars per million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float = Field(ge=0)
    cache_write: float = Field(ge=0)

    @classmethod
    def of(cls, input_: float, output: float, *, cache_read: float = _CACHE_READ) -> Self:
        """A price in the usual shape; `cache_read` is a share of `input_`."""
        return cls(
            input=input_,
            output=output,
            cache_read=round(input_ * cache_read, 6),
            cache_write=round(input_ * _CACHE_WRITE, 6),
        )


PRICES = MappingProxyType(
    {
        "direct": Price.of(0, 0),
        "claude-fable-5-2": Price.of(8, 40, cache_read=0.025),
        "claude-fable-5-1": Price.of(10, 50, cache_read=0.025),
        "claude-fable-5": Price.of(10, 50),
        "claude-mythos-5-1": Price.of(10, 50, cache_read=0.025),
        "claude-mythos-5": Price.of(10, 50),
        "claude-opus-5-5": Price.of(4, 20, cache_read=0.05),
        "claude-opus-5": Price.of(5, 25),
        "claude-opus-4-8": Price.of(5, 25),
        "claude-opus-4-7": Price.of(5, 25),
        "claude-opus-4-6": Price.of(5, 25),
        "claude-opus-4-5": Price.of(5, 25),
        "claude-sonnet-5-5": Price.of(2, 10, cache_read=0.05),
        "claude-sonnet-5": Price.of(2, 10),
        "claude-sonnet-4-6": Price.of(3, 15),
        "claude-sonnet-4-5": Price.of(3, 15),
        # $0.10/$0.50 up to 100,000 tokens of prompt, this above. A budget must hold in both cases.
        "claude-haiku-5-5": Price.of(0.5, 2.5),
        "claude-haiku-4-5": Price.of(1, 5),
    }
)

_DATED = re.compile(r"[-@]\d{8}")


def price_of(model: str) -> Price | None:
    """The price of a model, None where none is known.

    A date may follow the name (`claude-haiku-4-5-20251001`). Nothing else may: the price of
    `claude-opus-5` says nothing about a `claude-opus-5-6`.
    """
    for name, price in PRICES.items():
        if model == name or (model.startswith(name) and _DATED.fullmatch(model[len(name) :])):
            return price
    return None
