"""Grants in a file: whole, ours, and closed to others."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from pipeline.shell import private_file
from pipeline.shell.oauth import storage
from pipeline.shell.oauth.grant import Grant
from pipeline.shell.oauth.storage import FileStore, NoStore, StoreError, default_path

ROOT = Path(__file__).resolve().parents[3]
GRANT = Grant(
    issuer="https://auth.example",
    resource="https://a.example/mcp",
    client={"client_id": "c", "client_secret": "client-secret"},
    tokens={"access_token": "access-secret", "refresh_token": "refresh-secret"},
    expires_at=1000.0,
    dpop_key="pem-secret",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "rxmcp" / "oauth.json"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_grant_comes_back_as_it_was(path: Path) -> None:
    FileStore(path).save(GRANT)
    assert FileStore(path).load(GRANT.resource) == GRANT


def test_what_is_not_there_is_none(path: Path) -> None:
    assert FileStore(path).load(GRANT.resource) is None
    FileStore(path).save(GRANT)
    assert FileStore(path).load("https://b.example/mcp") is None


def test_each_server_has_one_grant_and_names_its_issuer(path: Path) -> None:
    store = FileStore(path)
    store.save(GRANT)
    store.save(msgspec.structs.replace(GRANT, resource="https://b.example/mcp"))
    moved = msgspec.structs.replace(GRANT, issuer="https://new.example")
    store.save(moved)
    assert store.load(GRANT.resource) == moved
    assert store.load("https://b.example/mcp") is not None
    assert path.read_text().count("https://auth.example") == 2  # of b only: grant and line


def test_nobody_else_can_read_it_even_with_an_open_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        FileStore(path).save(GRANT)
    finally:
        os.umask(before)
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700
    assert {each.name for each in path.parent.iterdir()} == {"oauth.json", "oauth.json.lock"}
    assert mode(path.with_name("oauth.json.lock")) == 0o600


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_can_get_at_is_refused(path: Path, bits: int) -> None:
    FileStore(path).save(GRANT)
    path.chmod(bits)
    with pytest.raises(StoreError, match=r"chmod 600"):
        FileStore(path).load(GRANT.resource)
    with pytest.raises(StoreError, match=r"chmod 600"):
        FileStore(path).save(GRANT)


def test_a_link_is_refused_and_what_it_leads_to_is_left_alone(path: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    FileStore(elsewhere).save(GRANT)
    path.parent.mkdir(parents=True)
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    with pytest.raises(StoreError, match="it cannot be read"):
        FileStore(path).load(GRANT.resource)
    with pytest.raises(StoreError, match="it cannot be read"):
        FileStore(path).save(GRANT)
    assert elsewhere.read_bytes() == before


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path, 0o600)
    with pytest.raises(StoreError, match="it is no ordinary file"):
        FileStore(path).load(GRANT.resource)


def test_a_file_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FileStore(path).save(GRANT)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StoreError, match="belongs to somebody else"):
        FileStore(path).load(GRANT.resource)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is not what rxmcp writes"),
        (b"{", "it is not what rxmcp writes"),
        (b'{"grants":[{"issuer":1}]}', "it is not what rxmcp writes"),
        (b'{"format":2,"grants":[]}', "found format 2, expected 1"),
        (b" " * 1_100_000, "it is not what rxmcp writes"),
    ],
)
def test_a_file_that_is_not_ours_is_told_and_kept(path: Path, content: bytes, words: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(StoreError, match=words):
        FileStore(path).save(GRANT)
    assert path.read_bytes() == content


def test_an_error_names_the_file_and_no_secret(path: Path) -> None:
    FileStore(path).save(GRANT)
    path.chmod(0o644)
    with pytest.raises(StoreError) as caught:
        FileStore(path).load(GRANT.resource)
    assert "oauth.json" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_grant_shows_whose_it_is_and_nothing_else() -> None:
    assert repr(GRANT) == "Grant('https://auth.example', 'https://a.example/mcp')"


def test_a_write_that_breaks_off_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FileStore(path).save(GRANT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="cannot be written: No space left"):
        FileStore(path).save(msgspec.structs.replace(GRANT, dpop_key=""))
    assert FileStore(path).load(GRANT.resource) == GRANT
    assert {each.name for each in path.parent.iterdir()} == {"oauth.json", "oauth.json.lock"}


def test_a_file_does_not_grow_without_bound(path: Path) -> None:
    store = FileStore(path)
    with pytest.raises(StoreError, match="it would grow beyond"):
        store.save(msgspec.structs.replace(GRANT, dpop_key="x" * 1_100_000))
    assert store.load(GRANT.resource) is None


def test_the_oldest_grants_go_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_MOST_GRANTS", 2)
    store = FileStore(path)
    for name in "abc":
        store.save(msgspec.structs.replace(GRANT, resource=f"https://{name}.example/"))
    assert store.load("https://a.example/") is None
    assert store.load("https://c.example/") is not None


async def test_runs_that_write_at_the_same_time_lose_nothing(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pipeline.shell.oauth.storage import FileStore\n"
        "from pipeline.shell.oauth.grant import Grant\n"
        "for n in range(5):\n"
        "    r = f'https://{sys.argv[2]}.example/{n}'\n"
        "    FileStore(Path(sys.argv[1])).save(Grant(issuer='i', resource=r))\n"
    )
    runs = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, str(path), name, cwd=ROOT, stderr=subprocess.PIPE
        )
        for name in "abcd"
    ]
    async with asyncio.timeout(60):
        said = await asyncio.gather(*(run.communicate() for run in runs))
    assert [err for _, err in said] == [b""] * 4
    store = FileStore(path)
    assert all(store.load(f"https://{name}.example/{n}") for name in "abcd" for n in range(5))


def test_a_lock_that_is_not_let_go_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    FileStore(path).save(GRANT)
    monkeypatch.setattr(private_file, "_LOCK_PATIENCE", 0.01)
    with path.with_name("oauth.json.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match="another run holds it"):
            FileStore(path).save(GRANT)
    FileStore(path).save(GRANT)


def test_the_file_is_in_the_users_folder_for_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_path("/s") == Path("/s/rxmcp/oauth.json")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_path("") == tmp_path / ".local/state/rxmcp/oauth.json"


def test_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(StoreError, match="set --token-file"):
        default_path("")


def test_a_store_that_keeps_nothing_has_nothing() -> None:
    store = NoStore()
    store.save(GRANT)
    assert store.load(GRANT.resource) is None
