"""A server made with the official `mcp` package, over Streamable HTTP.

`python python_http_server.py [json] [stateless]`; it has the tools of `python_sse_server.py`.
"""

import importlib.util
import sys
from pathlib import Path

_SIBLING = Path(__file__).with_name("python_sse_server.py")

if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("python_sse_server", _SIBLING)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    words = sys.argv[1:]
    module.server.run(
        "streamable-http",
        port=0,
        json_response="json" in words,
        stateless_http="stateless" in words,
    )
