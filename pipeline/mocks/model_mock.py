"""A recorded model behind the Messages API: any client can talk to it, with any key.

What the user said last decides which answer is given: a prompt, or the results of tools. A request
that the recording does not answer is an error 400 that names the closest one.
"""

from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from pipeline.core.events import Json, ModelFailed
from pipeline.core.shapes import is_list, is_object
from pipeline.mocks.match import Miss, Shelf
from pipeline.mocks.mcp_script import NothingRecordedError
from pipeline.mocks.model_script import ModelAnswer, meaning, read_answers, words
from pipeline.mocks.model_turn import cut_stream_of, message_of, stream_of
from pipeline.mocks.serving import MAX_BODY, STREAM_HEADERS, listening
from pipeline.shell.recordings import RecordedRun

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
# The SDK of the recorded run had tried again already; a client that did so once more would be
# given the answer of a later call.
_NO_RETRY = {"x-should-retry": "false"}


class ModelMock:
    """The mock; `url` is for `ANTHROPIC_BASE_URL`."""

    def __init__(self, answers: Iterable[ModelAnswer]) -> None:
        self.url = ""
        self._misses: list[Miss] = []
        self._shelf: Shelf[ModelAnswer] = Shelf(words)
        for answer in answers:
            self._shelf.put(answer.asked, answer)

    @property
    def misses(self) -> tuple[Miss, ...]:
        """Requests that the recording did not answer, oldest first."""
        return tuple(self._misses)

    @property
    def unused(self) -> tuple[str, ...]:
        """Recorded requests that nobody made, in words."""
        return self._shelf.unused

    def app(self) -> web.Application:
        """The mock as an aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/messages", self._on_messages)
        return app

    async def _on_messages(self, request: web.Request) -> web.StreamResponse:
        try:
            body: Any = msgspec.json.decode(await request.read())
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as exc:
            return _refusal(400, f"the body is no JSON: {exc}")
        if not is_object(body) or not is_list(body.get("messages")):
            return _refusal(400, "expected a JSON object with a list of `messages`")
        asked = meaning(body["messages"])
        answer = self._shelf.take(asked)
        if answer is None:
            miss = self._shelf.miss(asked)
            self._misses.append(miss)
            return _refusal(400, miss.line)
        return await _play(request, body, answer)


@asynccontextmanager
async def serve_model(
    run: RecordedRun | Sequence[RecordedRun], *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[ModelMock]:
    """Serve the recorded model inside the block; arguments as for `serve_recording`.

    Raises:
        NothingRecordedError: If the recording holds no answer of a model.
        RecordingError: If it cannot be read.
        OSError: If the address cannot be had.
    """
    answers = list(read_answers([run] if isinstance(run, RecordedRun) else run))
    if not answers:
        raise NothingRecordedError("found no answer of a model in the recording, expected some")
    async with serve_answers(answers, host=host, port=port) as mock:
        yield mock


@asynccontextmanager
async def serve_answers(
    answers: Iterable[ModelAnswer], *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[ModelMock]:
    """As `serve_model`, of what was read already."""
    mock = ModelMock(answers)
    async with listening(mock.app(), host, port) as address:
        mock.url = address
        yield mock


async def _play(request: web.Request, body: Json, answer: ModelAnswer) -> web.StreamResponse:
    wants_stream, end = body.get("stream") is True, answer.end
    assert end is not None, "only calls that ended are read"
    if isinstance(end, ModelFailed):
        status = 500 if end.status is None else end.status
        if not (wants_stream and answer.spoken):
            return _refusal(status, end.reason)
        events = cut_stream_of(answer, _error(status, end.reason), body)
    else:
        message = message_of(answer, end, body)
        if not wants_stream:
            return _json(200, message)
        events = stream_of(answer, message)
    response = web.StreamResponse(headers=STREAM_HEADERS)
    await response.prepare(request)
    for event in events:
        await response.write(event)
    return response


def _error(status: int, text: str) -> Json:
    kind = _KINDS.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": text}}


def _refusal(status: int, text: str) -> web.Response:
    return _json(status, _error(status, text), **_NO_RETRY)


def _json(status: int, body: Json, **headers: str) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers=headers,
    )
