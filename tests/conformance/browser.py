"""A browser for authorization in tests: visits an address, and follows where it leads.

The suite's authorization server logs nobody in: it redirects at once to our own listener.
"""

import sys
import urllib.request

PATIENCE = 20.0  # seconds

with urllib.request.urlopen(sys.argv[1], timeout=PATIENCE) as page:  # noqa: S310  the test's own
    page.read()
