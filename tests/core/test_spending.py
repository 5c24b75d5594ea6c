"""What the model's answers cost."""

import pytest

from pipeline.core.events import Tokens, Usage
from pipeline.core.plan import Price
from pipeline.core.spending import Spending, cost_of

PRICE = Price(input=3.0, output=15.0, cache_read=0.3, cache_write=3.75)


def test_each_kind_of_token_has_its_price_per_million() -> None:
    million = 1_000_000
    assert cost_of(Tokens(input=million), PRICE) == 3.0
    assert cost_of(Tokens(output=million), PRICE) == 15.0
    assert cost_of(Tokens(cache_read=million), PRICE) == 0.3
    assert cost_of(Tokens(cache_write=million), PRICE) == 3.75
    assert cost_of(Tokens(input=10, output=1), PRICE) == pytest.approx(45e-6)


def test_costs_add_up() -> None:
    tokens = Tokens(input=1_000_000)
    once, usage = Spending().plus("m", tokens, PRICE)
    assert usage == Usage(model="m", tokens=tokens, cost_usd=3.0, total_usd=3.0)
    twice, usage = once.plus("m", tokens, PRICE)
    assert usage == Usage(model="m", tokens=tokens, cost_usd=3.0, total_usd=6.0)
    assert twice.total_usd == 6.0


def test_without_a_price_tokens_are_told_and_nothing_is_spent() -> None:
    spending, usage = Spending().plus("m", Tokens(input=5), None)
    assert spending == Spending()
    assert usage == Usage(model="m", tokens=Tokens(input=5))


def test_a_call_without_tokens_is_not_worth_a_word() -> None:
    assert Spending(1.0).plus("direct", Tokens(), PRICE) == (Spending(1.0), None)


@pytest.mark.parametrize(
    ("total", "budget", "is_over"),
    [(9.0, None, False), (0.5, 1.0, False), (1.0, 1.0, True), (1.5, 1.0, True), (0.0, 0.0, True)],
)
def test_a_budget_is_over_once_it_is_used_up(
    total: float, budget: float | None, is_over: bool
) -> None:
    assert Spending(total).is_over(budget) is is_over
