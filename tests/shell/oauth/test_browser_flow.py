"""A person allows access in a browser: from the first 401 to the answer."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.oauth_world import Person, client, world


async def test_a_person_allows_access_and_the_request_goes_through() -> None:
    person = Person()
    async with world() as there, client(there, person) as ours:
        assert (await ours.ask()).status == 200
        assert there.paths() == [
            "GET /.well-known/prm",
            "GET /.well-known/oauth-authorization-server",
            "POST /register",
            "GET /authorize",
            "POST /token",
        ]
        asked, register = there.one("GET /authorize").query, there.one("POST /register").form
        token = there.one("POST /token").form
        assert asked["resource"] == token["resource"] == there.url
        assert asked["code_challenge_method"] == "S256"
        assert asked["redirect_uri"].startswith("http://127.0.0.1:")
        assert register["application_type"] == "native"
        assert register["token_endpoint_auth_method"] == "none"
        assert "refresh_token" in register["grant_types"]
    assert person.lines[0] == (
        "= tickets wants you to allow access, at 127.0.0.1; open this in a browser:"
    )
    assert "go back to the terminal" in person.pages[0]


async def test_the_next_request_takes_the_token_that_is_there() -> None:
    async with world() as there, client(there, Person()) as ours:
        for _ in range(3):
            assert (await ours.ask()).status == 200
        assert len(there.all_of("GET /authorize")) == 1
        assert there.answers == 3


async def test_requests_that_are_refused_together_ask_one_person_once() -> None:
    async with world() as there, client(there, Person()) as ours:
        said = await asyncio.gather(*(ours.ask() for _ in range(5)))
        assert [one.status for one in said] == [200] * 5
        assert len(there.all_of("GET /authorize")) == 1


async def test_requests_that_wait_for_the_same_failure_are_told_it_and_ask_nobody() -> None:
    async with world(callback={"code": None, "error": "access_denied"}) as there:
        async with client(there, Person()) as ours:
            said = await asyncio.gather(*(ours.ask() for _ in range(3)))
        assert {one.note for one in said} == {"access was not allowed"}
        assert len(there.all_of("GET /authorize")) == 1


async def test_requests_that_wait_for_a_person_who_is_away_ask_once() -> None:
    person = Person(away=True)
    async with world() as there, client(there, person, timeout=0.05) as ours:
        refused = ours.target.authorizer.refused
        said = await asyncio.gather(
            *(refused("POST", there.url, 401, {}, b"") for _ in range(3)), return_exceptions=True
        )
    assert all("no answer came" in str(one) for one in said)
    assert len([line for line in person.lines if line.startswith("=")]) == 1


async def test_who_does_not_allow_access_is_not_asked_again() -> None:
    async with world(callback={"code": None, "error": "access_denied"}) as there:
        async with client(there, Person()) as ours:
            assert (await ours.ask()).note == "access was not allowed"
            assert (await ours.ask()).note == "access was not allowed"
        assert len(there.all_of("GET /authorize")) == 1


async def test_without_a_terminal_it_says_what_to_do_and_asks_nobody() -> None:
    async with world() as there, client(there) as ours:
        said = await ours.ask()
        assert said.status == 401
        assert "there is no terminal to ask at" in said.note
        assert "MCP_API_KEY" in said.note
        assert there.paths() == []


async def test_a_browser_that_was_named_is_opened_without_a_terminal(tmp_path: Path) -> None:
    script = tmp_path / "open it.py"
    script.write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    command = f"'{sys.executable}' '{script}' %s"
    async with (
        world() as there,
        client(there, browser=command, no_browser=False, terminal=False) as ours,
    ):
        assert (await ours.ask()).status == 200


async def test_a_browser_that_does_not_start_is_told() -> None:
    person = Person()
    async with (
        world() as there,
        client(there, person, browser="/no/such/browser", no_browser=False) as ours,
    ):
        assert (await ours.ask()).status == 200
    assert "! no browser could be opened: open the address yourself" in person.lines


async def test_a_person_who_is_away_holds_nothing_up_for_longer_than_allowed() -> None:
    async with world() as there, client(there, Person(away=True), timeout=0.1) as ours:
        said = await ours.ask()
        assert said.note == "no answer came from the browser within 0.1 s (--oauth-timeout)"


async def test_one_who_was_away_is_asked_again_a_few_times_and_then_no_more() -> None:
    person = Person(away=True)
    async with world() as there, client(there, person, timeout=0.05) as ours:
        notes = [(await ours.ask()).note for _ in range(4)]
    assert len([line for line in person.lines if line.startswith("=")]) == 3
    assert "not tried again for now" in notes[-1]


async def test_a_token_that_is_refused_at_once_is_not_fetched_for_ever() -> None:
    async with world(rejects_all=True) as there, client(there, Person()) as ours:
        assert (await ours.ask()).status == 401
        assert "refuses all the same" in (await ours.ask()).note
        assert len(there.all_of("GET /authorize")) == 3


async def test_a_step_up_asks_for_what_was_granted_and_what_is_missing() -> None:
    async with world(scope="read", needs=frozenset({"write"})) as there:
        async with client(there, Person()) as ours:
            assert (await ours.ask()).status == 200
        first, second = there.all_of("GET /authorize")
        assert first.query["scope"] == "read"
        assert set(second.query["scope"].split()) == {"read", "write"}


async def test_a_step_up_that_helps_nothing_ends_after_a_few_times() -> None:
    async with world(needs=frozenset({"all"}), callback={}) as there:
        there.token = {"scope": "none"}
        async with client(there, Person()) as ours:
            there.good = _Forgetful()
            said = await ours.ask()
        assert said.status == 403
        assert len(there.all_of("GET /authorize")) <= 3


class _Forgetful(dict[str, str]):
    """Tokens are taken, but hold no scope, whatever was asked for."""

    def __setitem__(self, token: str, _: str) -> None:
        super().__setitem__(token, "")


async def test_the_scope_that_the_user_sets_takes_the_place_of_the_servers() -> None:
    async with world(scope="all of it", metadata={"scopes_supported": ["a", "b"]}) as there:
        async with client(there, Person(), scope="little") as ours:
            await ours.ask()
        assert there.one("GET /authorize").query["scope"] == "little"


async def test_where_nobody_names_scopes_none_is_asked_for() -> None:
    async with world(metadata={"scopes_supported": ["a", "admin"]}) as there:
        async with client(there, Person()) as ours:
            assert (await ours.ask()).status == 200
        assert "scope" not in there.one("GET /authorize").query


@pytest.mark.parametrize("methods", [None, ["plain"], []])
async def test_a_server_that_does_not_say_it_does_pkce_is_not_asked(methods: object) -> None:
    async with world(metadata={"code_challenge_methods_supported": methods}) as there:
        async with client(there, Person()) as ours:
            note = (await ours.ask()).note
        assert "code_challenge_methods_supported" in note
        assert "POST /register" not in there.paths()


async def test_a_server_of_2025_03_26_without_any_metadata_is_authorized_at_its_origin() -> None:
    async with world(protected=None, callback={"iss": None}) as there:
        there.refuses["/.well-known/oauth-authorization-server"] = (404, {})
        async with client(there, Person()) as ours:
            assert (await ours.ask()).status == 200
        assert there.paths()[-3:] == ["POST /register", "GET /authorize", "POST /token"]


async def test_a_server_that_wants_a_key_and_knows_no_oauth_is_told_from_one_that_does() -> None:
    async with world(protected=None) as there:
        for path in ("/.well-known/oauth-authorization-server", "/register"):
            there.refuses[path] = (404, {})
        async with client(there, Person()) as ours:
            note = (await ours.ask()).note
        assert note == (
            "it wants credentials and does not say how to get them; set MCP_API_KEY or --header"
        )


async def test_a_named_authorization_server_without_metadata_is_not_the_mcp_server() -> None:
    async with world() as there:
        there.refuses["/.well-known/oauth-authorization-server"] = (404, {})
        async with client(there, Person()) as ours:
            note = (await ours.ask()).note
        assert note == f"found no metadata of the authorization server {there.issuer!r}"
        assert "POST /register" not in there.paths()


async def test_a_server_that_is_down_is_asked_again_another_time() -> None:
    async with world() as there, client(there, Person()) as ours:
        there.refuses["/.well-known/oauth-authorization-server"] = (503, {})
        assert "HTTP 503" in (await ours.ask()).note
        del there.refuses["/.well-known/oauth-authorization-server"]
        assert (await ours.ask()).status == 200


async def test_metadata_of_another_issuer_is_not_used() -> None:
    async with world(metadata={"issuer": "https://evil.example"}) as there:
        async with client(there, Person()) as ours:
            note = (await ours.ask()).note
        assert "issuer mismatch" in note
        assert "POST /register" not in there.paths()


async def test_a_resource_that_is_not_this_server_is_not_authorized() -> None:
    async with world(protected={"resource": "https://evil.example/mcp"}) as there:
        async with client(there, Person()) as ours:
            assert "does not match" in (await ours.ask()).note
        assert "GET /.well-known/oauth-authorization-server" not in there.paths()


@pytest.mark.parametrize(
    ("callback", "advertised", "words"),
    [
        ({"iss": "https://evil.example"}, None, "'https://evil.example'"),
        ({"iss": None}, True, "'nobody'"),
        ({"iss": "https://evil.example", "code": None, "error": "<bait>"}, None, "evil"),
    ],
)
async def test_an_answer_of_another_issuer_is_neither_used_nor_shown(
    callback: dict[str, str | None], advertised: bool | None, words: str
) -> None:
    metadata = {"authorization_response_iss_parameter_supported": advertised}
    async with world(callback=callback, metadata=metadata) as there:
        async with client(there, Person()) as ours:
            note = (await ours.ask()).note
        assert words in note
        assert "bait" not in note
        assert "POST /token" not in there.paths()


async def test_an_answer_without_a_code_says_the_error_that_it_has() -> None:
    async with (
        world(callback={"code": None, "error": "server\x1b[31m_error"}) as there,
        client(there, Person()) as ours,
    ):
        note = (await ours.ask()).note
    assert note == r"the authorization server sent no code: 'server\\x1b[31m_error'"


@pytest.mark.parametrize("address", ["javascript:alert(1)", "file:///etc/passwd"])
async def test_an_address_that_is_no_web_address_is_neither_shown_nor_opened(address: str) -> None:
    person = Person()
    async with (
        world(metadata={"authorization_endpoint": address}) as there,
        client(there, person) as ours,
    ):
        assert (await ours.ask()).status == 401
    assert person.lines == []


async def test_a_plain_http_address_of_another_machine_is_not_opened() -> None:
    person = Person(away=True)
    endpoint = "http://auth.example/authorize"
    async with (
        world(metadata={"authorization_endpoint": endpoint}) as there,
        client(there, person) as ours,
    ):
        note = (await ours.ask()).note
    assert "expected an https:// address" in note
    assert person.lines == []


async def test_a_name_in_odd_letters_is_pointed_out() -> None:
    person = Person(away=True)
    endpoint = "https://xn--pple-43d.example/authorize"
    async with (
        world(metadata={"authorization_endpoint": endpoint}) as there,
        client(there, person, timeout=0.05) as ours,
    ):
        await ours.ask()
    assert "letters that may look like others" in person.lines[0]


async def test_a_client_that_was_registered_by_hand_does_not_register() -> None:
    async with world() as there:
        async with client(there, Person(), client_id="by-hand", client_secret="hush-hush") as ours:
            assert (await ours.ask()).status == 200
        assert "POST /register" not in there.paths()
        assert there.one("GET /authorize").query["client_id"] == "by-hand"
        assert there.one("POST /token").headers["Authorization"].startswith("Basic ")


async def test_a_secret_goes_in_the_form_where_the_server_takes_it_only_there() -> None:
    metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    async with world(metadata=metadata) as there:
        async with client(there, Person(), client_id="by-hand", client_secret="hush-hush") as ours:
            assert (await ours.ask()).status == 200
        assert there.one("POST /token").form["client_secret"] == "hush-hush"


async def test_credentials_of_one_issuer_are_not_sent_to_another() -> None:
    async with world() as there:
        async with client(there, Person(), client_id="x", issuer="https://auth.example") as ours:
            note = (await ours.ask()).note
        assert "they are not sent" in note
        assert there.paths() == ["GET /.well-known/prm"]


async def test_a_metadata_document_is_the_client_id_where_the_server_takes_that() -> None:
    document = "https://client.example/rxmcp.json"
    async with world(metadata={"client_id_metadata_document_supported": True}) as there:
        async with client(there, Person(), client_metadata_url=document) as ours:
            assert (await ours.ask()).status == 200
        assert there.one("GET /authorize").query["client_id"] == document
        assert "POST /register" not in there.paths()


async def test_a_secret_that_comes_with_a_registration_goes_as_basic_if_nothing_is_said() -> None:
    registration = {"client_secret": "minted-secret", "token_endpoint_auth_method": None}
    async with world(registration=registration) as there, client(there, Person()) as ours:
        assert (await ours.ask()).status == 200
        assert there.one("POST /token").headers["Authorization"].startswith("Basic ")


async def test_a_refused_registration_says_who_refused_and_what_to_do() -> None:
    async with world() as there:
        there.refuses["/register"] = (403, {"error": "access_denied", "error_description": "No."})
        async with client(there, Person()) as ours:
            note = (await ours.ask()).note
        place = there.issuer.removeprefix("http://")
        assert note == (
            f"{place} does not register this client: HTTP 403, access_denied: 'No.';"
            " register it there by hand, and set --oauth-client-id"
        )


async def test_a_refused_code_says_so_without_the_code() -> None:
    async with world() as there, client(there, Person()) as ours:
        said = {"error": "invalid_grant", "error_description": "bad code-0-secret"}
        there.refuses["/token"] = (400, said)
        note = (await ours.ask()).note
    assert "gives no token: HTTP 400, invalid_grant: 'bad «redacted»'" in note


@pytest.mark.parametrize(
    "token", [{"access_token": None}, {"access_token": ["x"]}, {"expires_in": "soon"}]
)
async def test_a_token_answer_that_is_none_is_told_without_its_words(
    token: dict[str, object],
) -> None:
    async with world(token=token) as there, client(there, Person()) as ours:
        note = (await ours.ask()).note
    assert note == "the authorization server's answer holds no token"


@pytest.mark.parametrize("body", [b"\xff\xfe", b"<html>", b"[1]", b"[" * 100_000, b""])
async def test_an_answer_that_is_no_json_is_a_refusal_like_any_other(body: bytes) -> None:
    async with world() as there, client(there, Person()) as ours:
        there.refuses["/token"] = (400, body)
        note = (await ours.ask()).note
    assert note.endswith("gives no token: HTTP 400")


@pytest.mark.parametrize("body", [b"\xff\xfe", b"<html>", b"[1]", b"[" * 100_000, b""])
async def test_metadata_that_is_no_json_is_none(body: bytes) -> None:
    async with world() as there, client(there, Person()) as ours:
        there.refuses["/.well-known/oauth-authorization-server"] = (200, body)
        assert "found no metadata of" in (await ours.ask()).note


async def test_a_flow_that_ends_without_having_asked_for_a_token_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The package may change; then this says so in words, and is no crash."""
    from mcp.client.auth import OAuthClientProvider

    async def short(self: OAuthClientProvider, request: Any) -> Any:
        yield request

    monkeypatch.setattr(OAuthClientProvider, "_auth_flow", short)
    async with world() as there, client(there, Person()) as ours:
        assert (await ours.ask()).note == "the authorization server's answers do not fit OAuth"


async def test_a_key_in_the_address_of_the_server_goes_to_nobody_else() -> None:
    async with world(protected=None, metadata={"issuer": None}, callback={"iss": None}) as there:
        url = f"{there.url}?key=query-secret"
        async with client(there, Person(), url=url) as ours:
            assert (await ours.ask()).status == 200
        elsewhere = [asked for asked in there.asked if not asked.what.endswith(" /mcp")]
        assert "query-secret" not in repr(elsewhere)


async def test_a_cancelled_request_closes_the_listener_and_the_next_one_asks_anew() -> None:
    person = Person(away=True)
    async with world() as there, client(there, person) as ours:
        first = asyncio.create_task(ours.ask())
        async with asyncio.timeout(10):
            await person.told.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        person.away = False
        assert (await ours.ask()).status == 200
