"""From settings to what the core may know."""

import msgspec
import pytest

from config.mcp_entry import McpEntry
from config.settings import Settings
from pipeline import plans
from pipeline.core.plan import Plan, Price, ServerPlan
from pipeline.servers import server_plan
from tests.support.in_process import settings_of

SECRET = "s3cret-value"


def plan_of(settings: Settings) -> Plan:
    entry = McpEntry("one", url=f"https://example.org/{SECRET[:3]}/sse?key={SECRET}")
    servers = [server_plan(entry, settings)]
    goal = plans.goal_of(settings)
    return plans.make_plan(settings, servers, goal=goal, is_interactive=True)


def test_a_plan_holds_what_was_said() -> None:
    plan = plan_of(
        settings_of(
            *("--dialect", "sse", "--model", "claude-sonnet-5-5", "--system-prompt", "Be brief."),
            *("--max-turns", "3", "--max-budget-usd", "0.5", "--allowed-tools", "a*,b"),
            *("--disallowed-tools", "c", "--call-timeout", "5", "--call-timeout-max", "50"),
            *("--start-timeout", "4", "--connect-timeout", "2"),
        )
    )
    assert plan.goal == "chat"
    assert plan.servers == (
        ServerPlan(name="one", url="https://example.org/s3c/sse", dialect="sse"),
    )
    assert (plan.model, plan.system_prompt) == ("claude-sonnet-5-5", "Be brief.")
    assert (plan.max_turns, plan.max_budget_usd) == (3, 0.5)
    assert (plan.allowed_tools, plan.disallowed_tools) == (("a*", "b"), ("c",))
    assert (plan.call_timeout, plan.call_timeout_max) == (5.0, 50.0)
    assert (plan.start_timeout, plan.connect_timeout) == (4.0, 2.0)
    assert plan.interactive
    assert plan.client_version == plans.version()


def test_a_plan_holds_no_secret() -> None:
    env = {"MCP_API_KEY": SECRET, "RXMCP_WEBHOOK_SECRET": f"whsec_{SECRET}"}
    plan = plan_of(settings_of("-H", f"Authorization: Bearer {SECRET}", env=env))
    assert SECRET.encode() not in msgspec.json.encode(plan)


def test_the_price_is_the_one_said_else_the_one_known_else_none() -> None:
    said = plan_of(settings_of("--model", "any", "--price", "2/10")).price
    assert said == Price(input=2, output=10, cache_read=0.2, cache_write=2.5)
    assert plan_of(settings_of()).price == Price(input=0, output=0, cache_read=0, cache_write=0)
    assert plan_of(settings_of("--model", "unheard-of")).price is None


@pytest.mark.parametrize(
    ("argv", "goal"),
    [([], "chat"), (["-p", "hi"], "prompt"), (["tools"], "tools"), (["call", "add"], "call")],
)
def test_the_goal_follows_from_the_command(argv: list[str], goal: str) -> None:
    assert plan_of(settings_of(*argv)).goal == goal
    assert plan_of(settings_of("--ignore-tool-error", "call", "x")).ignore_tool_error


def test_a_program_that_was_never_installed_is_version_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise plans.metadata.PackageNotFoundError(name)

    assert plans.version() != ""
    monkeypatch.setattr(plans.metadata, "version", missing)
    assert plans.version() == "0"
