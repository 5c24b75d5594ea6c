"""Grants in the keyring of the desktop."""

import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from config.options import OAuthOptions
from pipeline.shell.oauth import keeper
from pipeline.shell.oauth.grant import Grant
from pipeline.shell.oauth.keeper import Keeper
from pipeline.shell.oauth.keyring_store import KeyringStore
from pipeline.shell.oauth.storage import FileStore, StoreError

ROOT = Path(__file__).resolve().parents[3]
GRANT = Grant(
    issuer="https://auth.example",
    resource="https://a.example/mcp",
    tokens={"access_token": "access-secret"},
)


class Ring:
    """A keyring; with `locked`, one that nobody unlocks."""

    def __init__(self, *, locked: bool = False) -> None:
        self.held: dict[tuple[str, str], str] = {}
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        self._open()
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._open()
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._open()
        del self.held[service, username]

    def _open(self) -> None:
        if self.locked:
            raise RuntimeError("access-secret is what I was given")


@pytest.fixture
def index(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "oauth.json")


def test_a_grant_is_in_the_keyring_and_no_secret_in_the_file(
    index: FileStore, tmp_path: Path
) -> None:
    ring = Ring()
    KeyringStore(index, ring, is_strict=False).save(GRANT)
    assert list(ring.held) == [("rxmcp", "https://auth.example https://a.example/mcp")]
    assert "access-secret" not in (tmp_path / "oauth.json").read_text()
    assert KeyringStore(index, ring, is_strict=False).load(GRANT.resource) == GRANT


def test_a_server_without_a_grant_does_not_trouble_the_keyring(index: FileStore) -> None:
    assert KeyringStore(index, Ring(locked=True), is_strict=True).load(GRANT.resource) is None


def test_a_grant_of_a_new_issuer_takes_the_place_of_the_old(index: FileStore) -> None:
    ring = Ring()
    store = KeyringStore(index, ring, is_strict=False)
    store.save(GRANT)
    moved = msgspec.structs.replace(GRANT, issuer="https://new.example")
    store.save(moved)
    assert store.load(GRANT.resource) == moved
    assert [name for _, name in ring.held] == ["https://new.example https://a.example/mcp"]


def test_an_old_grant_that_is_gone_already_is_no_loss(index: FileStore) -> None:
    ring = Ring()
    store = KeyringStore(index, ring, is_strict=False)
    store.save(GRANT)
    ring.held.clear()
    store.save(msgspec.structs.replace(GRANT, issuer="https://new.example"))
    assert len(ring.held) == 1


def test_a_keyring_that_does_not_work_leaves_the_grant_to_the_file(index: FileStore) -> None:
    store = KeyringStore(index, Ring(locked=True), is_strict=False)
    store.save(GRANT)
    assert index.load(GRANT.resource) == GRANT
    assert store.load(GRANT.resource) == GRANT


def test_a_keyring_that_must_be_used_is_told_without_its_words(index: FileStore) -> None:
    with pytest.raises(StoreError, match=r"cannot be used \(RuntimeError\)") as caught:
        KeyringStore(index, Ring(locked=True), is_strict=True).save(GRANT)
    assert "secret" not in str(caught.value)
    assert index.load(GRANT.resource) is None


def test_a_keyring_that_is_locked_now_is_told(index: FileStore) -> None:
    KeyringStore(index, Ring(), is_strict=False).save(GRANT)
    with pytest.raises(StoreError, match="--token-store file"):
        KeyringStore(index, Ring(locked=True), is_strict=False).load(GRANT.resource)


@pytest.mark.parametrize("text", [None, "not ours", '{"issuer":1}'])
def test_what_is_not_ours_in_the_keyring_is_as_good_as_none(
    index: FileStore, text: str | None
) -> None:
    ring = Ring()
    store = KeyringStore(index, ring, is_strict=False)
    store.save(GRANT)
    ring.held.clear()
    if text is not None:
        ring.set_password("rxmcp", "https://auth.example https://a.example/mcp", text)
    assert store.load(GRANT.resource) is None


def test_without_the_package_the_error_says_what_to_install(
    index: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(StoreError, match=r"pip install 'rxmcp\[keyring\]'"):
        KeyringStore(index, is_strict=True).save(GRANT)


def test_the_real_package_is_asked_as_it_wants_to_be(tmp_path: Path) -> None:
    """In a process of its own, with a backend that the package itself chooses."""
    (tmp_path / "ours.py").write_text(
        "from keyring.backend import KeyringBackend\n"
        "class Ours(KeyringBackend):\n"
        "    priority = 9\n"
        "    held = {}\n"
        "    def get_password(self, s, u): return self.held.get((s, u))\n"
        "    def set_password(self, s, u, p): self.held[s, u] = p\n"
        "    def delete_password(self, s, u): del self.held[s, u]\n"
    )
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]; from pathlib import Path\n"
        "from pipeline.shell.oauth.grant import Grant\n"
        "from pipeline.shell.oauth.keyring_store import KeyringStore\n"
        "from pipeline.shell.oauth.storage import FileStore\n"
        "store = KeyringStore(FileStore(Path(sys.argv[1], 'oauth.json')), is_strict=True)\n"
        "grant = Grant(issuer='i', resource='r', tokens={'access_token': 't'})\n"
        "store.save(grant); assert store.load('r') == grant\n"
        "import ours; assert list(ours.Ours.held) == [('rxmcp', 'i r')]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(ROOT)],
        env={"PYTHON_KEYRING_BACKEND": "ours.Ours", "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_a_keyring_that_asks_and_gets_no_answer_is_not_waited_for(
    index: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    class Asking(Ring):
        def set_password(self, *_: str) -> None:
            answered.wait(10)

    monkeypatch.setattr(keeper, "_PATIENCE", 0.01)
    said: list[str] = []
    store = KeyringStore(index, Asking(), is_strict=True)
    ours = Keeper(GRANT.resource, OAuthOptions(), store, said.append)
    await ours.save(GRANT)
    await ours.save(GRANT)  # done without from here on
    answered.set()
    assert said == ["the place for tokens did not answer within 0.01 s"]
