"""Planted secrets, looked for in the bytes of all that a run wrote, however they are written.

    outputs = written_in(tmp_path) | {"stdout": ended.out.encode(), …}
    assert found_in(outputs, [KEY, TOKEN]) == {}

The search shares no code with the guard that it is to catch out: it undoes what encoders do, and
looks for the secret itself.
"""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes

from pipeline.compressed import open_file

_ESCAPE = re.compile(rb"\\+u00([0-9a-fA-F]{2})")
_BACKSLASH = re.compile(rb"\\+([/\"])")
_CODED = re.compile(rb"[A-Za-z0-9+/_-]{12,}")
_TO_STANDARD = bytes.maketrans(b"-_", b"+/")


def written_in(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their path; compressed ones as what is in them."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    found: dict[str, bytes] = {}
    for path in files:
        with open_file(path) as file:
            found[str(path.relative_to(folder))] = file.read()
    return found


def found_in(outputs: Mapping[str, bytes], secrets: Iterable[str]) -> dict[str, list[str]]:
    """By output, the secrets that are in it; outputs without any are left out."""
    wanted = list(secrets)
    found: dict[str, list[str]] = {}
    for name, data in outputs.items():
        seen = list(readings(data))
        if told := [s for s in wanted if any(s.encode() in reading for reading in seen)]:
            found[name] = told
    return found


def readings(data: bytes) -> Iterator[bytes]:
    """The data as it is, without what JSON and URLs escape, and what Base64 in it stands for."""
    unescaped = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), data)
    plain = _BACKSLASH.sub(rb"\1", unescaped)
    for text in (data, plain):
        yield text
        yield unquote_to_bytes(text)
        for coded in _CODED.findall(unquote_to_bytes(text)):
            yield from _decoded(coded.translate(_TO_STANDARD))


def _decoded(coded: bytes) -> Iterator[bytes]:
    """Of a run of letters nobody knows where a group of four begins."""
    for start in range(4):
        whole = coded[start : start + (len(coded) - start) // 4 * 4]
        yield b64decode(whole)
        rest = coded[start + len(whole) :]
        if len(rest) > 1:
            yield b64decode(coded[start:] + b"=" * (4 - len(rest)))
