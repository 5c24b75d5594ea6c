"""A recording for the length of a test: played, or made, beside the test on a thread of its own.

A loop of its own serves the mocks, so that it does not matter whether the test is `async`, nor with
which library: it sees servers at addresses, and nothing else.
"""

from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Literal, TypeAlias

from pipeline.background import in_background
from pipeline.mocks.match import Miss
from pipeline.mocks.mcp_mock import McpMock, serve_script
from pipeline.mocks.mcp_script import read_scripts
from pipeline.mocks.model_mock import ModelMock, serve_answers
from pipeline.mocks.model_script import read_answers
from pipeline.recorder import CannotRecordError, Recorder
from pipeline.shell.recordings import RecordingError, read_runs

Mode: TypeAlias = Literal["none", "once", "new", "all"]
SERVER = "server"
"""What a recorded server is called where the recording does not say."""


class CassetteError(Exception):
    """There is nothing to play, or nothing to record from; the text says what to do."""


class Cassette:
    """A recording that answers, as long as the test runs.

    `url` and `model_url` are where the recorded MCP server and the recorded model answer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mocks: dict[str, McpMock] = {}
        self.model: ModelMock | None = None
        self._read: list[Miss] = []
        self._wants_model = False

    @property
    def url(self) -> str:
        """The event stream of the recorded MCP server.

        Raises:
            CassetteError: If the recording holds none, or several; see `urls`.
        """
        if len(self.mocks) != 1:
            names = ", ".join(map(repr, self.mocks)) or "none"
            raise CassetteError(f"{self.path}: found the servers {names}, expected one; see `urls`")
        return next(iter(self.urls.values()))

    @property
    def urls(self) -> Mapping[str, str]:
        """The event streams by the names that the servers have in the recording."""
        return {name: mock.url for name, mock in self.mocks.items()}

    @property
    def model_url(self) -> str:
        """The recorded model, for `ANTHROPIC_BASE_URL`; any key will do.

        Raises:
            CassetteError: If the recording holds no model.
        """
        if self.model is None:
            raise CassetteError(
                f"{self.path}: found no answer of a model in it; record a chat with "
                f"`rxmcp --sink jsonl={self.path.name}`"
            )
        self._wants_model = True
        return self.model.url

    @property
    def misses(self) -> tuple[Miss, ...]:
        """Requests that were not answered.

        Whoever reads them answers for them: what was read is not reported any more.
        """
        self._read = [miss for mock in self._all() for miss in mock.misses]
        return tuple(self._read)

    @property
    def unused(self) -> tuple[str, ...]:
        """What is recorded, and was not asked for; of the model only if `model_url` was read."""
        return tuple(
            words
            for mock in self._all()
            for words in mock.unused
            if mock is not self.model or self._wants_model
        )

    def assert_all_used(self) -> None:
        """Fail if something that is recorded was not asked for."""
        lines = "\n".join(f"  {words}" for words in self.unused)
        assert not lines, f"{self.path.name}: recorded, but not asked for:\n{lines}"

    def unread_misses(self) -> tuple[Miss, ...]:
        """The misses that `misses` did not give yet."""
        read = self._read
        return tuple(miss for miss in self.misses if not any(miss is other for other in read))

    def _all(self) -> list[McpMock | ModelMock]:
        return [*self.mocks.values(), *([] if self.model is None else [self.model])]


@contextmanager
def cassette(
    path: Path, mode: Mode, *, server: str | None, environ: Mapping[str, str]
) -> Generator[Cassette]:
    """A cassette inside the block.

    Modes: `none` only plays; `once` records if there is no such file; `new` plays what is recorded
    and records other calls behind it; `all` records anew, and the old file goes when the new one is
    whole. `server` is the URL of the real server; `environ` may hold a key for it.

    Raises:
        CassetteError: If there is nothing to play, or to record from, or recording failed.
    """
    is_there = path.is_file()
    records = mode == "all" or (mode != "none" and not is_there)
    if records and server is None:
        raise CassetteError(
            f"{path} cannot be recorded: --record-mode={mode} needs to know the real server, "
            f'as in recording({path.name!r}, server="http://localhost:3001/sse")'
        )
    if not records and not is_there:
        raise CassetteError(
            f"there is no recording {path}; record it with --record-mode=once and "
            f'recording({path.name!r}, server="http://localhost:3001/sse")'
        )
    if records:
        assert server is not None, "looked at above"
        serving = _recorded(path, server, environ)
    else:
        serving = _played(path, server if mode == "new" else None, environ)
    with in_background(_told(serving)) as found:
        yield found


@asynccontextmanager
async def _told(serving: AbstractAsyncContextManager[Cassette]) -> AsyncGenerator[Cassette]:
    """Every trouble of playing and recording as a `CassetteError`."""
    try:
        async with serving as found:
            yield found
    except (CannotRecordError, RecordingError, OSError) as exc:
        raise CassetteError(str(exc)) from exc


@asynccontextmanager
async def _recorded(path: Path, url: str, environ: Mapping[str, str]) -> AsyncGenerator[Cassette]:
    """Every call goes to the real server; the file appears when it is whole."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.unlink(missing_ok=True)
    async with _recorder(url, unfinished, SERVER, environ) as recorder:
        await recorder.start()
        found = Cassette(path)
        async with serve_script(recorder.script, recorder) as found.mocks[SERVER]:
            yield found
    unfinished.replace(path)


@asynccontextmanager
async def _played(
    path: Path, url: str | None, environ: Mapping[str, str]
) -> AsyncGenerator[Cassette]:
    """What is recorded answers; with a `url`, other calls are recorded behind it."""
    runs = read_runs(path)
    scripts, found = read_scripts(runs), Cassette(path)
    async with AsyncExitStack() as stack:
        recorder = None
        if url is not None:
            if len(scripts) > 1:
                names = ", ".join(map(repr, scripts))
                raise CassetteError(f"{path} holds {names}: calls can be added to one server only")
            name = next(iter(scripts), SERVER)
            recorder = await stack.enter_async_context(_recorder(url, path, name, environ))
        for name, script in scripts.items():
            serving = serve_script(script, recorder)
            found.mocks[name] = await stack.enter_async_context(serving)
        if answers := list(read_answers(runs)):
            found.model = await stack.enter_async_context(serve_answers(answers))
        yield found


@asynccontextmanager
async def _recorder(
    url: str, path: Path, name: str, environ: Mapping[str, str]
) -> AsyncGenerator[Recorder]:
    recorder = Recorder(url, path, server=name, environ=environ)
    try:
        yield recorder
    finally:
        await recorder.close()
