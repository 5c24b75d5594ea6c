"""The browser is started, not waited for, and never through a shell."""

import os
import shlex
import sys
import threading
import webbrowser
from pathlib import Path

import pytest

from pipeline.shell.oauth import browser
from pipeline.shell.oauth.browser import check_address, open_address
from pipeline.shell.oauth.threads import in_thread

ADDRESS = "https://auth.example/authorize?a=1&b=$(touch%20x);`id`"


def program(tmp_path: Path, code: str = "", *, status: int = 0) -> tuple[str, Path]:
    """A browser that writes down its arguments and ends; and where it writes them."""
    seen, script = tmp_path / f"seen{status}", tmp_path / f"browser{status}.py"
    script.write_text(
        f"import sys\nopen({str(seen)!r}, 'w').write('\\n'.join(sys.argv[1:]))\n{code}\n"
        f"print('noise'); sys.exit({status})\n"
    )
    return shlex.join([sys.executable, str(script)]), seen


@pytest.mark.parametrize("form", ["{} %s", "{}", "{} %s &", "{} --new=%s"])
async def test_the_command_gets_the_address_as_it_is(
    tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    command, seen = program(tmp_path)
    assert await open_address(ADDRESS, form.format(command))
    expected = f"--new={ADDRESS}" if "--new" in form else ADDRESS
    assert seen.read_text() == expected
    assert "noise" not in capfd.readouterr().out


async def test_the_next_command_is_tried_where_one_fails(tmp_path: Path) -> None:
    bad, seen_bad = program(tmp_path, status=1)
    good, seen = program(tmp_path)
    commands = os.pathsep.join(["", "/no/such/browser", "'unclosed", bad, good])
    assert await open_address(ADDRESS, commands)
    assert seen_bad.exists()
    assert seen.exists()


async def test_where_none_works_it_says_so(tmp_path: Path) -> None:
    bad, _ = program(tmp_path, status=1)
    assert not await open_address(ADDRESS, bad)


async def test_a_browser_that_stays_open_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closed = threading.Event()

    def stay(_address: str, _command: str) -> bool:
        return closed.wait(10)

    monkeypatch.setattr(browser, "_PATIENCE", 0.01)
    monkeypatch.setattr(browser, "_run", stay)
    assert await open_address(ADDRESS, "it")
    closed.set()


class _Opened(webbrowser.BaseBrowser):
    def __init__(self) -> None:
        super().__init__("x")
        self.addresses: list[str] = []

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:  # noqa: ARG002
        self.addresses.append(url)
        return True


async def test_without_a_command_python_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = _Opened()
    monkeypatch.setattr(webbrowser, "get", lambda: chosen)
    assert await open_address(ADDRESS)
    assert chosen.addresses == [ADDRESS]


async def test_a_browser_for_text_does_not_take_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    works = webbrowser.GenericBrowser([sys.executable, "-c", "pass", "%s"])
    monkeypatch.setattr(webbrowser, "get", lambda: works)
    assert not await open_address(ADDRESS)


async def test_a_machine_without_a_browser_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> webbrowser.BaseBrowser:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    assert not await open_address(ADDRESS)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://auth.example/a", "auth.example"),
        ("http://localhost:8080/a", "localhost"),
        ("http://[::1]:8080/a", "::1"),
    ],
)
def test_web_addresses_may_be_opened(address: str, host: str) -> None:
    assert check_address(address) == host


async def test_what_a_thread_raises_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await in_thread(fail, seconds=5)
