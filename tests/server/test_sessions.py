import asyncio

from server.options import ServerOptions
from server.sessions import SESSION_ID, Outbox, Session, SessionRegistry


def _registry(**options: int) -> SessionRegistry:
    return SessionRegistry(ServerOptions(**options))


def _open(registry: SessionRegistry, aborted: list[str] | None = None) -> Session:
    log = aborted if aborted is not None else []
    return registry.open(
        "seed", now=0.0, spawn=asyncio.create_task, abort=lambda: log.append("aborted")
    )


def test_an_outbox_gives_back_in_order() -> None:
    outbox = Outbox(max_bytes=10, max_events=10)
    assert outbox.put(b"a")
    assert outbox.put(b"b")
    assert [outbox.take(), outbox.take(), outbox.take()] == [b"a", b"b", None]


def test_an_outbox_is_bounded_in_bytes_and_counts_what_is_being_written() -> None:
    outbox = Outbox(max_bytes=4, max_events=10)
    assert outbox.put(b"abc")
    assert not outbox.put(b"de")
    assert outbox.take() == b"abc"
    assert not outbox.put(b"de")
    outbox.written(b"abc")
    assert outbox.size == 0
    assert outbox.put(b"de")


def test_an_outbox_is_bounded_in_number() -> None:
    outbox = Outbox(max_bytes=100, max_events=2)
    assert [outbox.put(b"a"), outbox.put(b"b"), outbox.put(b"c")] == [True, True, False]


def test_ids_are_of_the_form_and_never_the_same() -> None:
    registry = _registry(max_sessions=100)
    ids = {_open(registry).id for _ in range(100)}
    assert len(ids) == 100
    assert all(SESSION_ID.fullmatch(session_id) for session_id in ids)


def test_a_registry_is_full_at_its_bound_and_when_closing() -> None:
    registry = _registry(max_sessions=1)
    session = _open(registry)
    assert registry.is_full
    registry.close(session)
    assert not registry.is_full
    registry.is_closing = True
    assert registry.is_full


def test_an_ended_or_closed_session_is_not_found() -> None:
    registry = _registry()
    session = _open(registry)
    assert registry.find(session.id) is session
    session.end("idle")
    assert registry.find(session.id) is None
    registry.close(session)
    assert registry.find(session.id) is None
    assert registry.count == 0


def test_the_registry_tells_when_it_is_empty() -> None:
    registry = _registry()
    assert registry.empty.is_set()
    first, second = _open(registry), _open(registry)
    registry.close(first)
    assert not registry.empty.is_set()
    registry.close(second)
    assert registry.empty.is_set()


def test_a_client_that_leaves_too_much_waiting_is_cut_off() -> None:
    aborted: list[str] = []
    session = _open(_registry(max_queue_bytes=16_384), aborted)
    session.send(b"x" * 16_384)
    assert session.ended is None
    session.send(b"y")
    assert session.ended == "the client reads too slowly"
    assert aborted == ["aborted"]


def test_an_ended_session_takes_nothing_more_and_keeps_its_first_reason() -> None:
    session = _open(_registry())
    session.end("idle")
    session.end("later")
    session.send(b"x")
    assert session.ended == "idle"
    assert session.outbox.take() is None


async def test_calls_are_counted_found_by_key_and_cancelled_alone_or_together() -> None:
    session = _open(_registry())
    tasks: list[asyncio.Task[None]] = []

    async def call() -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        await asyncio.Event().wait()

    session.start(1, call())
    session.start("1", call())
    session.start(2, call())
    await asyncio.sleep(0)
    assert session.call_count == 3
    assert session.is_calling("1")
    session.cancel("1")
    session.cancel("unknown")
    await asyncio.wait([tasks[1]], timeout=1)
    assert [session.is_calling(key) for key in (1, "1", 2)] == [True, False, True]
    session.cancel_all()
    await asyncio.wait(tasks, timeout=1)
    assert session.call_count == 0
