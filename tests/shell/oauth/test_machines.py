"""Machines that authorize themselves: a secret, a key, a platform, an enterprise."""

from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from tests.support.oauth_world import Person, Said, World, client, world

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
MACHINE: dict[str, Any] = {"flow": "client-credentials", "client_id": "machine"}


async def ask(there: World, person: Person | None = None, **options: Any) -> Said:
    async with client(there, person, **options) as ours:
        return await ours.ask()


def pem(key: Any, passphrase: bytes | None = None) -> bytes:
    secret = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secret)


async def test_a_client_secret_goes_as_basic_and_nobody_is_asked() -> None:
    async with world(scope="read") as there:
        assert (await ask(there, client_secret="hush-hush", **MACHINE)).status == 200
        token = there.one("POST /token")
        assert token.form["grant_type"] == "client_credentials"
        assert token.form["resource"] == there.url
        assert token.form["scope"] == "read"
        assert token.headers["Authorization"].startswith("Basic ")
        assert "POST /register" not in there.paths()


async def test_a_client_secret_goes_in_the_form_where_the_server_wants_that() -> None:
    methods = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    async with world(metadata=methods) as there:
        assert (await ask(there, client_secret="hush-hush", **MACHINE)).status == 200
        assert there.one("POST /token").form["client_secret"] == "hush-hush"


async def test_a_machine_needs_no_pkce_of_the_server() -> None:
    async with world(metadata={"code_challenge_methods_supported": None}) as there:
        assert (await ask(there, client_secret="hush-hush", **MACHINE)).status == 200


async def test_who_gets_the_secret_is_said_to_be_the_servers_choice_unless_it_is_set() -> None:
    person = Person()
    async with world() as there:
        await ask(there, person, client_secret="hush-hush", **MACHINE)
        assert "no --oauth-issuer is set" in person.lines[0]
        person.lines.clear()
        said = await ask(there, person, client_secret="hush-hush", issuer=there.issuer, **MACHINE)
        assert said.status == 200
        assert person.lines == []


async def test_a_secret_is_not_sent_to_another_issuer_than_the_one_set() -> None:
    async with world() as there:
        issuer = "https://auth.example"
        said = await ask(there, client_secret="hush-hush", issuer=issuer, **MACHINE)
        assert "they are not sent" in said.note
        assert "POST /token" not in there.paths()


async def test_a_token_that_has_run_out_is_asked_for_again_and_not_refreshed() -> None:
    async with world() as there:
        async with client(there, client_secret="hush-hush", **MACHINE) as ours:
            await ours.ask()
            there.good.clear()
            assert (await ours.ask()).status == 200
        kinds = [asked.form["grant_type"] for asked in there.all_of("POST /token")]
        assert kinds == ["client_credentials"] * 2


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ES256"),
        (ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (rsa.generate_private_key(65537, 2048), "RS256"),
        (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
    ],
    ids=["ES256", "ES384", "RS256", "EdDSA"],
)
async def test_a_private_key_signs_who_we_are(tmp_path: Path, key: Any, algorithm: str) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(pem(key))
    async with world() as there:
        said = await ask(there, client_id="machine", private_key_file=str(path))
        assert said.status == 200
        form = there.one("POST /token").form
        claims = jwt.decode(
            form["client_assertion"], key.public_key(), [algorithm], audience=there.issuer
        )
        assert claims["iss"] == claims["sub"] == "machine"


@pytest.mark.parametrize(
    ("content", "alg", "words"),
    [
        (None, "", "cannot be read: No such file or directory"),
        (b"no key", "", "found no private key in"),
        (pem(ed25519.Ed25519PrivateKey.generate(), b"secret"), "", "without a passphrase"),
        (pem(x25519.X25519PrivateKey.generate()), "", "does not sign with any algorithm we have"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "RS256", "does not sign with RS256"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "XX", "does not sign with XX"),
    ],
)
async def test_a_key_that_cannot_be_used_is_told(
    tmp_path: Path, content: bytes | None, alg: str, words: str
) -> None:
    path = tmp_path / "key.pem"
    if content is not None:
        path.write_bytes(content)
    async with world() as there:
        said = await ask(there, client_id="m", private_key_file=str(path), private_key_alg=alg)
        assert words in said.note
        assert there.paths() == []


async def test_a_workload_shows_the_jwt_of_its_platform() -> None:
    async with world() as there:
        assert (await ask(there, workload_jwt="its.own.jwt", client_id="w")).status == 200
        form = there.one("POST /token").form
        assert form["grant_type"] == JWT_BEARER
        assert form["assertion"] == "its.own.jwt"
        assert form["client_id"] == "w"
        assert form["resource"] == there.url


async def test_a_workload_without_an_id_sends_none() -> None:
    async with world() as there:
        assert (await ask(there, workload_jwt="its.own.jwt")).status == 200
        assert "client_id" not in there.one("POST /token").form


async def test_a_workloads_file_is_read_each_time(tmp_path: Path) -> None:
    path = tmp_path / "jwt"
    path.write_text("first.jwt\n")
    async with world(scope="read") as there:
        async with client(there, workload_jwt_file=str(path)) as ours:
            await ours.ask()
            there.good.clear()
            path.write_text("second.jwt\n")
            assert (await ours.ask()).status == 200
        sent = [asked.form["assertion"] for asked in there.all_of("POST /token")]
        assert sent == ["first.jwt", "second.jwt"]
        assert there.all_of("POST /token")[0].form["scope"] == "read"


@pytest.mark.parametrize(
    ("content", "words"), [(None, "cannot be read: No such file"), (b"\xff", "is no JWT")]
)
async def test_a_workloads_file_that_is_none_is_told(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "jwt"
    if content is not None:
        path.write_bytes(content)
    async with world() as there:
        assert words in (await ask(there, workload_jwt_file=str(path))).note


async def test_a_refused_assertion_is_neither_repeated_nor_replaced_by_another_grant() -> None:
    async with world() as there:
        there.refuses["/token"] = (400, {"error": "invalid_grant"})
        async with client(there, workload_jwt="its.own.jwt", client_id="w") as ours:
            assert "invalid_grant" in (await ours.ask()).note
            assert "invalid_grant" in (await ours.ask()).note
        assert len(there.all_of("POST /token")) == 1


def enterprise(there: World, **more: Any) -> dict[str, Any]:
    return {
        "client_id": "ours",
        "client_secret": "hush-hush",
        "idp_id_token": "id.token.jwt",
        "idp_client_id": "ours-there",
        "idp_token_endpoint": f"{there.issuer}/token",
        **more,
    }


IDP_ANSWER = {"access_token": "id.jag.jwt", "issued_token_type": ID_JAG, "token_type": "N_A"}


async def test_an_enterprise_trades_the_id_token_for_a_grant_and_that_for_a_token() -> None:
    async with world() as there, world(token=IDP_ANSWER) as idp:
        said = await ask(there, scope="read", **enterprise(idp, idp_client_secret="idp-secret"))
        assert said.status == 200
        exchange = idp.one("POST /token").form
        assert exchange == {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "requested_token_type": ID_JAG,
            "audience": there.issuer,
            "resource": there.url,
            "subject_token": "id.token.jwt",
            "subject_token_type": "urn:ietf:params:oauth:token-type:id_token",
            "scope": "read",
            "client_id": "ours-there",
            "client_secret": "idp-secret",
        }
        token = there.one("POST /token")
        assert token.form["grant_type"] == JWT_BEARER
        assert token.form["assertion"] == "id.jag.jwt"
        assert token.headers["Authorization"].startswith("Basic ")


async def test_the_token_endpoint_of_an_enterprise_is_found_from_its_issuer() -> None:
    async with world() as there, world(token=IDP_ANSWER) as idp:
        idp.refuses["/.well-known/openid-configuration"] = (
            200,
            {"issuer": idp.issuer, "token_endpoint": f"{idp.issuer}/token"},
        )
        options = enterprise(idp, idp_token_endpoint="", idp_issuer=idp.issuer)
        assert (await ask(there, **options)).status == 200


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"issuer": "https://evil.example", "token_endpoint": "https://evil.example/t"}, 200),
        ({}, 404),
    ],
)
async def test_metadata_that_is_not_the_enterprises_is_not_used(
    document: dict[str, str], status: int
) -> None:
    async with world() as there, world() as idp:
        idp.refuses["/.well-known/openid-configuration"] = (status, document)
        options = enterprise(idp, idp_token_endpoint="", idp_issuer=idp.issuer)
        note = (await ask(there, **options)).note
        assert "found no metadata of the identity provider" in note
        assert "POST /token" not in idp.paths()


async def test_an_enterprise_that_refuses_says_why_without_the_id_token() -> None:
    async with world() as there, world() as idp:
        said = {"error": "invalid_grant", "error_description": "id.token.jwt has expired"}
        idp.refuses["/token"] = (400, said)
        note = (await ask(there, **enterprise(idp))).note
        assert note == (
            "the identity provider refuses (HTTP 400): invalid_grant: '«redacted» has expired'"
        )
        assert "POST /token" not in there.paths()


@pytest.mark.parametrize("answer", [{"issued_token_type": "other"}, {"access_token": None}])
async def test_an_enterprise_that_gives_something_else_is_told(answer: dict[str, Any]) -> None:
    async with world() as there, world(token={**IDP_ANSWER, **answer}) as idp:
        note = (await ask(there, **enterprise(idp))).note
        assert "something else than the grant" in note


async def test_an_enterprise_needs_an_authorization_server_that_says_who_it_is() -> None:
    async with world(protected=None) as there, world(token=IDP_ANSWER) as idp:
        there.refuses["/.well-known/oauth-authorization-server"] = (404, {})
        note = (await ask(there, **enterprise(idp))).note
        assert note == "the server does not say who authorizes for it"
        assert idp.asked == []
