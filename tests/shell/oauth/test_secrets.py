"""No token, code, verifier, secret or assertion turns up where somebody reads."""

import logging
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from config.logs import start_logging
from tests.support.oauth_world import Person, World, client, world

SECRETS = ("client-canary", "jwt-canary", "id-canary", "idp-canary")


def told(there: World) -> list[str]:
    """All that was secret on the wire, and must not be seen."""
    fields = (
        "code",
        "code_verifier",
        "refresh_token",
        "client_secret",
        "assertion",
        "subject_token",
    )
    found = [asked.form.get(name) for asked in there.asked for name in fields]
    headers = [asked.headers.get("Authorization", "").partition(" ")[2] for asked in there.asked]
    proofs = [asked.headers.get("DPoP") for asked in there.asked]
    tokens = [*there.good, "access-1-secret", "refresh-1-secret", *SECRETS]
    return [value for value in (*found, *headers, *proofs, *tokens) if value]


async def echo(there: World, person: Person, **options: Any) -> list[str]:
    """Go through a flow whose servers quote every secret in their errors; what was said then."""
    notes: list[str] = []
    async with client(there, person, **options) as ours:
        notes.append((await ours.ask()).note)
        there.good.clear()
        there.quotes = True
        notes.append((await ours.ask()).note)
        notes.append(repr(vars(ours.target.authorizer)))
        notes.append(repr(ours.target))
    return notes


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"client_id": "by-hand", "client_secret": "client-canary"},
        {"flow": "client-credentials", "client_id": "m", "client_secret": "client-canary"},
        {"workload_jwt": "jwt-canary"},
    ],
    ids=["registered", "by hand", "client credentials", "workload"],
)
@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
async def test_no_secret_is_in_errors_logs_and_texts(
    options: dict[str, Any], scheme: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    start_logging("DEBUG")
    person = Person()
    try:
        async with world(scheme=scheme) as there:
            notes = await echo(there, person, path=tmp_path / "oauth.json", **options)
            # But for the address to open, which has `state` and the challenge in it.
            seen = [line for line in person.lines if not line.startswith("  http")]
            logs = capfd.readouterr()
            everything = "\n".join((*notes, *seen, *person.pages, logs.out, logs.err))
            leaked = [secret for secret in told(there) if secret in everything]
            assert leaked == []
            assert len(told(there)) > 5
    finally:
        logger.remove()
        logging.basicConfig(handlers=[], force=True)


async def test_what_the_package_mcp_would_log_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        world(token={"access_token": None, "leak": "access-canary"}) as there,
        client(there, Person()) as ours,
    ):
        await ours.ask()
    assert [record for record in caplog.records if record.name.startswith("mcp")] == []
