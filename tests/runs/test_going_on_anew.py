"""What a run that goes on may be told anew: deadlines, limits, the model, and who answers."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pipeline.core.codec import Entry, Header
from pipeline.core.events import RunResumed, RunStarted
from pipeline.core.plan import Plan, Price, ServerPlan
from pipeline.going_on import Earlier, earlier_run, plan_from_here
from pipeline.headers import new_header
from pipeline.plans import WishError, as_recorded, make_plan
from pipeline.shell.recordings import RecordedRun
from tests.support.in_process import settings_of
from tests.support.messages_api import MessagesApi, say, turn
from tests.support.program import run
from tests.support.recordings import read_run

THEN = Plan(
    model="claude-then",
    price=Price(input=1, output=2, cache_read=0.1, cache_write=1.25),
    call_timeout=30.0,
    max_turns=5,
    allowed_tools=("fs_*",),
    tasks=True,
    client_version="0.0.1",
)
NOW = ServerPlan(name="now", url="http://127.0.0.1:1/sse")


def earlier(plan: Plan = THEN, **settings: Any) -> Earlier:
    """A recorded run that was told these settings."""
    run = RecordedRun(Path("run.jsonl"), Header(settings=settings, plan=plan), ())
    return Earlier(run, 1, plan, None, "a")


def gone_on(before: Earlier, *argv: str, is_person_there: bool = False, **env: str) -> Plan:
    """The plan from there on, as `main` makes it."""
    told = settings_of("resume", "run.jsonl", *argv, env=env)
    settings = as_recorded(told, before.plan)
    made = make_plan(
        settings, (NOW,), goal="chat", is_interactive=is_person_there, may_ask=is_person_there
    )
    return plan_from_here(before, made, told.model_fields_set)


# --- the plan -----------------------------------------------------------------------------------


def test_what_nobody_says_now_is_as_it_was() -> None:
    assert gone_on(earlier()) == replace(THEN, servers=(NOW,))


def test_a_key_that_is_set_now_makes_no_other_model() -> None:
    assert gone_on(earlier(), ANTHROPIC_API_KEY="k").model == "claude-then"


@pytest.mark.parametrize(
    ("argv", "changes"),
    [
        (["--call-timeout", "7", "--max-turns", "2"], {"call_timeout": 7.0, "max_turns": 2}),
        (["--max-tools", "9", "--max-pages", "3"], {"max_tools": 9, "max_pages": 3}),
        (["--repeat-calls", "never"], {"repeat_calls": "never"}),
        (["--allowed-tools", "*"], {"allowed_tools": ("*",)}),
        (["--elicit", "defaults"], {"elicitation": "defaults"}),
        (["--answer", "a=1"], {"elicitation": "defaults", "answers": {"a": 1}}),
        (["--sampling", "always"], {"sampling": "always"}),
        (["--changed-tools", "accept"], {"changed_tools": "accept"}),
        (["--server-log-level", "debug"], {"log_level": "debug"}),
        (["--model", "qwen3"], {"model": "qwen3", "price": None}),
        (["--price", "3/4"], {"price": Price(input=3, output=4, cache_read=0.3, cache_write=3.75)}),
    ],
)  # fmt: skip
def test_what_is_said_now_holds_from_there_on(argv: list[str], changes: dict[str, Any]) -> None:
    plan = gone_on(earlier(), *argv)
    assert plan == replace(THEN, servers=(NOW,), **changes)


@pytest.mark.parametrize(
    ("then", "said", "is_person_there", "now"),
    [
        ("never", False, True, "ask"),
        ("never", True, True, "never"),
        ("ask", False, False, "never"),
        ("ask", True, False, "never"),
        ("ask", False, True, "ask"),
        ("defaults", True, True, "defaults"),
        ("defaults", False, False, "defaults"),
    ],
)
def test_who_answers_is_who_was_said_or_else_who_is_there(
    then: Any, said: bool, is_person_there: bool, now: str
) -> None:
    before = earlier(replace(THEN, elicitation=then), **({"elicit": then} if said else {}))
    assert gone_on(before, is_person_there=is_person_there).elicitation == now


def test_a_limit_of_money_needs_a_price() -> None:
    with pytest.raises(WishError, match=r"--max-budget-usd: no price is known for 'qwen3'"):
        gone_on(earlier(), "--max-budget-usd", "1", "--model", "qwen3")
    assert gone_on(earlier(), "--max-budget-usd", "1").price == THEN.price
    free = gone_on(earlier(), "--max-budget-usd", "1", "--model", "direct")
    assert free.max_budget_usd == 1


# --- whole runs ---------------------------------------------------------------------------------


async def test_what_is_told_anew_stands_in_the_recording_and_holds_until_it_is_told_otherwise(
    tmp_path: Path,
) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\n")
    again = ("resume", "run.jsonl", "-p", "add a=1 b=1")
    anew = ("--call-timeout", "7", "--max-turns", "3", "--elicit", "defaults", "--answer", "a=1")
    for words in (anew, (), ("--max-turns", "4")):
        ended = await run(*again, *words, cwd=tmp_path)
        assert (ended.code, ended.out) == (0, "2\n"), ended.err
    recorded = read_run(tmp_path / "run.jsonl")
    plan, found = recorded.header.plan, []
    for resumed in recorded.only(RunResumed):
        plan = resumed.plan_after(plan)
        found.append((plan.call_timeout, plan.max_turns, plan.elicitation, plan.answers))
    assert found == [(7.0, turns, "defaults", {"a": 1}) for turns in (3, 3, 4)]
    # Where nothing was told anew, nothing is written down anew.
    assert [resumed.plan is None for resumed in recorded.only(RunResumed)] == [False, True, False]
    checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.err


async def test_a_limit_that_is_told_anew_is_kept(tmp_path: Path) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\n")
    words = ("resume", "run.jsonl", "-p", "wait seconds=30", "--call-timeout", "0.2")
    ended = await run(*words, cwd=tmp_path)
    assert "0.2 s (--call-timeout)" in ended.out
    checked = await run("replay", "run.jsonl", "--check", cwd=tmp_path)
    assert checked.code == 0, checked.err


async def test_the_model_is_the_recorded_one_unless_another_is_told(tmp_path: Path) -> None:
    async with MessagesApi([turn(say("one"))]) as api:
        env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
        words = ("--model", "claude-then", "--sink", "jsonl=run.jsonl", "-p", "hi")
        await run(*words, "--system-prompt", "Be kind.", cwd=tmp_path, env=env)
    for argv, model in ((), "claude-then"), (("--model", "claude-now"), "claude-now"):
        async with MessagesApi([turn(say("two"))]) as api:
            env = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "k"}
            ended = await run("resume", "run.jsonl", "-p", "and?", *argv, cwd=tmp_path, env=env)
            (asked,) = api.requests
        assert (ended.code, ended.out) == (0, "two\n"), ended.err
        assert asked.body["model"] == model
        assert "Be kind." in str(asked.body["system"])


async def test_a_fork_takes_what_was_in_force_where_it_begins(tmp_path: Path) -> None:
    await run("--sink", "jsonl=run.jsonl", cwd=tmp_path, stdin=b"add a=2 b=3\n")
    known = len(read_run(tmp_path / "run.jsonl").entries)
    words = ("resume", "run.jsonl", "-p", "add a=1 b=1", "--call-timeout", "7")
    await run(*words, cwd=tmp_path)
    file = str(tmp_path / "run.jsonl")
    for at, seconds in ((known, 60.0), (known + 1, 7.0)):
        settings = settings_of("fork", file, "--at", str(at))
        found = earlier_run(settings, new_header(settings))
        assert (found.known, found.plan.call_timeout, found.begun.call_timeout) == (at, seconds, 60)
    entries = read_run(tmp_path / "run.jsonl").entries
    assert isinstance(entries[0].item, RunStarted)
    assert isinstance(entries[known], Entry)
    assert isinstance(entries[known].item, RunResumed)
