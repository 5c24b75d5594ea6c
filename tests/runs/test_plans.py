"""From settings to what the core may know."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.mcp_entry import McpEntry
from config.settings import Settings
from pipeline import plans
from pipeline.core.events import RequestSubmitted
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
    [
        ([], "chat"),
        (["-p", "hi"], "prompt"),
        (["tools"], "tools"),
        (["call", "add"], "call"),
        (["resources"], "request"),
        (["read", "a"], "request"),
        (["complete"], "request"),
    ],
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


# --- what servers may ask -----------------------------------------------------------------------


def made(*argv: str, is_interactive: bool = False, may_ask: bool = False) -> Plan:
    settings = settings_of(*argv)
    goal = plans.goal_of(settings)
    return plans.make_plan(settings, (), goal=goal, is_interactive=is_interactive, may_ask=may_ask)


def test_a_live_run_lets_servers_make_tasks_of_calls() -> None:
    assert made().tasks


@pytest.mark.parametrize(
    ("argv", "there", "policies"),
    [
        ([], False, ("never", "never")),
        ([], True, ("ask", "never")),
        (["--model", "m"], True, ("ask", "ask")),
        (["--model", "m", "--sampling", "never", "--elicit", "never"], True, ("never", "never")),
        (["--elicit", "defaults"], False, ("defaults", "never")),
        (["--model", "m", "--sampling", "always"], False, ("never", "always")),
    ],
)
def test_a_person_in_a_chat_is_asked_unless_it_was_said_otherwise(
    argv: list[str], there: bool, policies: tuple[str, str]
) -> None:
    plan = made(*argv, is_interactive=there, may_ask=there)
    assert (plan.elicitation, plan.sampling) == policies


def test_a_person_may_be_asked_without_a_chat_too() -> None:
    assert made("call", "add", "--elicit", "ask", may_ask=True).elicitation == "ask"
    assert made("call", "add", may_ask=True).elicitation == "never"


@pytest.mark.parametrize(
    ("argv", "flag"),
    [(["--elicit", "ask"], "--elicit"), (["--model", "m", "--sampling", "ask"], "--sampling")],
)
def test_where_nobody_is_there_nobody_can_be_asked(argv: list[str], flag: str) -> None:
    with pytest.raises(plans.WishError, match=f"{flag}: found ask and no terminal to ask at"):
        made(*argv)


def test_answers_said_beforehand_are_part_of_the_plan() -> None:
    words = ["confirmed=true", "count=3", "who=Ada", "odd={", "empty="]
    plan = made(*(word for pair in words for word in ("--answer", pair)))
    assert plan.elicitation == "defaults"
    assert plan.answers == {"confirmed": True, "count": 3, "who": "Ada", "odd": "{", "empty": ""}
    assert made("--answer", "a=1", "--elicit", "never").elicitation == "never"


def test_a_root_is_told_as_a_whole_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my files").mkdir()
    monkeypatch.chdir(tmp_path)
    assert made("--root", "my files").roots == (f"{tmp_path.as_uri()}/my%20files",)
    with pytest.raises(plans.WishError, match="--root: found 'none', expected a folder"):
        made("--root", "none")


def test_what_servers_log_and_how_long_a_question_waits_are_told() -> None:
    plan = made("--server-log-level", "warning", "--question-timeout", "5")
    assert (plan.log_level, plan.question_timeout) == ("warning", 5)
    assert made().log_level == ""


# --- what they are asked ------------------------------------------------------------------------


def wish(method: str, server: str = "", **params: Any) -> RequestSubmitted:
    return RequestSubmitted(method=method, params=params, server=server)


@pytest.mark.parametrize(
    ("argv", "wishes"),
    [
        ([], ()),
        (["resources"], (wish("resources/list"), wish("resources/templates/list"))),
        (
            ["resources", "@a"],
            (wish("resources/list", "a"), wish("resources/templates/list", "a")),
        ),
        (["templates"], (wish("resources/templates/list"),)),
        (["skills"], (wish("skills/list"),)),
        (["prompts"], (wish("prompts/list"),)),
        (["read", "@a", "demo://x"], (wish("resources/read", "a", uri="demo://x"),)),
        (
            ["prompt", "greet", "a=b c"],
            (wish("prompts/get", name="greet", arguments={"a": "b c"}),),
        ),
    ],
)
def test_a_command_asks_for_what_it_says(
    argv: list[str], wishes: tuple[RequestSubmitted, ...]
) -> None:
    assert plans.requests_of(settings_of(*argv)) == wishes


def test_words_that_do_not_fit_are_told() -> None:
    with pytest.raises(plans.WishError, match="found 'read', expected read URI"):
        plans.requests_of(settings_of("read"))
