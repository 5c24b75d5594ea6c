"""`serve --from FILE`: the recorded servers, and the recorded model, until cancelled."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from pipeline.mocks.mcp_mock import serve_recording
from pipeline.mocks.model_mock import NothingRecordedError, serve_model
from pipeline.shell.recordings import RecordingError, read_runs


async def serve_file(path: Path, *, host: str, port: int, log: Callable[[str], None]) -> None:
    """Serve what the runs of a file recorded; each further one takes the port above.

    Raises:
        RecordingError: If the file cannot be read, or an address cannot be had.
    """
    runs = read_runs(path)
    ports = iter([0] * 1000 if port == 0 else range(port, port + 1000))
    async with AsyncExitStack() as stack:
        try:
            for name in dict.fromkeys(s.name for run in runs for s in run.header.plan.servers):
                mock = serve_recording(runs, host=host, port=next(ports), server=name)
                try:
                    url = (await stack.enter_async_context(mock)).url
                    log(f"= {name}, as recorded in {path.name}: {url}")
                except NothingRecordedError as exc:
                    log(f"! {name}: {exc}")
            try:
                mock = serve_model(runs, host=host, port=next(ports))
                url = (await stack.enter_async_context(mock)).url
                log(f"= the model, as recorded: set ANTHROPIC_BASE_URL={url}")
            except NothingRecordedError as exc:
                log(f"! {exc}")
        except OSError as exc:
            raise RecordingError(f"cannot listen on {host}: {exc.strerror or exc}") from exc
        await asyncio.Event().wait()
