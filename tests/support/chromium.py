"""A real browser without a window: Chromium, told what to do over its DevTools protocol.

    async with chromium(tmp_path) as browser:
        await browser.open(path.as_uri())
        await browser.press("Tab")
        assert await browser.look("document.activeElement.textContent") == "Skip"
        assert browser.complaints == [] and browser.requests == [path.as_uri()]

No host name resolves in it. Its processes end with the block.
"""

import asyncio
import base64
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-port=0", "about:blank",
)  # fmt: skip
DEADLINE = 60.0
_KEYS = {"Tab": 9, "Enter": 13}


def find_chromium() -> str | None:
    """Where it is; None: this machine has none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page. `complaints` is what the console, the log and uncaught errors said."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()

    async def read(self) -> None:
        """Take in what it says, until it is closed."""
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)
            else:
                self._on_event(said["method"], said["params"])

    def _on_event(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded.set()
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Log.entryAdded":
                self.complaints.append(params["entry"]["text"])
            case "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.complaints.append(str(params))
            case _:
                pass

    async def tell(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        self._number += 1
        answer = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        async with asyncio.timeout(DEADLINE):
            said = await answer
        assert "error" not in said, said
        return said["result"]

    async def open(self, url: str) -> None:
        """Load a page, and wait until it is there."""
        self._loaded.clear()
        await self.tell("Page.navigate", url=url)
        async with asyncio.timeout(DEADLINE):
            await self._loaded.wait()

    async def look(self, expression: str) -> Any:
        """What an expression is in the page; a promise is waited for."""
        said = await self.tell(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    async def press(self, key: str) -> None:
        """A key goes down and up."""
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            await self.tell(
                "Input.dispatchKeyEvent",
                type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key], **text,
            )  # fmt: skip

    async def size(self, width: int, height: int) -> None:
        """As large a window."""
        await self.tell(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    async def prefer(self, scheme: str) -> None:
        """`light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        await self.tell("Emulation.setEmulatedMedia", features=[feature])

    async def screenshot(self) -> bytes:
        """What is to be seen, as PNG."""
        return base64.b64decode((await self.tell("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Browser]:
    """A browser whose profile is in `folder`."""
    path = find_chromium()
    assert path is not None, "ask find_chromium first"
    profile = folder / "chromium"
    process = await asyncio.create_subprocess_exec(
        path, *FLAGS, f"--user-data-dir={profile}",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE, start_new_session=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )  # fmt: skip
    assert process.stderr is not None
    try:
        address = await _address(process.stderr)
        rest = asyncio.create_task(_drain(process.stderr))
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{address}/json/list") as answer:
                pages = await answer.json()
            url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                browser = Browser(socket)
                reader = asyncio.create_task(browser.read())
                for domain in ("Page", "Network", "Log", "Runtime"):
                    await browser.tell(f"{domain}.enable")
                yield browser
            await reader
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    await rest


async def _address(stderr: asyncio.StreamReader) -> str:
    async with asyncio.timeout(DEADLINE):
        async for line in stderr:
            _, found, url = line.decode("utf-8", "replace").partition("DevTools listening on ws://")
            if found:
                return url.partition("/")[0]
    raise AssertionError("chromium ended before it listened")


async def _drain(stderr: asyncio.StreamReader) -> None:
    async for _ in stderr:
        pass
