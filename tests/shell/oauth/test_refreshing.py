"""Tokens that stay, run out, and are had anew without asking anybody."""

import asyncio
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.shell.oauth.grant import Grant
from pipeline.shell.oauth.storage import FileStore
from tests.support.oauth_world import Client, Person, World, client, world


class Clock:
    """A clock that a test turns: `now` the time of day, `monotonic` the other."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        return time.time() + self.offset

    def monotonic(self) -> float:
        return time.monotonic() + self.offset


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "oauth.json"


def turned(clock: Clock) -> dict[str, Any]:
    return {"clock": clock.monotonic, "now": clock.now}


async def allow(there: World, path: Path) -> Grant:
    """One run in which a person allows access; what is kept of it."""
    async with client(there, Person(), path=path) as ours:
        assert (await ours.ask()).status == 200
    grant = FileStore(path).load(there.url)
    assert grant is not None
    return grant


async def test_the_next_run_needs_neither_a_person_nor_the_package_mcp(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        before = len(there.paths())
        async with client(there, path=path) as ours:
            assert (await ours.ask()).status == 200
        assert len(there.paths()) == before
        sent = there.all_of("POST /mcp")
        assert sent[-1].headers["Authorization"] == "Bearer access-1-secret"


async def test_a_token_about_to_run_out_is_refreshed_at_the_right_endpoint(path: Path) -> None:
    clock = Clock()
    async with world() as there:
        await allow(there, path)
        clock.offset = 3595.0
        async with client(there, path=path, **turned(clock)) as ours:
            assert (await ours.ask()).status == 200
        assert there.paths()[-1] == "POST /token"
        form = there.all_of("POST /token")[-1].form
        assert form["grant_type"] == "refresh_token"
        assert form["refresh_token"] == "refresh-1-secret"
        assert form["resource"] == there.url
        assert form["client_id"] == "registered"
        kept = FileStore(path).load(there.url)
        assert kept is not None
        assert kept.access_token == "access-2-secret"


async def test_a_token_that_is_refused_is_refreshed_before_a_person_is_asked(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        there.good.clear()
        async with client(there, path=path) as ours:
            assert (await ours.ask()).status == 200
        assert len(there.all_of("GET /authorize")) == 1


async def test_many_requests_refresh_once(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        there.good.clear()
        async with client(there, path=path) as ours:
            said = await asyncio.gather(*(ours.ask() for _ in range(5)))
        assert [one.status for one in said] == [200] * 5
        assert len(there.all_of("POST /token")) == 2


async def test_a_refresh_keeps_the_refresh_token_that_is_not_replaced(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        there.good.clear()
        there.token = {"refresh_token": None}
        async with client(there, path=path) as ours:
            await ours.ask()
        kept = FileStore(path).load(there.url)
        assert kept is not None
        assert kept.tokens is not None
        assert kept.tokens["refresh_token"] == "refresh-1-secret"


async def test_a_dead_refresh_token_leads_to_the_person(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        there.good.clear()
        there.refuses["/token"] = (400, {"error": "invalid_grant"})
        person = Person()
        async with client(there, person, path=path) as ours:
            await ours.ask()
            del there.refuses["/token"]
        assert person.lines[0].startswith("= tickets wants you to allow access")


async def test_a_dead_refresh_token_without_a_person_says_what_to_do(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        there.good.clear()
        there.refuses["/token"] = (400, {"error": "invalid_grant"})
        clock = Clock()
        async with client(there, path=path, **turned(clock)) as ours:
            assert "there is no terminal to ask at" in (await ours.ask()).note
            clock.offset += 120.0
            await ours.ask()
        assert len(there.all_of("POST /token")) == 2  # the second is the only try to refresh


async def test_a_token_endpoint_that_is_down_costs_no_tokens(path: Path) -> None:
    clock = Clock()
    async with world() as there:
        await allow(there, path)
        there.refuses["/token"] = (503, {})
        clock.offset = 3595.0
        async with client(there, path=path, **turned(clock)) as ours:
            assert (await ours.ask()).status == 200  # it has not quite run out yet
            del there.refuses["/token"]
            clock.offset += 61.0
            assert (await ours.ask()).status == 200
        kept = FileStore(path).load(there.url)
        assert kept is not None
        assert kept.access_token == "access-2-secret"


async def test_a_refresh_token_that_another_run_has_used_is_no_loss(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        async with client(there, path=path) as slow:
            assert (await slow.ask()).status == 200
            there.good.clear()
            async with client(there, path=path) as fast:
                assert (await fast.ask()).status == 200
            there.refuses["/token"] = (400, {"error": "invalid_grant"})
            assert (await slow.ask()).status == 200
        assert len(there.all_of("GET /authorize")) == 1


async def test_a_token_that_was_just_refreshed_and_refused_is_not_refreshed_again(
    path: Path,
) -> None:
    clock = Clock()
    async with world() as there:
        await allow(there, path)
        there.rejects_all = True
        async with client(there, path=path, **turned(clock)) as ours:
            await ours.ask()
        refreshes = [a for a in there.all_of("POST /token") if "refresh_token" in a.form]
        assert len(refreshes) == 1


async def test_the_port_that_is_registered_is_used_again(path: Path) -> None:
    async with world(token={"refresh_token": None}) as there:
        await allow(there, path)
        there.good.clear()
        async with client(there, Person(), path=path) as ours:
            assert (await ours.ask()).status == 200
        first, second = there.all_of("GET /authorize")
        assert first.query["redirect_uri"] == second.query["redirect_uri"]
        assert len(there.all_of("POST /register")) == 1


async def test_a_port_that_is_taken_now_means_to_register_again(path: Path) -> None:
    async with world(token={"refresh_token": None}) as there:
        grant = await allow(there, path)
        assert grant.client is not None
        port = int(grant.client["redirect_uris"][0].split(":")[2].split("/")[0])
        taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", port)
        there.good.clear()
        async with taken, client(there, Person(), path=path) as ours:
            assert (await ours.ask()).status == 200
        assert len(there.all_of("POST /register")) == 2


async def test_a_client_that_is_known_no_more_registers_again(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        there.good.clear()
        there.refuses["/token"] = (401, {"error": "invalid_client"})
        async with client(there, Person(), path=path) as ours:
            await ours.ask()
            assert len(there.all_of("POST /register")) == 2


async def test_a_client_whose_page_never_came_back_registers_again_next_time(path: Path) -> None:
    async with world(token={"refresh_token": None}) as there:
        await allow(there, path)
        there.good.clear()
        async with client(there, Person(away=True), path=path, timeout=0.05) as ours:
            await ours.ask()
        kept = FileStore(path).load(there.url)
        assert kept is not None
        assert kept.client is None


async def test_tokens_of_another_issuer_are_not_used(path: Path) -> None:
    """The server has moved to another authorization server: nothing of the old one goes there."""
    async with world() as old, world() as new:
        grant = await allow(old, path)
        moved = msgspec.structs.replace(grant, resource=new.url)
        FileStore(path).save(moved)
        async with client(new, Person(), path=path) as ours:
            assert (await ours.ask()).status == 200
        secrets = ("access-1-secret", "refresh-1-secret")
        to_new = [asked.form for asked in new.asked if asked.what == "POST /token"]
        assert [form["grant_type"] for form in to_new] == ["authorization_code"]
        assert not any(secret in repr(to_new) for secret in secrets)
        assert len(new.all_of("POST /register")) == 1


async def test_a_step_up_in_a_later_run_asks_for_all_that_was_asked_for_before(path: Path) -> None:
    async with world(scope="profile read", token={"scope": "read"}) as there:
        await allow(there, path)
        there.needs = frozenset({"write"})
        async with client(there, Person(), path=path) as ours:
            await ours.ask()
        scope = there.all_of("GET /authorize")[1].query["scope"]
        assert set(scope.split()) == {"profile", "read", "write"}


async def test_a_grant_of_another_client_is_not_used(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        async with client(there, path=path, client_id="by-hand") as ours:
            assert "no terminal" in (await ours.ask()).note


async def test_a_grant_of_another_issuer_than_the_one_set_is_not_used(path: Path) -> None:
    async with world() as there:
        await allow(there, path)
        async with client(there, path=path, issuer="https://auth.example") as ours:
            assert "no terminal" in (await ours.ask()).note


async def test_a_client_of_the_user_refreshes_with_its_own_secret(path: Path) -> None:
    by_hand = {"client_id": "by-hand", "client_secret": "hush-hush"}
    async with world() as there:
        async with client(there, Person(), path=path, **by_hand) as ours:
            await ours.ask()
        assert "hush-hush" not in path.read_text()
        there.good.clear()
        async with client(there, path=path, **by_hand) as ours:
            assert (await ours.ask()).status == 200
        assert there.all_of("POST /token")[-1].headers["Authorization"].startswith("Basic ")


async def test_a_client_of_the_user_stays_with_the_issuer_it_was_first_used_at(path: Path) -> None:
    async with world() as there, world() as other:
        async with client(there, Person(), path=path, client_id="by-hand") as ours:
            await ours.ask()
        there.good.clear()
        there.refuses["/token"] = (400, {"error": "invalid_grant"})
        there.protected = {"authorization_servers": [other.issuer]}
        async with client(there, Person(), path=path, client_id="by-hand") as ours:
            assert "they are not sent" in (await ours.ask()).note
        assert other.asked == []


async def test_a_file_that_others_may_read_is_told_and_left_alone(path: Path) -> None:
    person = Person()
    async with world() as there:
        await allow(there, path)
        path.chmod(0o644)
        before = path.read_bytes()
        async with client(there, person, path=path) as ours:
            assert (await ours.ask()).status == 200
        assert person.lines[0].startswith("! tickets: tokens are not kept in ")
        assert "chmod 600" in person.lines[0]
        assert path.read_bytes() == before


async def test_a_place_that_cannot_be_written_does_not_stop_the_run(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    person = Person()
    async with world() as there, client(there, person, path=blocked / "oauth.json") as ours:
        assert (await ours.ask()).status == 200
    assert any("tokens are not kept" in line for line in person.lines)


async def test_a_refusal_in_a_task_that_did_not_ask_for_credentials_is_met(path: Path) -> None:
    async with world() as there, client(there, Person(), path=path) as ours:
        headers = {"WWW-Authenticate": "Bearer"}
        authorizer = ours.target.authorizer
        asked = asyncio.create_task(authorizer.refused("POST", there.url, 401, headers, b""))
        assert await asked
        assert (await ours.ask()).status == 200


async def test_a_403_that_is_not_about_scopes_is_none_of_our_business() -> None:
    async with world() as there, client(there, Person()) as ours:
        assert not await _refused(ours, 403, {"WWW-Authenticate": 'Bearer error="other"'})
        assert not await _refused(ours, 403, {})
        assert there.paths() == []


async def _refused(ours: Client, status: int, headers: dict[str, str]) -> bool:
    return await ours.target.authorizer.refused("POST", ours.target.url, status, headers, b"")
