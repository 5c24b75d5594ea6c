"""Opens an address in the user's browser, without waiting for the browser's end."""

import os
import shlex
import subprocess
import webbrowser

from yarl import URL

from pipeline.shell.authorizer import AuthorizationError
from pipeline.shell.http import is_loopback
from pipeline.shell.oauth.errors import shown
from pipeline.shell.oauth.threads import in_thread

_PATIENCE = 3.0  # seconds in which a browser that cannot start says so


async def open_address(address: str, command: str = "") -> bool:
    """Open an https or loopback address; False if no browser could be started.

    `command` is as in the variable BROWSER: a program with its arguments, `%s` for the address
    (else it comes last), several with the path separator between, of which the first that works is
    taken. Without it, Python's `webbrowser` chooses. Nothing goes through a shell, and what a
    browser prints goes nowhere.
    """
    try:
        return await in_thread(
            lambda: _run(address, command) if command else _choose(address), seconds=_PATIENCE
        )
    except TimeoutError:
        return True  # it runs, and has not complained


def check_address(address: str) -> str:
    """The host of an address that may be opened: https, or http on loopback, and no other scheme.

    Raises:
        AuthorizationError: If it must not be (MCP: `javascript:`, `file:` and the like).
    """
    where = URL(address)
    host = where.raw_host or ""
    if where.scheme == "https" or (where.scheme == "http" and is_loopback(host)):
        return host
    raise AuthorizationError(
        f"the server wants {shown(address)} opened, expected an https:// address"
    )


def _run(address: str, command: str) -> bool:
    for each in command.split(os.pathsep):
        try:
            words = [word for word in shlex.split(each) if word != "&"]
            if not words:
                continue
            if not any("%s" in word for word in words):
                words.append("%s")
            done = subprocess.run(  # noqa: S603  (the user's own command, and no shell)
                [word.replace("%s", address) for word in words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        except (OSError, ValueError):
            continue
        if done.returncode == 0:
            return True
    return False


def _choose(address: str) -> bool:
    try:
        browser = webbrowser.get()
        # One for text would take the terminal away from us, and know nothing of our listener.
        is_for_text = type(browser) is webbrowser.GenericBrowser
        return not is_for_text and browser.open(address)
    except (OSError, webbrowser.Error):
        return False
