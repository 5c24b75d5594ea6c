"""The standard streams of the process: there from the start, and written to without surprise."""

import os
import sys
from typing import TextIO


def open_standard_streams() -> None:
    """What was closed by who started us becomes the null device: no socket may take its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115  for the run
            setattr(sys, name, stream)


def write(stream: TextIO | None, text: str) -> None:
    """Write at once; a reader that has gone leaves no traceback, neither here nor at the exit."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        # Nobody reads it: there is nobody to tell. What Python has buffered goes nowhere, too.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
