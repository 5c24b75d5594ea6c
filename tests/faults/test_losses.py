"""Connections and servers that are lost in mid session: what becomes of calls and run."""

import pytest

from pipeline.core.commands import Get, Post
from pipeline.core.events import (
    AnswerCompleted,
    RunEnded,
    SessionClosed,
    SessionReady,
    StreamLost,
    ToolEnded,
    ToolRepeated,
    ToolsChanged,
)
from tests.faults import dialects
from tests.faults.dialects import CALL, DIALECTS, FLAGS, OF_ONE_STREAM, Dialect
from tests.faults.exchange import Exchange, On
from tests.faults.good import accept, run
from tests.faults.ledger import judge_run
from tests.faults.meeting import meet
from tests.faults.steps import expire, keep, restart, rst, silence
from tests.faults.switchboard import switchboard
from tests.support.in_process import QUICK, Lines, playing

NO_CONNECTION = 4


@pytest.mark.parametrize("dialect", OF_ONE_STREAM)
async def test_a_stream_that_goes_silent_is_found_dead_before_the_call_runs_out_of_time(
    dialect: Dialect,
) -> None:
    argv = ("--silence", "0.3", "--call-timeout", "5")
    met = await meet(dialect, On(CALL, run, accept, silence), argv=argv)
    first, second = met.ends
    assert first.outcome == "unknown"
    assert "nothing arrived for 0.3 s" in first.reason
    assert second.outcome == "answered"


@pytest.mark.parametrize("is_framed", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_reset_is_no_end_in_good_order_however_the_stream_is_framed(
    dialect: Dialect, is_framed: bool
) -> None:
    """Without chunks an HTTP library may take a reset for the end of the body."""
    met = await meet(dialect, On(CALL, run, accept, rst), is_framed=is_framed)
    assert [each.outcome for each in met.ends] == ["unknown", "answered"]


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_server_that_restarts_is_met_again_and_its_tools_are_read_again(
    dialect: Dialect,
) -> None:
    met = await meet(dialect, On(CALL, run, accept, restart))
    assert met.played.ended == RunEnded(code=0)
    if dialect == "modern":  # it has no session that could be lost
        return
    assert len(met.played.only(SessionClosed)) == 1
    assert len(met.played.only(SessionReady)) == 2
    assert len(met.played.only(ToolsChanged)) == 2


async def test_an_answer_of_a_server_that_is_gone_is_soon_given_up() -> None:
    """What it could have been taken up from is gone with it."""

    async def die(x: Exchange) -> None:
        await x.server.down()

    lines = Lines(["act n=1"], is_open=True)
    async with switchboard("http", On(CALL, run, accept, keep, die)) as server:
        argv = ("--server", server.url, "--dialect", "http")
        async with playing(*argv, lines=lines, env=QUICK) as client:
            await client.saw(ToolEnded, outcome="unknown")
            asked = [each for each in client.memory.items if isinstance(each, Get)]
            lines.end()
            await client.ended()
    assert len([get for get in asked if get.id.startswith("resume:")]) == 2


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_to_a_server_that_is_away_waits_for_it_and_is_executed_once(
    dialect: Dialect,
) -> None:
    lines, env = Lines(is_open=True), {**QUICK, "RXMCP_RETRY_ATTEMPTS": "10000"}
    async with switchboard(dialect) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect])
        async with playing(*argv, lines=lines, env=env) as client:
            await client.saw(ToolsChanged)
            await server.down()
            if dialect in OF_ONE_STREAM:
                await client.saw(StreamLost)
            lines.say("act n=1")
            await client.saw(StreamLost)
            await server.listen()
            await client.saw(ToolEnded)
            lines.end()
            played = await client.ended()
    assert played.one(ToolEnded).outcome == "answered"
    assert judge_run(server.ledger, played.items).is_clean
    assert server.ledger.executed == {1: 1}


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_to_a_server_that_stays_away_was_not_sent_and_the_run_ends(
    dialect: Dialect,
) -> None:
    lines, env = Lines(is_open=True), {**QUICK, "RXMCP_RETRY_ATTEMPTS": "2"}
    async with switchboard(dialect) as server:
        argv = ("--server", server.url, "--dialect", FLAGS[dialect])
        async with playing(*argv, lines=lines, env=env) as client:
            await client.saw(ToolsChanged)
            await server.down()
            if dialect in OF_ONE_STREAM:
                await client.saw(StreamLost)
            lines.say("act n=1")
            lines.end()
            played = await client.ended()
    ended = played.one(ToolEnded)
    assert ended.outcome == "not_sent"
    assert ended.reason
    assert "not_sent" not in played.one(AnswerCompleted).text  # words, not our own names
    assert played.ended.code == NO_CONNECTION


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_call_that_only_reads_is_sent_again_and_one_that_may_do_harm_is_not(
    dialect: Dialect,
) -> None:
    prompts = ("look n=1", "act n=2")
    met = await meet(
        dialect, On(CALL, run, accept, rst), On(CALL, run, accept, rst, n=3), prompts=prompts
    )
    look, act = met.ends
    assert (look.outcome, act.outcome) == ("answered", "unknown")
    assert met.played.one(ToolRepeated).call == look.call
    assert met.server.ledger.executed == {1: 2, 2: 1}
    ids = [post.id for post in met.played.only(Post) if post.id.startswith("call:")]
    assert len(ids) == len(set(ids)) == 3


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_a_person_may_forbid_every_repetition(dialect: Dialect) -> None:
    met = await meet(
        dialect,
        On(CALL, run, accept, rst),
        argv=("--repeat-calls", "never"),
        prompts=("look n=1", "look n=2"),
    )
    assert [each.outcome for each in met.ends] == ["unknown", "answered"]
    assert met.server.ledger.executed == {1: 1, 2: 1}


async def test_a_server_that_forgets_every_session_at_once_is_not_asked_for_ever() -> None:
    met = await meet("http", On(CALL, expire, n=None), prompts=("act n=1",))
    assert [each.outcome for each in met.ends] == ["not_sent"]
    assert len(met.server.all(CALL)) <= 3
    assert met.server.begun <= 4


async def test_an_answer_without_an_id_that_comes_too_late_is_not_taken_for_the_next_one() -> None:
    """The seed dialect had no ids at first: the late answer finds its stream closed."""

    async def mute(x: Exchange) -> None:
        text = dialects.json.dumps({"content": [{"type": "text", "text": f"did {x.call.n}"}]})
        await x.out.send(dialects.event(text, "result"))

    async def until_left(x: Exchange) -> None:
        await x.server.got("GET", 2)

    late = On(CALL, run, accept, until_left, mute)
    met = await meet("seed", late, On(CALL, run, accept, mute, n=2))
    assert [each.outcome for each in met.ends] == ["unknown", "answered"]
    assert met.ends[1].content[0]["text"] == "did 2"


@pytest.mark.parametrize("dialect", ["seed", "sse", "http"])
async def test_nothing_goes_to_the_session_of_a_server_that_has_restarted(dialect: Dialect) -> None:
    met = await meet(dialect, On(CALL, run, accept, restart))
    sessions = [x.session for x in met.server.seen]
    begun = sessions.index("session-2")
    assert "session-1" in sessions[:begun]
    assert "session-1" not in sessions[begun:]
