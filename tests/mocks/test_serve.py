import asyncio
from pathlib import Path

import pytest

from pipeline.mocks.serve import serve_file
from pipeline.shell.recordings import RecordingError
from tests.support.program import run

SEED = Path(__file__).parents[1] / "recordings" / "seed.jsonl"


async def test_the_recorded_server_and_model_are_served_until_cancelled(tmp_path: Path) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    serving = asyncio.create_task(serve_file(SEED, host="127.0.0.1", port=0, log=told.put_nowait))
    async with asyncio.timeout(20):
        server, model = await told.get(), await told.get()
    assert server.startswith("= local, as recorded in seed.jsonl: http://127.0.0.1:")
    assert model.startswith("= the model, as recorded: set ANTHROPIC_BASE_URL=http://127.0.0.1:")
    url = server.rpartition(": ")[2]
    called = await run("--server", url, "call", "add", "a=2", "b=3", cwd=tmp_path)
    assert (called.code, called.out) == (0, "5\n")
    serving.cancel()
    await asyncio.wait([serving])
    assert serving.cancelled()


async def test_a_file_that_is_no_recording_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text("hello\n")
    with pytest.raises(RecordingError, match="not the first line"):
        await serve_file(path, host="127.0.0.1", port=0, log=print)
