"""What the model's answers cost, as far as their price is known."""

import msgspec

from pipeline.core.events import Tokens, Usage
from pipeline.core.plan import Price

_PER = 1_000_000


class Spending(msgspec.Struct, frozen=True):
    """US dollars so far."""

    total_usd: float = 0.0

    def is_over(self, budget_usd: float | None) -> bool:
        """Is the budget used up? Without one it never is."""
        return budget_usd is not None and self.total_usd >= budget_usd

    def plus(
        self, model: str, tokens: Tokens, price: Price | None
    ) -> "tuple[Spending, Usage | None]":
        """Add one model call; a call without tokens (the `direct` model's) is not worth a word."""
        if tokens == Tokens():
            return self, None
        if price is None:
            return self, Usage(model=model, tokens=tokens)
        cost = cost_of(tokens, price)
        total = self.total_usd + cost
        return Spending(total), Usage(model=model, tokens=tokens, cost_usd=cost, total_usd=total)


def cost_of(tokens: Tokens, price: Price) -> float:
    """US dollars of one model call."""
    return (
        tokens.input * price.input
        + tokens.output * price.output
        + tokens.cache_read * price.cache_read
        + tokens.cache_write * price.cache_write
    ) / _PER
