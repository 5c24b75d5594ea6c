"""Where the browser brings the answer: a listener on loopback, for one answer (RFC 8252, 7.3)."""

import asyncio
import contextlib
import secrets
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from pipeline.shell.authorizer import AuthorizationError

PATH = "/callback"
_HOST = "127.0.0.1"
_MOST_BYTES = 16 * 1024
_MOST_AT_ONCE = 16
_LEAVE = 1.0  # seconds for a page to get out at the end
_PATIENCE = 10.0  # seconds for the head of a request: browsers connect ahead and say nothing
_HEAD = (
    "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\n"
    "Cache-Control: no-store\r\nContent-Security-Policy: default-src 'none'\r\n"
    "Referrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
)
_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>rxmcp</title><p>{text}</p></html>\n"
)
_DONE = "The answer has arrived. Close this page and go back to the terminal."
_STRANGE = "This is not the answer that rxmcp waits for. Go back to the terminal."


@dataclass(frozen=True, slots=True, repr=False)
class Callback:
    """What the authorization server sent along with the browser (RFC 6749, 4.1.2; RFC 9207).

    `code` is empty where it refused, and then `error` says why; `iss` is None where not said.
    """

    code: str
    state: str
    iss: str | None
    error: str
    description: str

    def __repr__(self) -> str:
        return "Callback()"


class Listener:
    """Listens on 127.0.0.1 until it is closed; `async with await Listener.open(port)`.

    Only a GET of `/callback` with the right `state` is an answer. All else gets a plain page: what
    a stranger sends neither comes through nor ends the wait.
    """

    def __init__(self, *, patience: float = _PATIENCE) -> None:
        self._patience = patience
        self._answer: asyncio.Future[Callback] = asyncio.get_running_loop().create_future()
        self._state = ""
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, port: int = 0, *, patience: float = _PATIENCE) -> Self:
        """Start to listen; port 0 takes a free one.

        Raises:
            AuthorizationError: If the port is taken.
        """
        listener = cls(patience=patience)
        try:
            # In two steps, for the second one waits: cancelled there, the first is not undone.
            listener._server = server = await asyncio.start_server(
                listener._serve, _HOST, port, limit=_MOST_BYTES, start_serving=False
            )
            try:
                await server.start_serving()
            except BaseException:
                server.close()
                raise
        except OSError:
            raise AuthorizationError(
                f"port {port} of {_HOST} is taken, and the answer of the browser is to come there; "
                "try again, or set another --oauth-redirect-port",
                is_final=False,
            ) from None
        return listener

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None, "opened before"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def uri(self) -> str:
        """The redirect URI."""
        return f"http://{_HOST}:{self.port}{PATH}"

    def expect(self, state: str) -> None:
        """Tell what the right answer is known by. Before that, there is none."""
        self._state = state

    async def wait(self, seconds: float) -> Callback:
        """The answer.

        Raises:
            AuthorizationError: If none came in time.
        """
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._answer)
        except TimeoutError:
            raise AuthorizationError(
                f"no answer came from the browser within {seconds:g} s (--oauth-timeout)"
            ) from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "opened before"
        self._server.close()
        if self._answer.done() and self._busy:  # its page may be on the way still
            await asyncio.wait(tuple(self._busy), timeout=_LEAVE)
        late = tuple(self._busy)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._answer.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "inside a task"
        self._busy.add(task)
        try:
            if len(self._busy) <= _MOST_AT_ONCE:
                async with asyncio.timeout(self._patience):
                    writer.write(self._page(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (
            TimeoutError,
            ConnectionError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ):
            pass
        finally:
            self._busy.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _page(self, head: bytes) -> bytes:
        first = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        method, target = first[0], first[1] if len(first) > 1 else ""
        path, query = _split(target)
        if method != "GET" or path != PATH:
            return _page("404 Not Found", _STRANGE)
        found = _callback(query)
        if found is None or not self._state or not _same(found.state, self._state):
            return _page("400 Bad Request", _STRANGE)
        if not self._answer.done():
            self._answer.set_result(found)
        return _page("200 OK", _DONE)


def _split(target: str) -> tuple[str, str]:
    try:
        parts = urlsplit(target)
    except ValueError:
        return "", ""
    return parts.path, parts.query


def _callback(query: str) -> Callback | None:
    """None where a parameter comes twice (RFC 6749, 3.1), or there are too many."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=32)
    except ValueError:
        return None
    members = dict(pairs)
    if len(members) < len(pairs):
        return None
    return Callback(
        code=members.get("code", ""),
        state=members.get("state", ""),
        iss=members.get("iss"),
        error=members.get("error", ""),
        description=members.get("error_description", ""),
    )


def _same(found: str, expected: str) -> bool:
    return secrets.compare_digest(found.encode(), expected.encode())


def _page(status: str, text: str) -> bytes:
    body = _PAGE.format(text=text).encode()
    return _HEAD.format(status=status, length=len(body)).encode() + body
