"""What models cost."""

import pytest
from pydantic import ValidationError

from config.prices import PRICES, Price, price_of


def test_a_price_in_the_usual_shape() -> None:
    assert Price.of(2, 10) == Price(input=2, output=10, cache_read=0.2, cache_write=2.5)


@pytest.mark.parametrize("model", ["claude-haiku-4-5-20251001", "claude-haiku-4-5@20251001"])
def test_a_date_may_follow_the_name(model: str) -> None:
    assert price_of(model) == PRICES["claude-haiku-4-5"]


def test_the_direct_model_costs_nothing() -> None:
    assert price_of("direct") == Price(input=0, output=0, cache_read=0, cache_write=0)


@pytest.mark.parametrize("model", ["claude-opus-5-6", "claude-opus-5-5x", "qwen3", ""])
def test_a_model_that_nobody_priced_has_no_price(model: str) -> None:
    assert price_of(model) is None


def test_the_longer_name_wins() -> None:
    assert price_of("claude-opus-5-5") == PRICES["claude-opus-5-5"] != PRICES["claude-opus-5"]


def test_a_budget_holds_for_long_prompts_to_the_model_with_two_prices() -> None:
    price = price_of("claude-haiku-5-5")
    assert price is not None
    assert (price.input, price.output) == (0.5, 2.5)


def test_a_negative_price_is_refused() -> None:
    with pytest.raises(ValidationError):
        Price.of(-1, 1)
