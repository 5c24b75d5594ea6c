"""A sign-in, cancelled at every place at which it waits: the next one begins where it can."""

import itertools
from pathlib import Path

import aiohttp

from tests.support.oauth_world import Client, Person, client, world
from tests.support.sweep import Interrupt, sweep


class Patient(Person):
    """Opens the address, and does not mind if nobody is there any more."""

    async def visit(self, address: str) -> None:
        try:
            await super().visit(address)
        except aiohttp.ClientError as exc:
            self.lines.append(str(exc))


async def test_a_sign_in_is_given_up_and_can_be_made_again(tmp_path: Path) -> None:
    numbers = itertools.count()

    async def scene(interrupt: Interrupt) -> None:
        person, kept = Patient(), tmp_path / f"{next(numbers)}.json"

        async def sign_in(ours: Client) -> None:
            assert (await ours.ask()).status == 200

        async with world() as there:
            async with client(there, person, path=kept) as ours:
                await interrupt(sign_in(ours))
                await person.has_left()
                await sign_in(ours)
            async with client(there, None, path=kept) as another_run:
                await sign_in(another_run)  # what was kept is whole

    assert await sweep(scene) >= 10
