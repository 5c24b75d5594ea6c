"""An MCP server over stdio that tells what it was started with: arguments and environment.

python -m tests.security.leaky_program --token SECRET
"""

import json
import os
import sys

from tests.security.leaky import LeakyServer, told


def main() -> None:
    """Answer until standard input ends; standard error gets all of it, too."""
    known = (*sys.argv[1:], *(value for name, value in os.environ.items() if "CANARY" in name))
    server = LeakyServer(lambda: known)
    plain, _, *others = told(known)  # a line of a log is no JSON whose escapes one could undo
    sys.stderr.write("".join(f"{word}\n" for word in (plain, *others)))
    sys.stderr.flush()
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            answer = server.answer(message["method"], message)
            sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
