"""A server that is a process, `python stdio_server.py LEDGER`: a line in the file for each call."""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.faults.dialects import CALL, answer_text, call_in, result_of, unknown_method

ledger = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, n = message["method"], 0
    if method == CALL:
        n = call_in(message).n
        os.write(ledger, b"%d\n" % n)
    result = result_of("sse", method, n)
    id_ = message["id"]
    text = unknown_method(id_) if result is None else answer_text("sse", id_, result)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
