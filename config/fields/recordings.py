"""Settings of recordings: how they are written, and what is done with them."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from config.commands import RUNS
from config.fields.marks import RECORDINGS, SECONDS, SIZE, Fields, same
from config.flags import Flag
from config.options import RecordingOptions
from config.recording_values import FaultWish, read_faults, read_patterns, read_speed
from config.sizes import read_size_or_never


class RecordingFields(Fields):
    """Recordings on the disk, and the commands that take one."""

    fsync: Annotated[
        Literal["none", "interval", "always"],
        Flag(RECORDINGS, "none|interval|always", commands=RUNS),
    ] = same(RecordingOptions, "fsync")
    rotate_size: Annotated[
        int | None,
        BeforeValidator(read_size_or_never),
        Flag(RECORDINGS, SIZE, default="never", commands=RUNS),
    ] = same(RecordingOptions, "rotate_size")
    compress: Annotated[
        Literal["none", "gzip", "zstd"],
        Flag(RECORDINGS, "none|gzip|zstd", commands=RUNS),
    ] = same(RecordingOptions, "compress")
    on_recording_failure: Annotated[
        Literal["continue", "stop"], Flag(RECORDINGS, "continue|stop")
    ] = same(RecordingOptions, "on_recording_failure")
    redact: Annotated[Literal["known", "off"], Flag(RECORDINGS, "known|off")] = Field(
        default="known",
        description="known: a key of this run that comes back is [redacted:known:1] everywhere",
    )
    check: Annotated[bool, Flag(RECORDINGS, variable=None, commands=("replay",))] = Field(
        default=False, description="replay: compare each event; exit with 6 at a difference"
    )
    until: Annotated[int | None, Flag(RECORDINGS, "N", variable=None, commands=("replay",))] = (
        Field(default=None, ge=1, description="replay: stop after event N")
    )
    speed: Annotated[
        float | None,
        BeforeValidator(read_speed),
        Flag(RECORDINGS, "N|max", variable=None, commands=("replay",), default="max"),
    ] = Field(default=None, gt=0, description="replay: 1 keeps the pace of the run")
    fault: Annotated[
        tuple[FaultWish, ...],
        BeforeValidator(read_faults),
        Flag(RECORDINGS, "KIND@N", variable=None, is_repeatable=True, commands=("replay",)),
    ] = Field(
        default=(),
        description="replay: what if: drop, delay:SECONDS, 500, 404, duplicate, silence at event N",
    )
    against: Annotated[
        Literal["live"] | None,
        Flag(RECORDINGS, "live", variable=None, commands=("replay",)),
    ] = Field(
        default=None,
        description="replay: ask the real servers and model again, with tools really called, and "
        "compare what they do; exit with 6 at a difference",
    )
    at: Annotated[int | None, Flag(RECORDINGS, "N", variable=None, commands=("fork",))] = Field(
        default=None, ge=1, description="fork: go another way after event N"
    )
    html: Annotated[str, Flag(RECORDINGS, "PATH", variable=None, commands=("show",))] = Field(
        default="", description="show: write one page to look at in a browser"
    )
    out: Annotated[str, Flag(RECORDINGS, "PATH", variable=None, commands=("migrate", "redact"))] = (
        Field(default="", description="migrate, redact: the new file")
    )
    secret_env: Annotated[
        tuple[str, ...],
        Flag(RECORDINGS, "NAME", variable=None, is_repeatable=True, commands=("redact",)),
    ] = Field(default=(), description="redact: what this variable holds is a secret, too")
    pattern: Annotated[
        tuple[str, ...],
        BeforeValidator(read_patterns),
        Flag(RECORDINGS, "REGEX", variable=None, is_repeatable=True, commands=("redact",)),
    ] = Field(default=(), repr=False, description="redact: what this matches is a secret, too")

    fsync_interval: Annotated[float, Flag(RECORDINGS, SECONDS, commands=RUNS, is_detail=True)] = (
        same(RecordingOptions, "fsync_interval")
    )
    fsync_lines: Annotated[int, Flag(RECORDINGS, "N", commands=RUNS, is_detail=True)] = same(
        RecordingOptions, "fsync_lines"
    )

    @property
    def recording(self) -> RecordingOptions:
        """Recordings on the disk."""
        return RecordingOptions(
            fsync=self.fsync,
            fsync_interval=self.fsync_interval,
            fsync_lines=self.fsync_lines,
            rotate_size=self.rotate_size,
            compress=self.compress,
            on_recording_failure=self.on_recording_failure,
        )
