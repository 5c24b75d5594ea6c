"""Claude, and every server that speaks its Messages API. No other file knows the SDK.

The SDK sends the request, finds the credentials, and tries again before a stream has begun. The
stream itself is read from its response with our own SSE parser and our own fold, not with the SDK's
events: those drop `ping`, which tells a slow model from a dead server; a block or event of a type
that they do not know comes out as the wrong class; and the typed events cost 36 µs each, the
helper on top of them 104 µs.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import aiohttp
from loguru import logger

from config.options import ModelOptions
from pipeline.core.commands import CallModel
from pipeline.core.definitions import for_model
from pipeline.core.events import ModelFailed, ModelFinished
from pipeline.core.model_errors import Failure, asked_wait, foreign, redacted, refused, secrets_in
from pipeline.core.model_stream import BrokenTurnError, ErrorEventError, ModelTurn
from pipeline.core.sse import SseComment, SseParser, SseTooLargeError
from pipeline.shell.model_deadline import ModelDeadline
from pipeline.shell.models import Push, Room

if TYPE_CHECKING:
    import httpx2
    from anthropic import AsyncAnthropic, AsyncStream
    from anthropic.types import RawMessageStreamEvent

_CONNECT = 10.0
_DRAIN = 0.25
_CLOSE = 2.0
_ERRORS = 400


class ClaudeModel:
    """One model behind one client. Implements `pipeline.shell.models.Model`.

    What is not passed, the SDK finds itself: `ANTHROPIC_API_KEY`, `ANTHROPIC_AUTH_TOKEN`,
    `ANTHROPIC_BASE_URL`, `ANTHROPIC_CUSTOM_HEADERS`, profiles. `api_key` and `auth_token` exclude
    each other. From turn to turn the request grows at its end only, so that caches hold.
    """

    def __init__(
        self,
        options: ModelOptions,
        *,
        system_prompt: str = "",
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        self._options = options
        self._system_prompt = system_prompt
        self._api_key = api_key
        self._auth_token = auth_token
        self._base_url = base_url
        self._extra_headers = extra_headers
        self._making: asyncio.Task[AsyncAnthropic] | None = None
        self._secrets: tuple[str, ...] = ()
        self._address = ""

    async def prepare(self) -> None:
        """Make the client ahead of the first turn, which is optional: the import takes seconds.

        Never raises: what fails is told by the turns.
        """
        await asyncio.wait([self._making_client()])

    async def stream_turn(self, command: CallModel, push: Push, room: Room) -> None:
        """Ask for one turn; see `Model`. If cancelled, the connection is closed at once."""
        push(await self._answer(command, push, room))

    async def close(self) -> None:
        """Close the connections; the model cannot be asked any more."""
        if self._making is None:
            return
        try:
            # A thread cannot be stopped: it ends with the import.
            await asyncio.wait([self._making])
        finally:
            await _let_go(self._making)

    def _making_client(self) -> "asyncio.Task[AsyncAnthropic]":
        if self._making is None:
            self._making = asyncio.create_task(asyncio.to_thread(self._make_client))
        return self._making

    def _make_client(self) -> "AsyncAnthropic":
        import anthropic  # noqa: PLC0415  1.6 s of CPU: in a thread, and only where it is needed

        client = anthropic.AsyncAnthropic(
            api_key=self._api_key,
            auth_token=self._auth_token,
            base_url=self._base_url,
            default_headers=self._extra_headers,
            max_retries=self._options.max_retries,
            # Reading has deadlines of our own, which know what the model is doing.
            timeout=anthropic.Timeout(None, connect=_CONNECT),
            # aiohttp: half the CPU of the default. No redirects: they would take the conversation,
            # and the headers of ours that are no standard ones, to another server.
            http_client=anthropic.DefaultAioHttpClient(
                follow_redirects=False, event_hooks={"response": [_note_refusal]}
            ),
        )
        self._secrets = secrets_in(client.default_headers)
        self._address = f"{client.base_url.scheme}://{client.base_url.netloc.decode()}"
        return client

    async def _answer(
        self, command: CallModel, push: Push, room: Room
    ) -> ModelFinished | ModelFailed:
        deadline = ModelDeadline(self._options)
        _current.set(deadline)
        try:
            async with deadline.timeout:
                client = await asyncio.shield(self._making_client())
                stream = await client.messages.create(stream=True, **self._request(command))
                try:
                    return await self._read(stream, command, push, room, deadline)
                finally:
                    await _close(stream)
        except Exception as exc:  # noqa: BLE001  each one is told, in words
            failure = self._explain(exc, deadline)
        return ModelFailed(
            call=command.call,
            reason=failure.reason,
            status=failure.status,
            may_retry=failure.may_retry,
        )

    def _request(self, command: CallModel) -> dict[str, Any]:
        most, system = self._options.max_tokens, self._system_prompt
        if command.max_tokens is not None:
            most = min(most, command.max_tokens)
        if command.system is not None:
            system = command.system
        request: dict[str, Any] = {
            "model": self._options.model,
            "max_tokens": most,
            "messages": list(command.messages),
            "cache_control": {"type": "ephemeral"},  # marks the end of what is there, by itself
        }
        if system:
            request["system"] = system
        if command.tools:
            request["tools"] = [for_model(tool) for tool in command.tools]
        return request

    async def _read(
        self,
        stream: "AsyncStream[RawMessageStreamEvent]",
        command: CallModel,
        push: Push,
        room: Room,
        deadline: ModelDeadline,
    ) -> ModelFinished:
        turn = ModelTurn(command.call, self._options.model, most=self._options.max_answer_bytes)
        parser = SseParser()
        chunks = stream.response.aiter_bytes()
        async for chunk in chunks:
            for event in parser.feed(chunk):
                if isinstance(event, SseComment) or event.event == "ping":
                    deadline.heard(is_word=False, has_begun=turn.has_begun)
                    continue
                shown = turn.feed(event.event, event.data)
                if shown is not None:
                    push(shown)
                    await deadline.pause(room)
                deadline.heard(is_word=True, has_begun=turn.has_begun)
                if turn.is_complete:
                    deadline.stop()
                    await _drain(chunks)
                    return turn.finish()
        raise _CutError

    def _explain(self, exc: Exception, deadline: ModelDeadline) -> Failure:
        """The reason of a failed turn; the order matters, for the SDK may not be there yet."""
        if deadline.is_over:
            return Failure(reason=deadline.told(), may_retry=True)
        match exc:
            case ErrorEventError(body=body):
                failure = self._refused(200, body)
                return Failure(
                    reason=f"in mid answer: {failure.reason}",
                    status=failure.status,
                    may_retry=failure.may_retry,
                )
            case _CutError():
                reason = "the answer was cut: the stream ended before message_stop"
                return Failure(reason=reason, may_retry=True)
            case BrokenTurnError():
                reason = (
                    f"the model's server sent a broken answer: {redacted(str(exc), self._secrets)}"
                )
                return Failure(reason=reason, may_retry=True)
            case SseTooLargeError(limit=limit):
                reason = f"the model's server sent an event of more than {limit:,} bytes"
                return Failure(reason=reason)
            case ImportError():
                reason = f"the package `anthropic` cannot be imported: {self._foreign(exc)}"
                return Failure(reason=reason)
            case _:
                return self._explain_sdk(exc, deadline)

    def _explain_sdk(self, exc: Exception, deadline: ModelDeadline) -> Failure:
        import anthropic  # noqa: PLC0415  imported already, by the client that failed
        import httpx2  # noqa: PLC0415  heavy: with the SDK

        match exc:
            case anthropic.APIStatusError():
                return self._refused(exc.status_code, exc.body, deadline.unwanted_wait)
            case anthropic.APIConnectionError():
                cause = exc.__cause__ or exc
                reason = (
                    f"no connection to the model's server at {self._address}: "
                    f"{type(cause).__name__}, {self._foreign(cause)}; "
                    "check the network and ANTHROPIC_BASE_URL"
                )
                return Failure(reason=reason, may_retry=True)
            case httpx2.TransportError() | aiohttp.ClientError() | OSError():
                reason = (
                    "the connection to the model's server was lost in mid answer: "
                    f"{type(exc).__name__}, {self._foreign(exc)}"
                )
                return Failure(reason=reason, may_retry=True)
            case TypeError() if "authentication method" in str(exc):
                return Failure(reason=f"there is no key for the model: {_SET_KEY}")
            case anthropic.CredentialsError():
                reason = f"the key of the model cannot be read: {self._foreign(exc)}; {_SET_KEY}"
                return Failure(reason=reason)
            case _:
                reason = f"the model's client failed: {type(exc).__name__}, {self._foreign(exc)}"
                return Failure(reason=reason)

    def _refused(self, status: int, body: object, wait: float | None = None) -> Failure:
        return refused(
            status, body, model=self._options.model, secrets=self._secrets, retry_after=wait
        )

    def _foreign(self, exc: BaseException) -> str:
        return foreign(str(exc), self._secrets)


_SET_KEY = (
    "set ANTHROPIC_API_KEY (or ANTHROPIC_AUTH_TOKEN); for a local "
    "server set ANTHROPIC_BASE_URL and any key; or use --model direct, which needs none"
)


class _CutError(Exception):
    """The stream ended in good order, but not the answer. The SDK is silent about it."""


_current: ContextVar[ModelDeadline] = ContextVar("_current")


async def _note_refusal(response: "httpx2.Response") -> None:
    """Called by the client with each response: no try is worth a wait that ends after our own."""
    if response.status_code < _ERRORS:
        return
    wait = asked_wait(response.headers, time.time())
    if not _current.get().refuse(response.status_code, wait):
        response.headers["x-should-retry"] = "false"  # the SDK's own switch


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    """Read the end of a response whose answer is whole, so that its connection can be kept."""
    try:
        async with asyncio.timeout(_DRAIN):
            async for _ in chunks:
                continue
    except Exception as exc:  # noqa: BLE001  it costs the connection, not the answer
        logger.debug("= model stream did not end after message_stop: {}", type(exc).__name__)


async def _let_go(making: "asyncio.Task[AsyncAnthropic]") -> None:
    """Close the client; one that is not made yet has nothing open."""
    if making.cancel() or making.cancelled() or making.exception() is not None:
        return
    async with asyncio.timeout(_CLOSE):
        await making.result().close()


async def _close(stream: "AsyncStream[RawMessageStreamEvent]") -> None:
    try:
        async with asyncio.timeout(_CLOSE):
            await stream.close()
    except Exception as exc:  # noqa: BLE001  what the stream said stands, however it closes
        logger.debug("= model stream did not close: {}", type(exc).__name__)
