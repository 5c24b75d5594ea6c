"""Runs the program, and writes down what it would do to the world: `watched.py LOG WORD …`.

Every connection, program and file that is opened for writing passes Python's audit hooks (PEP 578),
whichever library is behind it; each becomes a line of JSON in LOG: the event and its arguments.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
_EVENTS = (
    *("socket.connect", "socket.sendto", "socket.bind", "socket.getaddrinfo", "webbrowser.open"),
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill"),
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.putenv", "pickle.find_class", "marshal.loads"),
)
_OURS = ("marshal.loads",)  # how Python reads its own modules

_MEASURE = "/.coverage."  # what the tests write about themselves when their coverage is measured


def main(log: str, *words: str) -> int:
    """The exit status of the program."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(_ROOT))
    import main as program

    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def watch(event: str, args: tuple[Any, ...]) -> None:
        is_write = event == "open" and len(args) == 3 and int(args[2] or 0) & _WRITES
        if _MEASURE in str(args[0] if args else ""):
            return
        if is_write or (event in _EVENTS and event not in _OURS):
            os.write(number, (json.dumps([event, *map(str, args)]) + "\n").encode())

    sys.addaudithook(watch)
    return program.main(words, os.environ)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
