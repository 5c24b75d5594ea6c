"""The search for planted secrets finds them however they are written, or it would prove nothing."""

import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from pipeline.compressed import zstd_library
from tests.security.canaries import found_in, written_in

SECRET = "canary/key+1=?>~"


@pytest.mark.parametrize(
    "data",
    [
        SECRET,
        json.dumps({"a": json.dumps([SECRET])}),
        json.dumps([SECRET]).replace("/", r"\/").replace("a", r"\u0061"),
        quote(SECRET, safe=""),
        *[f'"{b64encode(b"x" * ahead + SECRET.encode()).decode()}"' for ahead in range(4)],
        *[urlsafe_b64encode(b"x" * ahead + SECRET.encode() + b"yz").decode() for ahead in range(4)],
        "Basic" + b64encode(f"user:{SECRET}".encode()).decode(),
    ],
)
def test_a_secret_is_found_however_it_is_written(data: str) -> None:
    assert found_in({"one": data.encode(), "other": b"nothing"}, [SECRET]) == {"one": [SECRET]}


def test_files_are_read_as_what_is_in_them_below_any_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.jsonl.zst").write_bytes(zstd_library().compress(SECRET.encode()))
    assert found_in(written_in(tmp_path), [SECRET]) == {"a/run.jsonl.zst": [SECRET]}
