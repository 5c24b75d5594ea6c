"""What a session and the agent know, and the moves that every dialect makes."""

from msgspec.structs import replace

from pipeline.core.agent import state as agent
from pipeline.core.commands import Close, Reconnect, StartTimer, StopTimer
from pipeline.core.events import SessionOffers, SessionReady, ToolsListed
from pipeline.core.plan import Plan
from pipeline.core.session.state import (
    Session,
    await_step,
    give_up,
    is_accepted,
    ready,
    start_over,
)
from tests.support.play import URL, a_route

HELLO = SessionReady(server="s", route=a_route())
SESSION = Session(server="s", url=URL, phase="listing", route=a_route(), greeting=HELLO)


def test_a_session_has_its_own_timers() -> None:
    assert (SESSION.timer, SESSION.grace) == ("session:s", "grace:s")
    assert await_step(SESSION, Plan(connect_timeout=3)) == StartTimer(id="session:s", seconds=3)


def test_ready_is_told_once_and_each_list_is_handed_on() -> None:
    session, out = ready(replace(SESSION, pages=(1,), cursors=("x",), is_listing=True), (1,))
    listed, offers = ToolsListed(server="s", tools=(1,)), SessionOffers(server="s")
    assert out == (offers, HELLO, StopTimer(id="session:s"), listed)
    assert (session.phase, session.pages, session.cursors) == ("ready", (), ())
    assert session.is_told
    assert not session.is_listing
    assert ready(session, (1,))[1] == (StopTimer(id="session:s"), listed)


def test_to_start_over_is_to_drop_the_connection() -> None:
    session, out = start_over(replace(SESSION, is_listing=True), "why")
    assert (session.phase, session.route, session.is_listing) == ("closed", None, False)
    assert out == (StopTimer(id="session:s"), Reconnect(server="s", reason="why"))


def test_to_give_up_is_to_drop_the_server() -> None:
    session, out = give_up(replace(SESSION, is_listing=True), "why", 401)
    assert (session.phase, session.route, session.is_listing) == ("closed", None, False)
    assert out == (StopTimer(id="session:s"), Close(server="s", reason="why", status=401))


def test_only_a_2xx_is_an_accepted_post() -> None:
    assert [is_accepted(status) for status in (200, 202, 299)] == [True] * 3
    assert [is_accepted(status) for status in (None, 100, 199, 300, 302, 400, 500)] == [False] * 7


def test_a_model_call_is_named_after_its_number() -> None:
    assert replace(agent.initial(Plan()), models=7).model_call == "model:7"
