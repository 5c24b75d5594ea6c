"""The faulty server of the soak that is a process: `python -m bench.soak_child LEDGER SECONDS`.

Appends `call N` to the ledger for each call that it executes, and `id ID` for each request that it
reads, before it does anything else; SECONDS is how late it is when it is late.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

from bench.soak_faults import STEPS
from tests.faults import dialects
from tests.faults.dialects import CALL, Call, Json

_DIALECT: dialects.Dialect = "http"  # MCP 2025-11-25, as lines


def main() -> None:
    ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    late = float(sys.argv[2])
    seen = _calls(sys.argv[1])
    for line in sys.stdin.buffer:
        message: Json = json.loads(line)
        if "method" not in message or "id" not in message:
            continue
        os.write(ledger, f"id {message['id']}\n".encode())
        if message["method"] == CALL:
            _call(message, ledger, seen, late)
            continue
        result = dialects.result_of(_DIALECT, message["method"])
        if result is None:
            _say(dialects.unknown_method(message["id"]))
        else:
            _say(dialects.answer_text(_DIALECT, message["id"], result))


def _calls(path: str) -> set[int]:
    """What processes before this one were asked for: a fault happens once."""
    words = [line.split() for line in Path(path).read_text("ascii").splitlines()]
    return {int(number) for what, number in words if what in ("call", "spared")}


def _call(message: Json, ledger: int, seen: set[int], late: float) -> None:
    call = dialects.call_in(message)
    fault = "" if call.n in seen else dialects.arguments_in(message).get("fault", "")
    seen.add(call.n)
    if fault == "kill_first":
        os.write(ledger, f"spared {call.n}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)
    os.write(ledger, f"call {call.n}\n".encode())
    result = dialects.result_of(_DIALECT, CALL, call.n)
    assert result is not None, "every dialect has calls"
    text = dialects.answer_text(_DIALECT, call.id, result)
    match fault:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "cut":
            _write(text[: len(text) // 2].encode())
            sys.exit(3)
        case "mute":
            return
        case "late":
            time.sleep(late)
        case "noise":
            _say("a stray print, and {half a message")
        case "twice":
            _say(text)
        case "drip":
            for byte in text.encode():
                _write(bytes([byte]))
            text = ""  # its line still has to end
        case "progress":
            _report(call)
        case _:
            pass
    _say(text)


def _report(call: Call) -> None:
    for step in range(1, STEPS + 1):
        told = {"progressToken": call.token, "progress": step}
        _say(dialects.notification("notifications/progress", **told))


def _say(text: str) -> None:
    _write(text.encode() + b"\n")


def _write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    main()
