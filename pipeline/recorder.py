"""The real server behind a recording that is being made: an ordinary run, fed with calls.

So the file is a recording like any other: it replays, and `--check` holds it to account.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import msgspec

from config.command_line import UsageError, read_command_line
from config.mcp_entry import McpEntry
from pipeline.assembly import Run
from pipeline.core.commands import Item
from pipeline.core.events import (
    CallRejected,
    CallSubmitted,
    Input,
    InputEnded,
    Json,
    RunEnded,
    RunStarted,
    ServersSettled,
    SinkFailed,
    StreamLost,
    ToolEnded,
)
from pipeline.core.session.seed import PREFIX
from pipeline.mocks.mcp_mock import CannotForwardError
from pipeline.mocks.mcp_script import Exchange, McpScript
from pipeline.plans import make_plan
from pipeline.queued_prompts import QueuedPrompts
from pipeline.servers import ServersError, reach
from pipeline.shell.targets import public_url
from sinks.tap import Tap


class CannotRecordError(Exception):
    """There is no recording: what was tried, and why it failed."""


class Recorder:
    """Calls the tools of a real server, one at a time, and records the run in a file.

    `script` is what the server said so far. The run begins with `start`, or with the first call,
    and ends with `close`. A key for the server comes from `environ`, as for the program itself.
    """

    def __init__(self, url: str, path: Path, *, server: str, environ: Mapping[str, str]) -> None:
        self.script = McpScript(server)
        self._url = url
        self._path = path
        self._environ = environ
        self._calls: asyncio.Queue[Input] = asyncio.Queue()
        # A run takes one wish after the other, so outcomes come in the order of the calls.
        self._under_way: deque[asyncio.Future[Exchange]] = deque()
        self._trouble = "it did not get ready"
        self._broken = ""
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._run: Run | None = None
        self._task: asyncio.Task[RunEnded] | None = None

    async def start(self) -> None:
        """Connect, and wait until the server is ready.

        Raises:
            CannotRecordError: If it does not get ready, or the file cannot be written.
        """
        if self._task is None:
            self._run = self._make_run()
            self._task = asyncio.create_task(self._run.run(RunStarted()))
            self._task.add_done_callback(self._on_end)
        await asyncio.shield(self._settled)

    async def __call__(self, asked: Json) -> Exchange:
        """Call a tool for real; see `pipeline.mocks.mcp_mock.Forward`."""
        try:
            await self.start()
        except CannotRecordError as exc:
            raise CannotForwardError(str(exc)) from exc
        if self._task is None or self._task.done():
            raise CannotForwardError(self._broken or self._trouble)
        arguments = msgspec.json.encode(asked["arguments"]).decode()
        future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self._under_way.append(future)
        self._calls.put_nowait(CallSubmitted(tool=str(asked["name"]), arguments=arguments))
        return await future

    async def close(self) -> None:
        """End the run, and wait until its recording is whole; nothing to do if none began.

        How the run ended does not matter: a call that fails is a recording as good as any.

        Raises:
            CannotRecordError: If the recording is not whole.
        """
        if self._task is None:
            return
        if self._under_way and self._run is not None:
            # Nobody waits for the answers any more; a run without a person at it ends with this.
            self._run.interrupt("SIGINT")
        self._calls.put_nowait(InputEnded())
        await asyncio.wait([self._task])
        error = self._task.exception()
        broken = self._broken or (str(error) if error is not None else "")
        if broken:
            raise CannotRecordError(f"cannot record to {str(self._path)!r}: {broken}") from error

    def _make_run(self) -> Run:
        words = ("--server", self._url, "--sink", f"jsonl={self._path}", "--model", "direct")
        # It is one file that is moved to its place when it is whole.
        words += ("--rotate-size", "never", "--compress", "none")
        try:
            settings = read_command_line(words, self._environ, None)
        except UsageError as exc:
            raise CannotRecordError(str(exc)) from exc
        entry = McpEntry(self.script.server, url=settings.servers[0])
        try:
            servers, links = reach([entry], settings)
        except ServersError as exc:
            raise CannotRecordError(str(exc)) from exc
        plan = make_plan(settings, servers, goal="chat", is_interactive=False)
        prompts, tap = QueuedPrompts(self._calls), Tap("recorder", self._hear)
        return Run(settings, plan, links, prompts=prompts, also=[tap])

    def _hear(self, item: Item) -> None:
        self.script.feed(item)
        match item:
            case StreamLost(reason=reason):
                self._trouble = reason
            case SinkFailed(reason=reason, is_final=True):
                self._broken = reason
            case RunEnded(code=code, reason=reason) if code:
                self._trouble = reason
            case ServersSettled(ready=ready) if not self._settled.done():
                if self.script.server in ready:
                    self._settled.set_result(None)
            case CallRejected(reason=reason):
                self._end_call(None, reason)
            case ToolEnded(call=call, reason=reason):
                self._end_call(self.script.posted(PREFIX + call), reason)
            case _:
                pass

    def _end_call(self, exchange: Exchange | None, reason: str) -> None:
        future = self._under_way.popleft()
        if future.done():  # its client has gone
            return
        if exchange is None or self._broken:
            future.set_exception(CannotForwardError(self._broken or reason))
        else:
            future.set_result(exchange)

    def _on_end(self, task: asyncio.Task[RunEnded]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._trouble = str(error) or type(error).__name__
        if not self._settled.done():
            words = f"cannot record from {public_url(self._url)}: {self._trouble}"
            self._settled.set_exception(CannotRecordError(words))
        while self._under_way:
            self._end_call(None, f"the recording run has ended: {self._trouble}")
