import asyncio
from datetime import UTC, datetime

import pytest

from tests.support.outbox import Answers, free_post, running
from tests.support.ports import free_port
from tests.support.wire import Script, reply, serve

LATER = datetime.fromtimestamp(90, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize(
    ("scripts", "expected"),
    [
        ([[reply("429 Busy", retry_after="7")]], 7),
        ([[reply("503 Down", retry_after=LATER)]], 90),
        ([[reply("503 Down")]], None),
        ([[reply("503 Down", retry_after="soon")]], None),
        ([[reply("503 Down", retry_after="0")]], None),
        ([[reply("202 Yes", retry_after="7")]], None),
        ([[reply("429 Busy", retry_after="7")], [reply("202 Yes")]], None),
        ([[reply("202 Yes")], [reply("429 Busy", retry_after="7")]], 7),
    ],
)
async def test_the_wish_of_the_last_answer_counts_if_it_was_a_refusal(
    scripts: list[Script], expected: float | None
) -> None:
    answers = Answers()
    async with serve(*scripts) as wire, running(wire.url, answers) as (outbox, _):
        for number in range(1, len(scripts) + 1):
            outbox.send(free_post(wire.url, str(number)))
            await answers.reach(number)
        wish = outbox.wish()
    assert wish == (None if expected is None else pytest.approx(expected, abs=2))


async def test_no_answer_takes_no_wish_back_and_time_does(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = Answers()
    script = [reply("429 Busy", retry_after="7")]
    async with serve(script) as wire, running(wire.url, answers) as (outbox, _):
        assert outbox.wish() is None
        outbox.send(free_post(wire.url, "1"))
        await answers.reach(1)
        outbox.send(free_post(wire.url.replace(str(wire.port), str(free_port())), "2"))
        await answers.reach(2)
        assert outbox.wish() == pytest.approx(7, abs=2)
        loop, time = asyncio.get_running_loop(), asyncio.get_running_loop().time
        monkeypatch.setattr(loop, "time", lambda: time() + 8)
        assert outbox.wish() is None
