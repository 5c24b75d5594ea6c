"""The faulty server of the soak that is a process: `python -m bench.soak_child LEDGER SECONDS`.

Appends `call N` to the ledger for each call that it executes, and `id ID` for each request that it
reads, before it does anything else; SECONDS is how late it is when it is late.
"""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench import soak_peer


def main() -> None:
    ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    late = float(sys.argv[2])
    seen = _calls(sys.argv[1])
    for line in sys.stdin.buffer:
        message = soak_peer.json.loads(line)
        if "method" not in message or "id" not in message:
            continue
        os.write(ledger, f"id {message['id']}\n".encode())
        if message["method"] == "tools/call":
            _call(message, ledger, seen, late)
            continue
        result = soak_peer.result_of("stdio", message["method"])
        if result is None:
            _say(soak_peer.unknown_method(message["id"]))
        else:
            _say(soak_peer.encode({"id": message["id"], "result": result}))


def _calls(path: str) -> set[int]:
    """What processes before this one were asked for: a fault happens once."""
    words = [line.split() for line in Path(path).read_text("ascii").splitlines()]
    return {int(number) for what, number in words if what in ("call", "spared")}


def _call(message: dict[str, Any], ledger: int, seen: set[int], late: float) -> None:
    arguments = message["params"]["arguments"]
    n, fault = arguments["n"], arguments.get("fault", "")
    fault = "" if n in seen else fault
    seen.add(n)
    if fault == "kill_first":
        os.write(ledger, f"spared {n}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.write(ledger, f"call {n}\n".encode())
    said = soak_peer.messages_of("stdio", message, fault)
    match fault:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "cut":
            _write(said[-1][: len(said[-1]) // 2])
            sys.exit(3)
        case "mute":
            return
        case "late":
            time.sleep(late)
        case "noise":
            _say(b"a stray print, and {half a message")
        case "twice":
            said = [*said, said[-1]]
        case "drip":
            for byte in said[-1] + b"\n":
                _write(bytes([byte]))
            return
        case _:
            pass
    for text in said:
        _say(text)


def _say(text: bytes) -> None:
    _write(text + b"\n")


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
