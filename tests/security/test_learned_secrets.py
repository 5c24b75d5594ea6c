"""What a run gets to know on its way is as secret as what it was given: tokens, codes, keys."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.security.canaries import found_in, written_in
from tests.security.leaky import TOOL, LeakyServer, secrets_of
from tests.support.oauth_world import World, world
from tests.support.program import Ended, run
from tests.support.receiver import Receiver

REGISTRATION = {
    "client_secret": "registered/client+secret=1",
    "registration_access_token": "registration-access-canary",
    "token_endpoint_auth_method": "client_secret_post",
}
TOKEN = {"id_token": "id-token-canary-of-openid"}
BY_HAND = ("--oauth-flow", "client-credentials", "--oauth-client-id", "machine")


def variables(folder: Path, script: Path) -> dict[str, str]:
    """A browser that opens what it is given, and a folder for the tokens that no output is in."""
    script.write_text("import sys, urllib.request\nurllib.request.urlopen(sys.argv[1]).read()\n")
    return {
        "BROWSER": f"'{sys.executable}' '{script}' %s",
        "XDG_STATE_HOME": str(folder),
        "NO_PROXY": "*",
        "RXMCP_OAUTH_CLIENT_SECRET": "",
        "RXMCP_WEBHOOK_DRAIN": "5",
    }


async def leak(there: World, *argv: str, cwd: Path, env: Mapping[str, str]) -> Mapping[str, bytes]:
    """A run against the leaky server; all that it wrote, by where."""
    async with Receiver() as receiver:
        ended = await run(
            *("--server", there.url, "--dialect", "http", "--verbose", "--log-level", "DEBUG"),
            *("--sink", "console", "--sink", "jsonl=run.jsonl"),
            *("--sink", f"webhook={receiver.url}", *argv),
            cwd=cwd,
            stdin=f"{TOOL}\n{TOOL} fails=true\nsay it again\n".encode(),
            env=env,
        )
        assert there.answers > 3, ended
        hooks = b"\n".join(posted.body for posted in receiver.posted)
    assert "[redacted:known:" in hooks.decode()
    # The person gets the address to open in full, on standard error and nowhere else.
    shown = [line for line in ended.err.splitlines() if not line.startswith("  http")]
    screen = {"stdout": ended.out.encode(), "stderr": "\n".join(shown).encode()}
    return {**written_in(cwd), **screen, "webhook": hooks, **await pages(cwd)}


async def pages(cwd: Path) -> dict[str, bytes]:
    """The recording as people read it."""
    shown = await run("show", "run.jsonl", "--verbose", cwd=cwd)
    await run("show", "run.jsonl", "--html", "run.html", cwd=cwd)
    return {"show": shown.out.encode(), "html": (cwd / "run.html").read_bytes()}


async def replayed(cwd: Path) -> Ended:
    return await run("replay", "run.jsonl", "--check", cwd=cwd)


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
@pytest.mark.parametrize("argv", [(), BY_HAND], ids=["browser", "client credentials"])
async def test_no_secret_that_oauth_brings_is_in_any_output(
    argv: tuple[str, ...], scheme: str, tmp_path: Path
) -> None:
    cwd, state = tmp_path / "work", tmp_path / "state"
    cwd.mkdir()
    env = variables(state, tmp_path / "browser.py")
    if argv:
        env["RXMCP_OAUTH_CLIENT_SECRET"] = "client-secret-by-hand"
    async with world(scheme=scheme, registration=REGISTRATION, token=TOKEN) as there:
        there.metadata = {"dpop_signing_alg_values_supported": ["ES256"]}
        there.reply = LeakyServer(lambda: (*secrets_of(there), *kept(state))).reply
        outputs = await leak(there, *argv, cwd=cwd, env=env)
        secrets = [secret for secret in secrets_of(there) if len(secret) >= 8]
    keys = key_lines(state)
    assert bool(keys) == (scheme == "DPoP" and not argv)  # what a machine gets is kept nowhere
    assert found_in(outputs, [*secrets, *keys]) == {}
    done = await replayed(cwd)
    assert done.code == 0, done.out + done.err


@pytest.mark.parametrize("scheme", ["Bearer", "DPoP"])
async def test_what_was_kept_from_an_earlier_run_is_known_before_the_first_request(
    scheme: str, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    env = variables(state, tmp_path / "browser.py")
    async with world(scheme=scheme, registration=REGISTRATION, token=TOKEN) as there:
        there.metadata = {"dpop_signing_alg_values_supported": ["ES256"]}
        there.reply = LeakyServer(lambda: (*secrets_of(there), *kept(state))).reply
        for name in ("first", "second"):
            cwd = tmp_path / name
            cwd.mkdir()
            outputs = await leak(there, cwd=cwd, env=env)
            secrets = [each for each in secrets_of(there) if each in "".join(kept(state))]
            keys = key_lines(state)
            assert found_in(outputs, [*secrets, *keys]) == {}
        assert len(secrets) == 3  # two tokens, and the secret that came with the registration
        assert bool(keys) == (scheme == "DPoP")
        assert len(there.all_of("POST /token")) == 1


def kept(state: Path) -> list[str]:
    """The file of tokens, as a server that can read files tells it."""
    return [path.read_text("utf-8") for path in state.rglob("oauth.json")]


def key_lines(state: Path) -> list[str]:
    """The private key of DPoP, line by line."""
    lines = [line for text in kept(state) for line in text.split(r"\n")]
    return [line for line in lines if len(line) > 50 and "{" not in line]
