"""The world of a bent run by itself: what it waits for, and when nothing can come any more."""

import pytest
import reactivex as rx

from pipeline.bending.bends import Bends
from pipeline.bending.connection import Server
from pipeline.bending.script import Attempt, Reply, Script
from pipeline.bending.standing import Standing, standing_after
from pipeline.bending.world import World
from pipeline.core.codec import Entry, Header
from pipeline.core.commands import CallModel, CancelModel, Cut, Item, Open, Post, StartTimer
from pipeline.core.events import (
    InputEnded,
    PromptSubmitted,
    RunEnded,
    RunResumed,
    StreamLost,
    StreamOpened,
    TimerFired,
    ToolEnded,
)
from pipeline.core.plan import Plan, ServerPlan
from tests.support.play import URL, fired, kinds, opened, posted

SSE = ServerPlan(name="s", url=URL)
PROCESS = ServerPlan(name="p", url="", program="echo", dialect="stdio")


def a_world(standing: Standing) -> World:
    return World(Header(plan=Plan(servers=standing.servers)), Script(), standing, Bends([]), 1)


def everything(world: World) -> list[object]:
    """All that happens, to the end."""
    items: list[object] = []
    while (item := world.next()) is not None:
        items.append(item)
    return items


def test_where_nothing_can_happen_the_person_leaves_and_that_is_the_end() -> None:
    assert everything(a_world(Standing(()))) == [InputEnded()]
    assert everything(a_world(Standing((), has_left=True))) == []


async def test_a_person_without_words_leaves_when_asked_whatever_else_goes_on() -> None:
    items = everything(a_world(Standing((SSE,), lost={"s"}, is_read=True)))
    assert kinds(items) == ["InputEnded", *["StreamLost"] * 4]


async def test_a_server_that_is_tried_is_waited_for_until_it_is_given_up() -> None:
    items = everything(a_world(Standing((SSE,), lost={"s"})))
    assert kinds(items) == ["StreamLost"] * 4 + ["InputEnded"]
    assert [item.retry_in for item in items if isinstance(item, StreamLost)] == [
        0.25, 0.5, 1.0, None,
    ]  # fmt: skip


async def test_a_server_that_is_there_is_not_waited_for() -> None:
    standing = Standing((PROCESS,), lost={"p"}, transports={"p": "stdio"})
    assert everything(a_world(standing)) == [StreamOpened(server="p"), InputEnded()]


async def test_a_process_has_its_name_in_the_place_of_an_address() -> None:
    world = a_world(Standing((PROCESS,), lost={"p"}, transports={"p": "stdio"}))
    await world.carry_out(Post(server="p", url="", id="x", message={}, seconds=1.0))
    assert [getattr(item, "id", "") for item in everything(world)] == ["", "x", ""]


async def test_timers_fire_in_order_and_start_over() -> None:
    world = a_world(Standing((), us=5, timers={"old": 2_000_005}))
    await world.carry_out(StartTimer(id="a", seconds=1.0))
    await world.carry_out(StartTimer(id="old", seconds=3.0))
    assert everything(world) == [TimerFired(id="a"), TimerFired(id="old"), InputEnded()]
    assert world.clock.us == 3_000_005


async def test_what_is_no_command_is_a_fault() -> None:
    ended = ToolEnded(call="c1", server="s", tool="t", outcome="answered")
    with pytest.raises(TypeError, match="ToolEnded is not a command"):
        await a_world(Standing(())).carry_out(ended)


# --- faults of ours -------------------------------------------------------------------------------


async def test_a_fault_of_ours_is_no_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rx takes any exception for the end of a stream, and the run would go on without it."""
    monkeypatch.setattr(Server, "source", lambda _: rx.throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        everything(a_world(Standing((SSE,), lost={"s"})))


async def test_what_cannot_come_over_a_stream_is_a_fault() -> None:
    came = Reply(2, 1, 1, InputEnded(), is_own=False)
    script = Script(attempts={"s": [Attempt(Reply(1, 0, 0, opened()), 0, [came])]})
    world = World(Header(), script, Standing((SSE,), lost={"s"}), Bends([]), 1)
    with pytest.raises(TypeError, match="InputEnded comes over no server's stream"):
        everything(world)


# --- where a recording is left --------------------------------------------------------------------


def standing(*items: Item) -> Standing:
    entries = [Entry(n, f"1970-01-01T00:00:0{n}.0Z", item) for n, item in enumerate(items, 1)]
    return standing_after(Plan(servers=(SSE,)), entries)


POST = Post(server="s", url=URL, id="x", message={})


def test_what_is_under_way_is_what_nobody_has_ended() -> None:
    call = CallModel(call="model:1", messages=())
    found = standing(PromptSubmitted(text="hi"), POST, call, StartTimer(id="t", seconds=9.0))
    assert found.posted == {("s", "x"): 2}
    assert found.thinking == {"model:1": 3}
    assert found.timers == {"t": 10_000_000}
    done = standing(
        PromptSubmitted(text="hi"), POST, call, StartTimer(id="t", seconds=9.0),
        CancelModel(call="model:1"), Cut(server="s", id="x"), fired("t"),
    )  # fmt: skip
    assert (done.posted, done.thinking, done.timers) == ({}, {}, {})
    assert standing(POST, posted("x")).posted == {}


def test_a_run_that_goes_on_has_nothing_under_way_but_the_persons_place() -> None:
    again = RunResumed(goal="chat", servers=(PROCESS,))
    found = standing(PromptSubmitted(text="hi"), POST, opened("s"), again)
    assert found == Standing((PROCESS,), began=4, us=4_000_000, said=1)


def test_a_server_that_is_opened_anew_has_no_connection() -> None:
    found = standing(Open(server="s"), opened("s"))
    assert (found.open, found.lost) == ({"s": False}, set())
    again = standing(Open(server="s"), opened("s"), Open(server="s", transport="http"))
    assert (again.open, again.lost, again.transports) == ({}, {"s"}, {"s": "http"})


def test_a_run_that_ended_has_ended() -> None:
    assert standing(RunEnded(code=0)).is_over
