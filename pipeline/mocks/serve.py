"""`serve --from FILE`: the recorded servers, and the recorded model, until cancelled."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from pipeline.mocks.mcp_mock import serve_recording
from pipeline.mocks.model_mock import NothingRecordedError, serve_model
from pipeline.shell.recordings import RecordingError, last_run


async def serve_file(path: Path, *, host: str, port: int, log: Callable[[str], None]) -> None:
    """Serve what the newest run in a file recorded; each further one takes the port above.

    Raises:
        RecordingError: If the file cannot be read, or an address cannot be had.
    """
    run = last_run(path)
    ports = iter([0] * 1000 if port == 0 else range(port, port + 1000))
    async with AsyncExitStack() as stack:
        try:
            for server in run.header.plan.servers:
                mock = serve_recording(run, host=host, port=next(ports), server=server.name)
                url = (await stack.enter_async_context(mock)).url
                log(f"= {server.name}, as recorded in {path.name}: {url}")
            model = await stack.enter_async_context(serve_model(run, host=host, port=next(ports)))
            log(f"= the model, as recorded: set ANTHROPIC_BASE_URL={model.url}")
        except NothingRecordedError as exc:
            log(f"= {exc}")
        except OSError as exc:
            raise RecordingError(f"cannot listen on {host}: {exc.strerror or exc}") from exc
        await asyncio.Event().wait()
