"""`search_text`: finds words in the text files below one folder, and never looks outside it.

Hidden files and folders (a name with a leading dot) are left out: that is where keys lie.
"""

import asyncio
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from server.arguments import Arguments
from server.tool import Progress, Tool, ToolError

_MAX_FILE_BYTES = 1024 * 1024
_MAX_LINE = 300  # characters shown of a line
_SNIFFED = 8192  # bytes in which a NUL means: not text
_DEFAULT_RESULTS = 50
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


class SearchLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much one search may read: files by number, and seconds."""

    max_files: int = 10_000
    seconds: float = 5.0


def search_tool(
    folder: str,
    schema: Callable[..., dict[str, Any]],
    annotations: Mapping[str, bool],
    *,
    limits: SearchLimits | None = None,
) -> Tool:
    """The tool that searches below `folder`, which is resolved once, here."""
    return Tool(
        name="search_text",
        description=(
            "Find text in the files of the server's folder, without regard to case. Answers one "
            "line per hit: path:line: text. Hidden, binary and large files are left out."
        ),
        input_schema=schema(
            {
                "query": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 200,
                    "description": "The words to find, letter by letter.",
                },
                "glob": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 200,
                    "description": (
                        "Which files: a name such as *.md, or a path such as docs/*.md; "
                        "* crosses folders. Default: all."
                    ),
                },
                "max_results": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 200,
                    "description": f"Hits at most. Default: {_DEFAULT_RESULTS}.",
                },
            },
            required=("query",),
        ),
        run=partial(_search, Path(folder).resolve(), limits or SearchLimits()),
        annotations=annotations,
    )


async def _search(root: Path, limits: SearchLimits, arguments: Arguments, _: Progress) -> str:
    stop = threading.Event()
    deadline = time.monotonic() + limits.seconds
    job = partial(
        search,
        root,
        arguments["query"],
        glob=arguments.get("glob", "*"),
        max_results=int(arguments.get("max_results", _DEFAULT_RESULTS)),
        max_files=limits.max_files,
        is_over=lambda: stop.is_set() or time.monotonic() > deadline,
    )
    try:
        return await asyncio.to_thread(job)
    finally:
        # A thread cannot be cancelled: it is asked to stop, and looks before each file.
        stop.set()


def search(
    root: Path,
    query: str,
    *,
    glob: str,
    max_results: int,
    max_files: int,
    is_over: Callable[[], bool],
) -> str:
    """The hits, one a line, and a last line in brackets when something was left out.

    Args:
        root: A resolved path; nothing outside it is read.
        query: Found without regard to case.
        glob: On the file's name, or with a slash in it on the path below `root`.
        max_results: Hits at most.
        max_files: Files read at most.
        is_over: Asked before each folder and file; true ends the search.

    Raises:
        ToolError: When `root` is not a folder.
    """
    if not root.is_dir():
        raise ToolError("the server's folder is not there")
    hits: list[str] = []
    files = 0
    for path in _walk(root):
        if is_over() or files == max_files:
            hits.append(f"[stopped after {files} files: search for less, or give a glob]")
            return "\n".join(hits)
        if path is None or not _is_wanted(path.relative_to(root), glob):
            continue
        files += 1
        for hit in _hits(root, path, query.casefold()):
            if len(hits) == max_results:
                hits.append(f"[more than {max_results} hits: search for less, or give a glob]")
                return "\n".join(hits)
            hits.append(hit)
    return "\n".join(hits) or f"no hit for {query!r}"


def _walk(root: Path) -> Iterator[Path | None]:
    """The files that are not hidden; None for each folder, so that the walk can be stopped."""
    for folder, folders, names in os.walk(root, followlinks=False):
        yield None
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith("."))


def _is_wanted(path: Path, glob: str) -> bool:
    if "/" not in glob:
        return fnmatchcase(path.name, glob)
    return any(fnmatchcase(path.as_posix(), form) for form in (glob, glob.removeprefix("**/")))


def _hits(root: Path, path: Path, query: str) -> Iterator[str]:
    for number, line in enumerate(_read(root, path).splitlines(), 1):
        at = line.casefold().find(query)
        if at >= 0:
            start = max(0, at - _MAX_LINE // 2)
            shown = line[start : start + _MAX_LINE].strip()
            yield f"{_plain(path.relative_to(root).as_posix())}:{number}: {_plain(shown)}"


def _read(root: Path, path: Path) -> str:
    """The text of a file; empty for what is not a text file of this folder."""
    try:
        # Also refuses a folder on the way that was swapped for a link since the walk.
        if not path.resolve().is_relative_to(root) or path.is_symlink():
            return ""
        descriptor = os.open(path, _OPEN_FLAGS)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_FILE_BYTES:
                return ""
            content = file.read(_MAX_FILE_BYTES)
    except OSError:
        return ""
    return "" if b"\0" in content[:_SNIFFED] else content.decode(errors="replace")


def _plain(text: str) -> str:
    """No control characters: a file must not be able to steer a terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "\ufffd" for c in text)
