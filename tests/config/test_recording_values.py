"""What a recording is told: sizes, how it comes onto the disk, and what does not go together."""

import pytest

from config.command_line import UsageError, read_command_line
from config.options import RecordingOptions
from config.settings import Settings

MIB = 1024 * 1024


def read(*argv: str, **environ: str) -> Settings:
    return read_command_line(argv, environ, None)


def test_nothing_said_is_one_file_that_is_flushed_twice_a_second() -> None:
    assert read().recording == RecordingOptions(
        fsync="interval",
        fsync_interval=0.5,
        fsync_lines=512,
        rotate_size=None,
        compress="none",
        on_recording_failure="continue",
    )


def test_each_can_be_said() -> None:
    words = ("--fsync", "always", "--rotate-size", "1MiB", "--compress", "zstd")
    settings = read(*words, "--on-recording-failure", "stop", RXMCP_FSYNC_INTERVAL="0.1")
    assert settings.recording == RecordingOptions(
        fsync="always",
        fsync_interval=0.1,
        rotate_size=MIB,
        compress="zstd",
        on_recording_failure="stop",
    )


@pytest.mark.parametrize(
    ("word", "size"),
    [
        *(("64KiB", 65_536), ("64MiB", 64 * MIB), ("1GiB", 1024 * MIB), ("1.5MiB", MIB * 3 // 2)),
        *(("100kB", 100_000), ("2MB", 2_000_000), ("3 GB", 3_000_000_000), ("65536B", 65_536)),
        *(("70000", 70_000), ("64kib", 65_536), ("never", None), ("Never", None)),
    ],
)
def test_a_size_has_a_unit_or_is_in_bytes(word: str, size: int | None) -> None:
    assert read("--rotate-size", word).rotate_size == size
    assert read(RXMCP_ROTATE_SIZE=word).rotate_size == size


@pytest.mark.parametrize("word", ["64M", "MiB", "-1MiB", "1e6", "1 2", "64 mebibytes", "\uff11MiB"])
def test_what_is_no_size_is_refused_with_the_units(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(f"--rotate-size={word}")
    assert str(caught.value) == (
        f"--rotate-size: found {word!r}, expected never, a number of bytes, or one with a unit: "
        "KiB, MiB, GiB (1024), kB, MB, GB (1000)"
    )


def test_a_size_that_would_make_a_file_of_every_line_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"--rotate-size: found '10240', expected 65536 bytes or more"
    ):
        read("--rotate-size", "10KiB")


def test_never_takes_back_what_a_variable_says() -> None:
    assert read("--rotate-size", "never", RXMCP_ROTATE_SIZE="1MiB").rotate_size is None


def test_nothing_is_compressed_that_does_not_end() -> None:
    with pytest.raises(
        UsageError, match=r"--compress: found 'gzip' .* expected --rotate-size SIZE"
    ):
        read("--compress", "gzip")
    with pytest.raises(UsageError, match=r"RXMCP_COMPRESS: found 'zstd'"):
        read(RXMCP_COMPRESS="zstd")


def test_what_reads_recordings_takes_none_of_it() -> None:
    with pytest.raises(
        UsageError, match=r"option '--fsync' goes with .*, replay, resume, fork, not"
    ):
        read("show", "run.jsonl", "--fsync", "none")
