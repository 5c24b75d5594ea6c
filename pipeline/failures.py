"""How the program says on standard error that it failed: in words, or as a line of JSON.

The words may quote files and servers, so they are made harmless here.
"""

import json
import sys
from typing import TYPE_CHECKING

from config.streams import write
from config.unseen import harmless

if TYPE_CHECKING:  # heavy: who runs the client has them already
    from config.settings import Settings
    from pipeline.assembly import Run
    from pipeline.core.events import RunEnded


def tell_failure(settings: "Settings", code: int, reason: str) -> int:
    """Tell why there was no run, or no end of it; gives the exit status back."""
    if settings.output_format != "text":
        _tell_json(code, reason)
    else:
        tell_line(f"! {reason}")
    return code


def tell_end(settings: "Settings", ended: "RunEnded") -> int:
    """Tell programs that a run failed, and why; people have seen it. Gives the exit status."""
    if ended.code and settings.output_format != "text":
        _tell_json(ended.code, ended.reason)
    return ended.code


def tell_untold(client: "Run") -> None:
    """Tell which sinks failed, where none was left to show it."""
    for failure in client.untold:
        tell_line(f"! {failure}")


def tell_line(line: str) -> None:
    """One line of a log, or of whatever else has something to say beside the run."""
    write(sys.stderr, f"{harmless(line)}\n")


def _tell_json(code: int, reason: str) -> None:
    write(sys.stderr, json.dumps({"error": {"code": code, "message": reason}}) + "\n")
