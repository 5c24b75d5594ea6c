import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.streams import write

ROOT = Path(__file__).parents[2]
LOOK = (
    "from config.streams import open_standard_streams as go; go(); import sys, os;"
    "os.write(3, str([sys.stdin.read(), *(os.fstat(n).st_rdev for n in (0, 1, 2))]).encode())"
)


def test_what_was_closed_becomes_the_null_device(tmp_path: Path) -> None:
    """The parent closes all three; what the child finds there comes back by descriptor 3."""
    script = f'exec 3>"$1" <&- >&- 2>&-; exec {sys.executable} -c "$2"'
    out = tmp_path / "out"
    shell = ("/bin/sh", "-c", script, "sh", str(out), LOOK)
    subprocess.run(shell, cwd=ROOT, check=True, timeout=30)
    null = Path(os.devnull).stat().st_rdev
    assert out.read_text() == str(["", null, null, null])


def test_text_is_written_at_once() -> None:
    stream = io.StringIO()
    write(stream, "hello")
    assert stream.getvalue() == "hello"


@pytest.mark.parametrize("is_there", [True, False])
def test_a_stream_that_nobody_reads_costs_nothing(is_there: bool) -> None:
    if not is_there:
        write(None, "hello")
        return
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        write(stream, "hello")
        write(stream, "again")
