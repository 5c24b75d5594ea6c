"""What a run is to do, as one value."""

import msgspec
import pytest

from pipeline.core.plan import Plan, Price, ServerPlan


def test_a_server_is_found_by_its_name() -> None:
    other = ServerPlan(name="b", url="http://b/sse")
    assert Plan(servers=(ServerPlan(name="a", url="http://a/sse"), other)).server("b") is other


def test_a_name_that_the_run_does_not_have_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="c"):
        Plan().server("c")


def test_a_plan_comes_back_from_a_recording_as_it_was() -> None:
    plan = Plan(
        goal="call",
        servers=(ServerPlan(name="a", url="http://a/sse", dialect="seed"),),
        allowed_tools=("add*",),
        max_budget_usd=0.5,
        price=Price(input=1, output=2, cache_read=3, cache_write=4),
        interactive=True,
    )
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Plan().max_turns = 3  # type: ignore[misc]  # that it cannot is the point
