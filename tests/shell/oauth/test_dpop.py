"""Tokens that only the holder of a key can use (RFC 9449)."""

import base64
import hashlib
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.shell.oauth.dpop import DpopKey
from pipeline.shell.oauth.storage import FileStore
from tests.support.oauth_world import Person, client, world


def read(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a proof, its signature checked with the key that it brings."""
    header = jwt.get_unverified_header(proof)
    key = jwt.PyJWK(header["jwk"], "ES256")
    return header, jwt.decode(proof, key, ["ES256"])


def test_a_proof_is_for_one_request_and_one_token() -> None:
    key, before = DpopKey(), int(time.time())
    header, claims = read(key.proof("POST", "https://a.example/mcp?q=1#f", nonce="n", token="t"))
    assert header["typ"] == "dpop+jwt"
    assert header["alg"] == "ES256"
    assert "d" not in header["jwk"]
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"t").digest()).decode().rstrip("=")
    assert {k: claims[k] for k in ("htm", "htu", "nonce", "ath")} == {
        "htm": "POST",
        "htu": "https://a.example/mcp",
        "nonce": "n",
        "ath": digest,
    }
    assert before <= claims["iat"] <= time.time()


def test_each_proof_is_fresh_and_says_no_more_than_it_must() -> None:
    key = DpopKey()
    first, second = (read(key.proof("GET", "https://a.example"))[1] for _ in range(2))
    assert first["jti"] != second["jti"]
    assert set(first) == {"jti", "htm", "htu", "iat"}


def test_a_key_comes_back_from_its_pem_and_shows_nothing() -> None:
    key = DpopKey()
    again = DpopKey(key.pem)
    assert again.pem == key.pem
    assert repr(key) == "DpopKey()"


def test_a_key_of_another_kind_is_refused() -> None:
    other = rsa.generate_private_key(65537, 2048)
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    with pytest.raises(TypeError, match="ES256"):
        DpopKey(pem)


async def test_a_server_that_asks_with_dpop_gets_it() -> None:
    async with world(scheme="DPoP") as there, client(there, Person()) as ours:
        for _ in range(2):
            assert (await ours.ask()).status == 200
        tokens, posts = there.all_of("POST /token"), there.all_of("POST /mcp")
        _, at_token = read(tokens[0].headers["DPoP"])
        assert at_token["htu"] == f"{there.issuer}/token"
        sent = [post for post in posts if "DPoP" in post.headers]
        assert [post.headers["Authorization"] for post in sent] == ["DPoP access-1-secret"] * 2
        assert len({read(post.headers["DPoP"])[1]["jti"] for post in sent}) == 2


async def test_nonces_of_both_servers_are_taken_up() -> None:
    async with world(scheme="DPoP", nonces=True) as there, client(there, Person()) as ours:
        for _ in range(2):
            assert (await ours.ask()).status == 200
        assert len(there.all_of("POST /token")) == 2
        assert len(there.all_of("POST /mcp")) == 4  # without a token, without a nonce, and twice


async def test_a_token_endpoint_that_never_likes_a_nonce_is_asked_twice() -> None:
    async with world(scheme="DPoP") as there, client(there, Person()) as ours:
        there.refuses["/token"] = (400, {"error": "use_dpop_nonce"})
        assert "use_dpop_nonce" in (await ours.ask()).note
        assert len(there.all_of("POST /token")) == 1


@pytest.mark.parametrize(
    ("options", "protected", "algorithms", "is_bound"),
    [
        ({}, {}, ["ES256"], False),
        ({}, {"dpop_bound_access_tokens_required": True}, [], True),
        ({"dpop": "always"}, {}, [], True),
        ({"dpop": "never"}, {"dpop_bound_access_tokens_required": True}, [], False),
    ],
)
async def test_tokens_are_bound_if_the_server_wants_it_or_the_user(
    options: dict[str, Any], protected: dict[str, Any], algorithms: list[str], is_bound: bool
) -> None:
    metadata = {"dpop_signing_alg_values_supported": algorithms}
    token = {"token_type": "DPoP"} if is_bound else {}
    async with world(protected=protected, metadata=metadata, token=token) as there:
        async with client(there, Person(), **options) as ours:
            await ours.ask()
        assert ("DPoP" in there.all_of("POST /token")[0].headers) is is_bound
        scheme = there.all_of("POST /mcp")[1].headers["Authorization"].split(" ")[0]
        assert scheme == ("DPoP" if is_bound else "Bearer")


async def test_a_server_that_ignores_the_proof_gives_a_token_for_bearers() -> None:
    protected = {"dpop_bound_access_tokens_required": True}
    async with world(protected=protected) as there, client(there, Person()) as ours:
        assert (await ours.ask()).status == 200
        assert there.all_of("POST /mcp")[-1].headers["Authorization"].startswith("Bearer ")


async def test_who_wants_bound_tokens_always_takes_no_other() -> None:
    async with world() as there, client(there, Person(), dpop="always") as ours:
        note = (await ours.ask()).note
    assert "gave a token that anybody could use" in note


async def test_the_key_stays_with_the_tokens_and_proves_the_refresh(tmp_path: Path) -> None:
    path = tmp_path / "oauth.json"
    async with world(scheme="DPoP") as there:
        async with client(there, Person(), path=path) as ours:
            await ours.ask()
        there.good.clear()
        async with client(there, path=path) as ours:
            assert (await ours.ask()).status == 200
        first, second = (read(asked.headers["DPoP"])[0] for asked in there.all_of("POST /token"))
        assert first["jwk"] == second["jwk"]
        kept = FileStore(path).load(there.url)
        assert kept is not None
        assert kept.dpop_key


async def test_a_bound_grant_stays_bound_when_more_is_asked_for() -> None:
    async with world(scheme="DPoP", needs=frozenset({"write"})) as there:
        async with client(there, Person()) as ours:
            assert (await ours.ask()).status == 200
        assert len(there.all_of("GET /authorize")) == 2
        assert all("DPoP" in asked.headers for asked in there.all_of("POST /token"))
